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
def vllm() -> Iterator[Running]:
    """SmolLM2 on vLLM in a Ray actor, under the name `small`."""
    with asyncio.Runner() as loop:
        stack = contextlib.AsyncExitStack()
        try:
            fleet = loop.run(stack.enter_async_context(launch(ClusterConfig(), {"small": VLLM})))
            yield Running(fleet, loop.run)
        finally:
            loop.run(stack.aclose())
