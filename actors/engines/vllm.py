"""vLLM behind the engine interface; the engine itself is in `actors.engines.vllm_core`.

It is fed by many concurrent calls, and every request is one sample with its own seed: N candidates
of a prompt share its prefix cache.

Three facts of vLLM 0.32 shape this file.
- On CPU a seeded request crashes the engine when its prefill is chunked, so chunked prefill is off
  there.
- In a step that holds a request with `logprob_token_ids`, the top-K log-probabilities of every
  other request are replaced by padding. `Turns` keeps the two kinds of calls out of each other's
  steps.
- `logprobs` without `detokenize=False` turns every id into text at every step; text is made once,
  at the end.
"""

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.config import ModelConfig
from actors.engines.base import EngineRequest, ScoreRequest
from actors.engines.turns import Kind, Turns
from actors.engines.vllm_args import engine_args
from actors.engines.vllm_core import device_name, open_core, sampling
from actors.engines.vllm_outputs import completion
from actors.engines.vllm_scoring import VLLMScoring
from actors.machine import processor
from actors.rendering import Renderer
from actors.types import Completion


class VLLMEngine:
    """See the module's docstring. `own_process`: as on GPUs; None decides by the config."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        directory: Path,
        renderer: Renderer,
        own_process: bool | None = None,
    ) -> None:
        from actors.models import context_length

        args = engine_args(config, directory, context_length(directory))
        self.prompts = renderer
        self.context: int = args["max_model_len"]
        self.device = device_name() if config.gpus else processor()
        self._turns = Turns()
        self._scoring = VLLMScoring(self, self.context)
        self._ids = itertools.count()
        own = config.gpus > 0 if own_process is None else own_process
        self._core = open_core(args, own_process=own)

    async def generate(self, requests: Sequence[EngineRequest]) -> list[Completion]:
        """One single-sample vLLM request for each, all at once."""
        kind: Kind = "top" if any(r.top_logprobs for r in requests) else "free"
        async with self._turns.take(kind):
            calls = [self._core.run(self._id(), r.prompt_ids, self._params(r)) for r in requests]
            outputs = await asyncio.gather(*calls)
        pairs = zip(requests, outputs, strict=True)
        return [completion(*pair, self.prompts) for pair in pairs]

    async def label_logprobs(
        self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]
    ) -> list[tuple[float, ...]]:
        """One prefill for each prompt; its shared prefix is read from the cache."""
        ids = list(label_ids)
        async with self._turns.take("labels"):
            calls = [self._one_token(prompt, logprob_token_ids=ids) for prompt in prompts]
            results = await asyncio.gather(*calls)
        rows = [result.outputs[0].logprobs[0] for result in results]
        return [tuple(float(row[i].logprob) for i in ids) for row in rows]

    async def continuation_logprobs(
        self, requests: Sequence[ScoreRequest]
    ) -> list[tuple[float, ...]]:
        """See `base.Engine.continuation_logprobs` and `actors.engines.vllm_scoring`."""
        return await self._scoring.logprobs(requests)

    async def prompt_rows(
        self, ids: Sequence[int], *, reads_cache: bool
    ) -> tuple[Sequence[Any], int]:
        """vLLM's `prompt_logprobs` of a prompt, each row of one token, and how many of its tokens
        were read from the prefix cache. They are made apart from what is sampled, so no kind of
        call spoils them, nor they any.
        """
        result = await self._one_token(
            ids, prompt_logprobs=0, skip_reading_prefix_cache=not reads_cache
        )
        return result.prompt_logprobs, result.num_cached_tokens or 0

    async def prefill(self, ids: Sequence[int]) -> None:
        """Read a prompt into the prefix cache."""
        await self._one_token(ids)

    async def _one_token(self, ids: Sequence[int], **options: Any) -> Any:
        params = sampling(max_tokens=1, temperature=0.0, detokenize=False, **options)
        result, _ = await self._core.run(self._id(), ids, params)
        return result

    @property
    def num_steps(self) -> int:
        """See `base.Engine.num_steps`."""
        return self._core.num_steps

    async def close(self) -> None:
        """Stop the engine's thread or processes."""
        await self._core.close()

    def _id(self) -> str:
        return str(next(self._ids))

    def _params(self, request: EngineRequest) -> Any:
        asked = request.sampling
        greedy = request.seed is None
        return sampling(
            temperature=0.0 if greedy else asked.temperature,
            top_p=1.0 if greedy else asked.top_p,
            top_k=0 if greedy else asked.top_k,
            repetition_penalty=asked.repetition_penalty,
            seed=request.seed,
            max_tokens=min(asked.max_tokens, self.context - len(request.prompt_ids)),
            stop=list(asked.stop),
            stop_token_ids=list(self.prompts.stop_token_ids),
            logprobs=request.top_logprobs,
            # Stop strings are found in the text, so only they need text while tokens are made.
            detokenize=bool(asked.stop),
        )
