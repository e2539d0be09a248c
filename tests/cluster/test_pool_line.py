"""The pool's waiting line, against a replica that holds every call until it is let go."""

import asyncio
from collections import deque
from typing import Any

from actors.config import ModelConfig
from actors.host import HostInfo
from cluster.pool import Pool

INFO = HostInfo(pid=1, node="here", context=64, seconds=0.0)


class HoldingReplica:
    """Notes in which order calls arrive; `let_go` ends the oldest."""

    def __init__(self) -> None:
        self.arrived: list[Any] = []
        self._held: deque[asyncio.Event] = deque()

    async def call(self, method: str, *args: Any) -> Any:
        if method == "start":
            return INFO
        self.arrived.append(args[0])
        held = asyncio.Event()
        self._held.append(held)
        await held.wait()
        return args[0]

    def let_go(self) -> None:
        self._held.popleft().set()

    def kill(self) -> None: ...


async def started(in_flight: int) -> tuple[Pool, HoldingReplica]:
    replica = HoldingReplica()
    pool = Pool("small", ModelConfig(engine="fake", in_flight=in_flight), lambda life: replica)
    await pool.start()
    return pool, replica


async def settled() -> None:
    """Let every task that can run reach its next wait."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_heavy_call_is_not_overtaken_by_light_ones_that_came_later() -> None:
    async def main() -> list[Any]:
        pool, replica = await started(in_flight=4)
        weights = {"first": 3, "heavy": 4, "light": 1}
        calls = [asyncio.create_task(pool.call("work", n, weight=w)) for n, w in weights.items()]
        for _ in weights:
            await settled()
            replica.let_go()
        await asyncio.gather(*calls)
        return replica.arrived

    assert asyncio.run(main()) == ["first", "heavy", "light"]


def test_a_call_cancelled_between_its_turn_and_its_start_passes_the_turn_on() -> None:
    async def main() -> list[Any]:
        pool, replica = await started(in_flight=1)
        first, unlucky, last = (asyncio.create_task(pool.call("work", i)) for i in range(3))
        await settled()
        replica.let_go()
        while not first.done():  # noqa: ASYNC110 - an Event would wake too late
            await asyncio.sleep(0)
        # The turn was given while `first` unwound; its new owner has not run yet.
        unlucky.cancel()
        await settled()
        replica.let_go()
        await asyncio.wait_for(last, 5)
        return replica.arrived

    assert asyncio.run(main()) == [0, 2]


def test_a_call_cancelled_in_line_holds_nobody_up() -> None:
    async def main() -> Any:
        pool, replica = await started(in_flight=1)
        first, second, third = (asyncio.create_task(pool.call("work", i)) for i in range(3))
        await settled()
        second.cancel()
        replica.let_go()
        await settled()
        replica.let_go()
        await asyncio.gather(first, third)
        return replica.arrived

    assert asyncio.run(main()) == [0, 2]
