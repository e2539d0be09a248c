"""Pools on real Ray: real processes, real weights, real SIGKILL."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from actors.config import FakeConfig, Faults, ModelConfig, Sampling
from actors.types import Completion, ConfigError, EngineError, Item, ItemError, Message
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


def test_an_engine_that_fails_at_start_is_an_engine_error_with_its_log(
    vllm: Running, tmp_path: Path
) -> None:
    # More KV cache than any machine has: vLLM itself refuses.
    model = ModelConfig(
        path="bundled:smollm2-135m-instruct",
        cpus=0.5,
        context=256,
        args={"kv_cache_memory_bytes": 1 << 50},
    )
    with pytest.raises(EngineError) as error:
        vllm.wait(started(model, tmp_path))
    assert "requested memory" in str(error.value)
    assert "its last lines:\n" in str(error.value)
    logs = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(logs) == {"other-0.0.log", "other-0.1.log"}, "it is started twice"
    assert all("Starting to load model" in text for text in logs.values())


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


def asked(model: ModelConfig, questions: list[str], logs: Path | None = None) -> Any:
    """What a fleet of this model answers or raises for each question, and its restarts."""

    async def main() -> tuple[list[Any], int]:
        async with joined({"fake": model}, logs) as fleet:
            calls = (
                fleet.models["fake"].generate(item(str(i), text), seeds=[i], sampling=Sampling())
                for i, text in enumerate(questions)
            )
            found = await asyncio.gather(*calls, return_exceptions=True)
            return found, fleet.pools["fake"].restarts

    return main()


def test_a_poison_item_is_given_up_with_its_reason_and_no_other(vllm: Running) -> None:
    fake = FakeConfig(latency=0.05, faults=Faults(poison="cyanide"))
    model = ModelConfig(engine="fake", cpus=0.1, replicas=2, in_flight=8, fake=fake)
    questions = [f"what is {i} ?" for i in range(24)]
    questions[5] = "what is cyanide ?"
    found, restarts = vllm.wait(asked(model, questions))
    assert isinstance(found[5], ItemError)
    assert "replicas died of this item" in str(found[5])
    assert [len(f) for i, f in enumerate(found) if i != 5] == [1] * 23
    assert 2 <= restarts <= 8


def test_a_replica_that_falls_silent_is_replaced(vllm: Running) -> None:
    fake = FakeConfig(faults=Faults(stall_after=4))
    model = ModelConfig(engine="fake", cpus=0.1, stall_timeout=0.5, fake=fake)
    found, restarts = vllm.wait(asked(model, ["what ?"] * 12))
    assert [len(f) for f in found] == [1] * 12
    assert restarts == 1


def test_an_engine_error_costs_its_item_and_no_replica(vllm: Running) -> None:
    fake = FakeConfig(faults=Faults(fail="unlucky"))
    model = ModelConfig(engine="fake", cpus=0.1, fake=fake)
    found, restarts = vllm.wait(asked(model, ["a ?", "unlucky ?", "b ?"]))
    assert isinstance(found[1], ItemError)
    assert "the engine fails at this prompt" in str(found[1])
    assert [len(f) for f in (found[0], found[2])] == [1, 1]
    assert restarts == 0


def joined(models: dict[str, ModelConfig], logs: Path | None = None) -> Any:
    """A second fleet on the Ray that the suite already runs."""
    return launch(ClusterConfig(), models, logs=logs)


async def started(model: ModelConfig, logs: Path | None = None) -> None:
    async with joined({"other": model}, logs):
        raise AssertionError("it must not start")
