"""Turns: who runs together, who waits for whom."""

import asyncio

import pytest

from actors.engines.turns import Turns


class Caller:
    """One call: says when it runs, and ends when told."""

    def __init__(self, turns, kind):
        self.running = asyncio.Event()
        self.end = asyncio.Event()
        self._turns, self._kind = turns, kind
        self.task = asyncio.create_task(self._call())

    async def _call(self):
        async with self._turns.take(self._kind):
            self.running.set()
            await self.end.wait()

    async def finish(self):
        self.end.set()
        await self.task


async def settle():
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def calls(turns, *kinds):
    made = []
    for kind in kinds:
        made.append(Caller(turns, kind))
        await settle()
    return made


def running(callers):
    return [caller.running.is_set() for caller in callers]


@pytest.mark.parametrize("kind", ["free", "top", "labels"])
def test_calls_of_one_kind_run_together_and_free_ones_with_any(kind):
    async def main():
        made = await calls(Turns(), kind, kind, "free")
        assert running(made) == [True, True, True]
        await asyncio.gather(*(caller.finish() for caller in made))

    asyncio.run(main())


@pytest.mark.parametrize(("first", "second"), [("top", "labels"), ("labels", "top")])
def test_the_other_kind_waits_for_the_last_call_of_the_first(first, second):
    async def main():
        a, b, c = await calls(Turns(), first, first, second)
        await a.finish()
        await settle()
        assert running([b, c]) == [True, False]
        await b.finish()
        await settle()
        assert c.running.is_set()
        await c.finish()

    asyncio.run(main())


def test_a_newcomer_does_not_pass_a_kind_that_waits():
    async def main():
        a, b, c = await calls(Turns(), "top", "labels", "top")
        assert running([a, b, c]) == [True, False, False]
        await a.finish()
        await settle()
        assert running([b, c]) == [True, False]
        await b.finish()
        await settle()
        assert c.running.is_set()
        await c.finish()

    asyncio.run(main())


def test_a_call_that_is_cancelled_while_it_waits_closes_no_door():
    async def main():
        turns = Turns()
        a, b = await calls(turns, "top", "labels")
        b.task.cancel()
        await settle()
        (c,) = await calls(turns, "top")
        assert running([a, b, c]) == [True, False, True]
        await a.finish()
        await c.finish()

    asyncio.run(main())
