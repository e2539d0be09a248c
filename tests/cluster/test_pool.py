"""The pool's bookkeeping, against replicas that are plain objects: no Ray, no engine."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from actors.config import ModelConfig
from actors.host import HostInfo
from actors.types import EngineError, ItemError
from cluster.pool import Pool, ReplicaDied

INFO = HostInfo(pid=1, node="here", context=64, seconds=0.0)


class ScriptedReplica:
    """Answers `work` as the script says; counts what it holds at once."""

    def __init__(self, script: Callable[[Any], Any]) -> None:
        self.script = script
        self.held: list[Any] = []
        self.most_held = 0
        self.killed = False

    async def call(self, method: str, *args: Any) -> Any:
        if method == "start":
            return INFO
        if method == "stop":
            return None
        self.held.append(args)
        self.most_held = max(self.most_held, len(self.held))
        try:
            result = self.script(args[0])
            return await result if asyncio.iscoroutine(result) else result
        finally:
            self.held.remove(args)

    def kill(self) -> None:
        self.killed = True


async def started(
    script: Callable[[Any], Any] | list[Callable[[Any], Any]], **settings: Any
) -> tuple[Pool, list[ScriptedReplica]]:
    scripts = script if isinstance(script, list) else None
    made: list[ScriptedReplica] = []

    def spawn(life: int) -> ScriptedReplica:
        made.append(ScriptedReplica(scripts[len(made)] if scripts else script))
        return made[-1]

    pool = Pool("small", ModelConfig(engine="fake", **settings), spawn)
    await pool.start()
    return pool, made


def dies(_: Any) -> None:
    raise ReplicaDied("killed by signal 9")


def test_calls_go_to_the_least_loaded_replica() -> None:
    async def main() -> list[int]:
        gate = asyncio.Event()
        pool, made = await started(lambda _: gate.wait(), replicas=3, in_flight=100)
        calls = [asyncio.create_task(pool.call("work", i)) for i in range(9)]
        await settled()
        loads = [len(replica.held) for replica in made]
        gate.set()
        await asyncio.gather(*calls)
        return loads

    assert asyncio.run(main()) == [3, 3, 3]


def test_no_replica_holds_more_sequences_than_in_flight_and_nothing_starves() -> None:
    async def main() -> tuple[int, list[Any]]:
        async def work(i: int) -> int:
            await asyncio.sleep(0)
            return i

        pool, made = await started(work, replicas=2, in_flight=8)
        results = await asyncio.gather(*(pool.call("work", i, weight=4) for i in range(40)))
        return max(replica.most_held for replica in made), results

    most, results = asyncio.run(main())
    assert most == 2  # 2 calls of 4 sequences fill 8
    assert results == list(range(40))


def test_a_call_heavier_than_in_flight_runs_on_an_idle_replica() -> None:
    async def main() -> Any:
        pool, _ = await started(lambda i: i, in_flight=4)
        return await asyncio.wait_for(pool.call("work", 7, weight=64), 5)

    assert asyncio.run(main()) == 7


def test_the_calls_of_a_dead_replica_are_asked_again_on_its_replacement() -> None:
    async def main() -> tuple[list[Any], Pool, list[ScriptedReplica]]:
        pool, made = await started([dies, lambda i: i], replicas=1)
        return await asyncio.gather(*(pool.call("work", i) for i in range(5))), pool, made

    results, pool, made = asyncio.run(main())
    assert results == list(range(5))
    assert pool.restarts == 1, "one death is one restart, however many calls it took along"
    assert made[0].killed
    assert not made[1].killed


def test_a_replica_that_never_answers_is_ended_and_replaced() -> None:
    async def main() -> tuple[Any, Pool, list[ScriptedReplica]]:
        pool, made = await started(
            [lambda _: asyncio.Event().wait(), lambda i: i], call_timeout=0.01
        )
        return await pool.call("work", 3), pool, made

    result, pool, made = asyncio.run(main())
    assert result == 3
    assert pool.restarts == 1
    assert made[0].killed


def test_an_item_that_costs_three_replicas_is_given_up_and_the_pool_lives() -> None:
    async def main() -> tuple[str, Any]:
        def script(i: int) -> int:
            if i == 13:
                raise ReplicaDied("killed by signal 9")
            return i

        pool, _ = await started(script, max_restarts=10)
        with pytest.raises(ItemError) as error:
            await pool.call("work", 13)
        return str(error.value), await pool.call("work", 1)

    message, other = asyncio.run(main())
    assert "3 replicas" in message
    assert other == 1


def test_a_pool_without_a_replica_left_fails_every_call_that_waits() -> None:
    async def main() -> list[Any]:
        pool, _ = await started(dies, replicas=2, max_restarts=1, in_flight=1)
        calls = (pool.call("work", i) for i in range(20))
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)

    failures = asyncio.run(main())
    assert len(failures) == 20
    assert all(isinstance(f, EngineError | ItemError) for f in failures)
    engine = [f for f in failures if isinstance(f, EngineError)]
    assert engine
    assert "killed by signal 9" in str(engine[0])


def test_the_pool_goes_on_with_one_replica_when_the_other_is_given_up() -> None:
    async def main() -> list[Any]:
        pool, _ = await started([dies, lambda i: i], replicas=2, max_restarts=0)
        return await asyncio.gather(*(pool.call("work", i) for i in range(10)))

    assert asyncio.run(main()) == list(range(10))


def test_an_item_error_of_the_host_rises_without_a_restart() -> None:
    async def main() -> Pool:
        def script(_: Any) -> None:
            raise ItemError("too_long", "5000 tokens")

        pool, _ = await started(script)
        with pytest.raises(ItemError, match="5000 tokens"):
            await pool.call("work", 0)
        return pool

    assert asyncio.run(main()).restarts == 0


def test_a_cancelled_call_gives_its_place_back() -> None:
    async def main() -> Any:
        pool, _ = await started(lambda i: asyncio.Event().wait() if i == 0 else i, in_flight=1)
        stuck = asyncio.create_task(pool.call("work", 0))
        await settled()
        stuck.cancel()
        return await asyncio.wait_for(pool.call("work", 1), 5)

    assert asyncio.run(main()) == 1


def test_a_replica_that_dies_while_starting_fails_the_start() -> None:
    class Stillborn(ScriptedReplica):
        async def call(self, method: str, *args: Any) -> Any:
            raise ReplicaDied("killed by signal 9")

    async def main() -> None:
        pool = Pool("small", ModelConfig(engine="fake"), lambda life: Stillborn(lambda i: i))
        await pool.start()

    with pytest.raises(EngineError, match=r"'small' died while it started"):
        asyncio.run(main())


async def settled() -> None:
    """Let every task that can run reach its next wait."""
    for _ in range(20):
        await asyncio.sleep(0)
