"""A replica that computes something else than its pool is found, and what it said is not kept."""

import asyncio
import math
from typing import Any

from actors.config import ModelConfig
from actors.host import HostInfo
from cluster.canary import Canary
from cluster.pool import Pool
from cluster.receipts import Receipt, collected
from tests.cluster.scripted import ScriptedReplica


def test_a_probe_within_the_tolerance_of_the_first_one_is_good() -> None:
    canary = Canary(0.5)
    assert canary.verdict((-1.0, -2.0)) is None
    assert canary.verdict((-1.4, -1.6)) is None
    assert "0.60 nats off" in str(canary.verdict((-1.0, -2.6)))


def test_a_probe_that_is_no_number_is_wrong_even_as_the_first() -> None:
    canary = Canary(0.5)
    assert "not numbers" in str(canary.verdict((-1.0, math.nan)))
    assert canary.verdict((-3.0, -4.0)) is None, "it was no reference either"


def test_an_engine_without_log_probabilities_is_trusted() -> None:
    canary = Canary(0.5)
    assert canary.verdict(()) is None
    assert canary.verdict(()) is None


class Probed(ScriptedReplica):
    """Answers with the value that its device computes: right, or wrong."""

    def __init__(self, value: float) -> None:
        super().__init__(lambda _: self.value)
        self.value = value
        self.num_probes = 0

    async def call(self, method: str, *args: Any) -> Any:
        if method == "start":
            return HostInfo(
                pid=1, node="here", device="none", context=64, seconds=0.0, probe=(self.value,)
            )
        if method == "probe":
            self.num_probes += 1
            return (self.value,)
        return await super().call(method, *args)


async def probed(*values: float, replicas: int = 1) -> tuple[Pool, list[Probed]]:
    """A pool whose replicas compute these values, in the order of their making."""
    made: list[Probed] = []

    def spawn(number: int, life: int) -> Probed:
        made.append(Probed(values[len(made)]))
        return made[-1]

    config = ModelConfig.model_validate({"engine": "fake", "replicas": replicas})
    pool = Pool("small", config, spawn, delay=0.0)
    await pool.start()
    return pool, made


async def asked(pool: Pool) -> tuple[float, list[Receipt]]:
    with collected() as receipts:
        return await pool.call("work", 0), receipts


def test_what_a_replica_said_before_it_went_wrong_is_not_vouched_for() -> None:
    async def main() -> None:
        pool, made = await probed(-1.0, -1.0)
        value, receipts = await asked(pool)
        assert [await pool.vouch(r) for r in receipts] == [True]
        made[0].value = -9.0  # From here on it computes garbage.
        value, receipts = await asked(pool)
        assert value == -9.0
        assert [await pool.vouch(r) for r in receipts] == [False]
        assert made[0].killed
        value, receipts = await asked(pool)
        assert value == -1.0
        assert [await pool.vouch(r) for r in receipts] == [True]
        assert pool.restarts == 1

    asyncio.run(main())


def test_one_probe_vouches_for_everything_that_was_answered_before_it() -> None:
    async def main() -> int:
        pool, made = await probed(-1.0)
        receipts = [receipt for _ in range(20) for receipt in (await asked(pool))[1]]
        assert all([await pool.vouch(receipt) for receipt in receipts])
        return made[0].num_probes

    assert asyncio.run(main()) == 1


def test_a_replica_that_starts_wrong_is_replaced_before_it_answers() -> None:
    async def main() -> None:
        pool, made = await probed(-1.0, -4.0, -1.0, replicas=2)
        assert {(await asked(pool))[0] for _ in range(6)} == {-1.0}
        assert made[1].killed
        assert pool.restarts == 1

    asyncio.run(main())


def test_a_replica_that_died_is_trusted_for_what_it_said() -> None:
    async def main() -> bool:
        pool, _ = await probed(-1.0, -1.0)
        _, (receipt,) = await asked(pool)
        pool._bury(receipt.slot, receipt.life, "killed by signal 9")
        return await pool.vouch(receipt)

    assert asyncio.run(main())
