"""transformers behind the engine interface: the reference, and the engine of machines without vLLM.

    generate() --rows--> pending --pump task: rows of similar length--> one thread --> futures
    label_logprobs(), continuation_logprobs() --rows--> Reads --packs of trees--> same thread

Any number of calls may wait at once; one thread owns the model and works on one batch at a time
(`actors.engines.decoding`) or one pack (`actors.engines.reads`). A pump task lives while rows are
pending. A call that is cancelled leaves its rows cancelled, and the pump drops them; `close` ends
the batch under way at its next token.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from actors.config import ModelConfig
from actors.engines.base import EngineRequest, ScoreRequest
from actors.engines.decoding import Decoder
from actors.engines.loading import context, load
from actors.engines.reads import Reads, settle
from actors.engines.scoring import Likelihoods
from actors.machine import processor
from actors.rendering import Renderer
from actors.types import Completion, EngineError

BATCH_TOKENS = 16384
"""Most prompt and completion tokens in one batch, padding included: bounds the KV cache."""

BATCH_ROWS = 64
"""Most completions in one batch: bounds the logits, which are rows x vocabulary."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Pending:
    request: EngineRequest
    limit: int
    """Tokens that may be generated: `max_tokens`, or what the context leaves."""
    future: asyncio.Future[Completion]


class HFEngine:
    """Hosts one causal language model. Loads weights when it is made.

    Raises ConfigError for unknown `args`, a context beyond the model's, a missing device, and
    weights that transformers can't load.
    """

    def __init__(self, config: ModelConfig, *, directory: Path, renderer: Renderer) -> None:
        self.prompts = renderer
        self.context = context(config, directory)
        self._model = load(config, directory, AutoModelForCausalLM)
        self.device = torch.cuda.get_device_name() if config.gpus else processor()
        self._decoder = Decoder(self._model, renderer)
        self._likelihoods = Likelihoods(self._model, self._decoder.closed)
        self._pending: list[_Pending] = []
        self._running: list[_Pending] = []
        self._pump: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hf-engine")
        self._reads = Reads(self._likelihoods, self._thread)

    @property
    def num_steps(self) -> int:
        """See `base.Engine.num_steps`."""
        return self._decoder.num_steps + self._likelihoods.num_steps

    async def generate(self, requests: Sequence[EngineRequest]) -> list[Completion]:
        """One completion for each request, in order. Raises EngineError when a batch fails."""
        self._refuse_if_closed()
        loop = asyncio.get_running_loop()
        rows = []
        for request in requests:
            limit = min(request.sampling.max_tokens, self.context - len(request.prompt_ids))
            assert request.prompt_ids, "an empty prompt"
            assert limit > 0, "the prompt leaves no room in the context"
            rows.append(_Pending(request=request, limit=limit, future=loop.create_future()))
        self._pending.extend(rows)
        if self._pump is None or self._pump.done():
            self._pump = loop.create_task(self._run())
        return list(await asyncio.gather(*(row.future for row in rows)))

    async def label_logprobs(
        self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]
    ) -> list[tuple[float, ...]]:
        """For each prompt, log P(label | prompt) over the whole vocabulary, nats. [prompt][label]

        What prompts begin with alike is read once. Raises as `continuation_logprobs`.
        """
        requests = [
            ScoreRequest(ids=(*prompt, label), start=len(prompt))
            for prompt in prompts
            for label in label_ids
        ]
        found = [logprob for (logprob,) in await self.continuation_logprobs(requests)]
        num = len(label_ids)
        return [tuple(found[i : i + num]) for i in range(0, len(found), num)]

    async def continuation_logprobs(
        self, requests: Sequence[ScoreRequest]
    ) -> list[tuple[float, ...]]:
        """See `base.Engine.continuation_logprobs`. Raises EngineError when the model fails,
        ItemError for a sequence that doesn't fit in memory.
        """
        self._refuse_if_closed()
        return await self._reads.read(requests)

    async def close(self) -> None:
        """End the thread and drop calls under way: they see CancelledError."""
        self._decoder.closed.set()
        if self._pump is not None:
            self._pump.cancel()
        for row in (*self._pending, *self._running):
            row.future.cancel()
        self._pending.clear()
        self._reads.cancel()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    def _refuse_if_closed(self) -> None:
        if self._decoder.closed.is_set():
            raise EngineError("the engine is closed")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            # Calls made in the same turn of the loop get to join the batch.
            await asyncio.sleep(0)
            self._running = batch = self._take()
            if not batch:
                continue
            work = [(row.request, row.limit) for row in batch]
            try:
                completions = await loop.run_in_executor(self._thread, self._decoder.generate, work)
            # Whatever a forward pass raises is the outcome of its rows; the pump itself goes on.
            except Exception as error:
                failed = EngineError(f"generation failed: {type(error).__name__}: {error}")
                settle([row.future for row in batch], failed)
            else:
                settle([row.future for row in batch], completions)
            self._running = []

    def _take(self) -> list[_Pending]:
        """Remove a batch from `_pending`: the oldest row and those nearest to it in length."""
        self._pending = [row for row in self._pending if not row.future.done()]
        if not self._pending:
            return []
        oldest = len(self._pending[0].request.prompt_ids)
        by_nearness = sorted(
            self._pending, key=lambda row: abs(len(row.request.prompt_ids) - oldest)
        )
        batch: list[_Pending] = []
        longest_prompt = longest_limit = 0
        for row in by_nearness[:BATCH_ROWS]:
            longest_prompt = max(longest_prompt, len(row.request.prompt_ids))
            longest_limit = max(longest_limit, row.limit)
            if batch and (len(batch) + 1) * (longest_prompt + longest_limit) > BATCH_TOKENS:
                break
            batch.append(row)
        taken = set(map(id, batch))
        self._pending = [row for row in self._pending if id(row) not in taken]
        return batch
