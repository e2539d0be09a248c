"""Pools on real Ray: real processes, real weights, real SIGKILL."""

import asyncio
import os
import signal

import pytest

from actors.config import FakeConfig, Faults, ModelConfig, Sampling
from actors.types import Completion, ConfigError, EngineError, Item, Message
from cluster import ClusterConfig, launch
from tests.conftest import Running


def item(name: str, question: str = "What is 2 + 3?") -> Item:
    message = Message(role="user", content=question)
    return Item(id=name, task="t", question=question, reference="5", messages=(message,))


def test_a_killed_vllm_replica_is_replaced_and_its_calls_are_answered(vllm: Running) -> None:
    pool, model = vllm.fleet.pools["small"], vllm.fleet.models["small"]
    pid = pool.infos[-1].pid
    long, short = Sampling(max_tokens=200), Sampling(max_tokens=1)

    async def main() -> list[Completion]:
        running = asyncio.create_task(
            model.generate(item("a", "Tell me a story."), seeds=range(8), sampling=long)
        )
        # Answered while the long call runs: by then the engine is in the middle of it.
        await model.generate(item("b"), seeds=[None], sampling=short)
        assert not running.done()
        os.kill(pid, signal.SIGKILL)
        return await running

    completions = vllm.wait(main())
    assert len(completions) == 8
    assert all(c.text for c in completions)
    assert pool.restarts == 1
    assert pool.infos[-1].pid != pid


def test_a_config_error_of_an_engine_reaches_the_driver_as_one(vllm: Running) -> None:
    model = ModelConfig(engine="replay", path="/nowhere/candidates.jsonl", cpus=0.1)
    with pytest.raises(ConfigError, match="no such file or run directory: /nowhere"):
        vllm.wait(started(model))


def test_an_engine_that_fails_at_start_is_an_engine_error_with_its_reason(vllm: Running) -> None:
    # More KV cache than any machine has: vLLM itself refuses.
    model = ModelConfig(
        path="bundled:smollm2-135m-instruct",
        cpus=0.5,
        context=256,
        args={"kv_cache_memory_bytes": 1 << 50},
    )
    with pytest.raises(EngineError, match=r"did not start|died while it started"):
        vllm.wait(started(model))


def test_replicas_that_die_at_their_first_calls_cost_no_call(vllm: Running) -> None:
    faults = FakeConfig(faults=Faults(die_after=3))
    model = ModelConfig(engine="fake", cpus=0.1, replicas=2, fake=faults)

    async def main() -> tuple[list[list[Completion]], int]:
        async with joined({"fake": model}) as fleet:
            calls = (
                fleet.models["fake"].generate(item(str(i)), seeds=[i], sampling=Sampling())
                for i in range(40)
            )
            return await asyncio.gather(*calls), fleet.pools["fake"].restarts

    results, restarts = vllm.wait(main())
    assert [len(result) for result in results] == [1] * 40
    assert restarts == 2


def joined(models: dict[str, ModelConfig]):
    """A second fleet on the Ray that the suite already runs."""
    return launch(ClusterConfig(), models)


async def started(model: ModelConfig) -> None:
    async with joined({"other": model}):
        raise AssertionError("it must not start")
