"""vLLM's engines and what is asked of them. The only file that imports vLLM.

    CPU   LLMEngine in this process, owned by one step thread:
              run() --request--> inbox --step thread--> future
          The thread alone touches the engine: it empties the inbox, steps, resolves futures on the
          event loop.
    GPU   AsyncLLM: the engine core runs in a process of its own, so tensor parallelism works and
          Python's lock is free.

If the engine dies, so does this process, at once and with code 1 (`os._exit`): a half-dead engine
can only return wrong answers, and whoever started the process knows how to replace it.
"""

import asyncio
import logging
import os
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from actors.types import ItemError

T = TypeVar("T")

logger = logging.getLogger(__name__)


def open_core(args: dict[str, Any], *, own_process: bool) -> "StepThread | AsyncCore":
    """Start an engine with these arguments of vLLM's own."""
    if own_process:
        return AsyncCore(args)
    from vllm import EngineArgs

    return StepThread(EngineArgs(**args))


def sampling(**options: Any) -> Any:
    """vLLM's SamplingParams; the output comes once, at the end."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(output_kind=RequestOutputKind.FINAL_ONLY, **options)


def last_state() -> Any:
    """vLLM's PoolingParams for the last token's hidden state, as it is."""
    from vllm import PoolingParams

    return PoolingParams(task="embed", use_activation=False)


def device_name() -> str:
    """Of the GPU."""
    from vllm.platforms import current_platform

    return str(current_platform.get_device_name())


def _pools(params: Any) -> bool:
    from vllm import PoolingParams

    return isinstance(params, PoolingParams)


class StepThread:
    """LLMEngine in this process. Invariant: only the thread touches `engine`."""

    def __init__(self, args: Any) -> None:
        self._inbox: queue.SimpleQueue[tuple[str, Sequence[int], Any, Any] | None] = (
            queue.SimpleQueue()
        )
        self._waiting: dict[str, tuple[Any, float]] = {}
        self.num_steps = 0
        self._engine: Any = None
        built: Future[None] = Future()
        # Built by the thread that steps: each thread that computes has OpenMP threads of its own,
        # and with more of them than cores they sleep at every barrier instead of spinning.
        self._thread = threading.Thread(
            target=self._main, args=(args, built), name="vllm-step", daemon=True
        )
        self._thread.start()
        built.result()

    async def run(self, request_id: str, ids: Sequence[int], params: Any) -> tuple[Any, float]:
        """Submit one request; returns vLLM's output and the seconds it took."""
        future: asyncio.Future[tuple[Any, float]] = asyncio.get_running_loop().create_future()
        self._inbox.put((request_id, ids, params, future))
        return await future

    async def close(self) -> None:
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    def _main(self, args: Any, built: "Future[None]") -> None:
        from vllm.v1.engine.llm_engine import LLMEngine

        try:
            self._engine = LLMEngine.from_engine_args(args)
        except BaseException as error:  # Whatever it is, it belongs to whoever builds the engine.
            built.set_exception(error)
            return
        built.set_result(None)
        try:
            while self._admit():
                outputs = self._engine.step()
                self.num_steps += 1
                for output in outputs:
                    if output.finished:
                        future, start = self._waiting.pop(output.request_id)
                        self._resolve(future, (output, time.monotonic() - start))
        except BaseException:
            # The scheduler may be ahead of the worker now: nothing this engine says can be trusted.
            logger.exception("the engine failed; ending its process")
            logging.shutdown()
            os._exit(1)

    def _admit(self) -> bool:
        """Take in what has arrived, waiting only when there is nothing to step. False: closed."""
        while True:
            try:
                entry = self._inbox.get(block=not self._waiting)
            except queue.Empty:
                return True
            if entry is None:
                return False
            request_id, ids, params, future = entry
            try:
                self._engine.add_request(request_id, {"prompt_token_ids": list(ids)}, params)
            except ValueError as error:  # vLLM refused this request; the engine is unharmed.
                self._resolve(future, ItemError("error", f"refused by vLLM: {error}"))
                continue
            self._waiting[request_id] = (future, time.monotonic())

    @staticmethod
    def _resolve(future: "asyncio.Future[Any]", value: Any) -> None:
        def settle() -> None:
            if future.done():
                return
            if isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(value)

        future.get_loop().call_soon_threadsafe(settle)


class AsyncCore:
    """AsyncLLM: the engine core is a process of its own."""

    def __init__(self, args: dict[str, Any]) -> None:
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        self._engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**args))
        self.num_steps = 0
        core = self._engine.engine_core
        core.get_output_async = self._counted(core.get_output_async)

    def _counted(self, get_output: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """Count the outputs of the core, one for each of its steps."""

        async def counted() -> T:
            output = await get_output()
            self.num_steps += 1
            return output

        return counted

    async def run(self, request_id: str, ids: Sequence[int], params: Any) -> tuple[Any, float]:
        """Submit one request; returns vLLM's output and the seconds it took."""
        from vllm.v1.engine.exceptions import EngineDeadError

        start = time.monotonic()
        result = None
        ask = self._engine.encode if _pools(params) else self._engine.generate
        try:
            prompt = {"prompt_token_ids": list(ids)}
            async for output in ask(prompt, params, request_id):
                result = output
        except EngineDeadError:
            logger.exception("the engine core died; ending its process")
            logging.shutdown()
            os._exit(1)
        except ValueError as error:
            raise ItemError("error", f"refused by vLLM: {error}") from None
        assert result is not None, "vLLM ended a request without an output"
        return result, time.monotonic() - start

    async def close(self) -> None:
        self._engine.shutdown()
