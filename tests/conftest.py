"""What is loaded once for the whole suite: one Ray, one real vLLM engine."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from actors.config import ModelConfig
from cluster import ClusterConfig, Fleet, launch

T = TypeVar("T")

VLLM = ModelConfig(
    path="bundled:smollm2-135m-instruct",
    engine="vllm",
    cpus=1,
    # Reference precision: what the engine says can then be compared with transformers closely.
    dtype="float32",
    context=1024,
    args={"kv_cache_memory_bytes": 256 << 20},
)


@dataclass(frozen=True)
class Running:
    """A healthy fleet, and the loop that it lives on."""

    fleet: Fleet
    wait: Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(scope="session")
def ray() -> Iterator[str]:
    """Ray in this process, for all fleets of the suite, since each start of one takes seconds; its
    address, for drivers in processes of their own.
    """
    from cluster.rays import ray, session

    # More CPUs than there are: what had to wait for one would wait for the whole suite.
    with session(ClusterConfig(cpus=16)):
        yield ray.get_runtime_context().gcs_address


@pytest.fixture(scope="session")
def vllm(ray: str) -> Iterator[Running]:
    """SmolLM2 on vLLM in a Ray actor, under the name `small`."""
    with asyncio.Runner() as loop:
        stack = contextlib.AsyncExitStack()
        try:
            fleet = loop.run(stack.enter_async_context(launch(ClusterConfig(), {"small": VLLM})))
            yield Running(fleet, loop.run)
        finally:
            loop.run(stack.aclose())
