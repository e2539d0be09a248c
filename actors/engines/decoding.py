"""Batched decoding with transformers: prompts in, completions out, one row never touching another.

    distinct prompts --prefill, padded left--> KV cache --one copy per row--> token by token
    each token: raw logits -> log-probabilities at temperature 1 (kept)
                           -> penalty, temperature, top-k, top-p -> one draw per row, or argmax

A row's draw is the inverse of its own cumulative distribution at a uniform number from its own
generator. So it depends on the seed and the logits alone, and the logits depend on the rest of the
batch by float noise only.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import (
    DynamicCache,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from actors.config import Sampling
from actors.engines.base import EngineRequest
from actors.rendering import Renderer
from actors.types import Completion, EngineError, FinishReason


@dataclass(slots=True, kw_only=True, eq=False)
class _Row:
    """One completion in the making."""

    request: EngineRequest
    limit: int
    generator: torch.Generator | None
    """None decodes greedily."""
    cached_tokens: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top_means: list[float] = field(default_factory=list)
    finish: FinishReason | None = None
    text: str = ""
    seconds: float = 0.0


class Decoder:
    """Owns nothing but the way the model is called. Used from one thread at a time."""

    def __init__(self, model: Any, renderer: Renderer) -> None:
        self._model = model
        self._renderer = renderer
        self._stop_ids = frozenset(renderer.stop_token_ids)
        self.closed = threading.Event()
        """Once set, `generate` raises EngineError at its next token."""
        self.num_steps = 0
        """Forward passes so far."""

    def generate(self, work: Sequence[tuple[EngineRequest, int]]) -> list[Completion]:
        """One completion for each (request, most tokens), in order.

        Raises EngineError when closed, RuntimeError as torch does (out of memory).
        """
        with torch.inference_mode():
            return self._generate(work)

    def _generate(self, work: Sequence[tuple[EngineRequest, int]]) -> list[Completion]:
        start = time.perf_counter()
        rows, logits, mask, cache = self._prefill(work)
        live = rows
        while True:
            if self.closed.is_set():
                raise EngineError("the engine is closed")
            tokens = self._step(live, logits)
            for row in live:
                row.seconds = time.perf_counter() - start
            keep = [i for i, row in enumerate(live) if row.finish is None]
            if not keep:
                return [_completion(row) for row in rows]
            if len(keep) < len(live):
                kept = torch.tensor(keep, device=mask.device)
                cache.batch_select_indices(kept)
                live, mask, tokens = [live[i] for i in keep], mask[kept], tokens[kept]
            mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=1)
            self.num_steps += 1
            output = self._model(
                input_ids=tokens[:, None],
                attention_mask=mask,
                position_ids=mask.sum(dim=1, keepdim=True) - 1,
                past_key_values=cache,
                use_cache=True,
            )
            logits = output.logits[:, -1].float()

    def _prefill(
        self, work: Sequence[tuple[EngineRequest, int]]
    ) -> tuple[list[_Row], torch.Tensor, torch.Tensor, DynamicCache]:
        """Read each distinct prompt once, then give every row its own copy of the cache."""
        distinct: dict[tuple[int, ...], int] = {}
        rows, source = [], []
        for request, limit in work:
            known = request.prompt_ids in distinct
            source.append(distinct.setdefault(request.prompt_ids, len(distinct)))
            seed = request.seed
            rows.append(
                _Row(
                    request=request,
                    limit=limit,
                    # On CPU whatever the device, so that a seed means the same on all of them.
                    generator=None if seed is None else torch.Generator().manual_seed(seed),
                    cached_tokens=len(request.prompt_ids) if known else 0,
                )
            )
        cache = DynamicCache(config=self._model.config)
        logits, mask = self._forward(list(distinct), cache)
        indices = torch.tensor(source, device=mask.device)
        cache.batch_select_indices(indices)
        return rows, logits[indices], mask[indices], cache

    def _forward(
        self, prompts: Sequence[Sequence[int]], cache: DynamicCache | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits after the last token of each prompt [prompt][V] and the attention mask.

        Padding is on the left, masked, and outside the count of positions.
        """
        device, longest = self._model.device, max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self._renderer.pad_id)
        mask = torch.zeros_like(ids)
        for i, prompt in enumerate(prompts):
            ids[i, longest - len(prompt) :] = torch.tensor(prompt)
            mask[i, longest - len(prompt) :] = 1
        ids, mask = ids.to(device), mask.to(device)
        self.num_steps += 1
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=cache is not None,
            # The rest of the prompt's logits are rows x tokens x vocabulary, and nobody reads them.
            logits_to_keep=1,
        )
        return output.logits[:, -1].float(), mask

    def _step(self, rows: Sequence[_Row], logits: torch.Tensor) -> torch.Tensor:
        """Choose and record one token for each row. logits: [row][V]; returns ids [row]."""
        logprobs = logits.log_softmax(dim=-1)
        tokens = logits.argmax(dim=-1)
        groups: dict[tuple[Sampling, bool], list[int]] = defaultdict(list)
        for i, row in enumerate(rows):
            sampling, greedy = row.request.sampling, row.generator is None
            if not greedy or sampling.repetition_penalty != 1.0:
                groups[sampling, greedy].append(i)
        for (sampling, greedy), members in groups.items():
            some = [rows[i] for i in members]
            scores = _penalized(some, logits[members], sampling.repetition_penalty)
            tokens[members] = scores.argmax(dim=-1) if greedy else _draw(some, scores, sampling)
        chosen = logprobs.gather(1, tokens[:, None])[:, 0].tolist()
        for row, token, logprob in zip(rows, tokens.tolist(), chosen, strict=True):
            row.ids.append(token)
            row.logprobs.append(logprob)
            self._note_finish(row)
        for i, row in enumerate(rows):
            if top := min(row.request.top_logprobs, logprobs.shape[-1]):
                row.top_means.append(float(logprobs[i].topk(top).values.mean()))
        return tokens

    def _note_finish(self, row: _Row) -> None:
        """Set `finish` and `text` if the newest token ends the row."""
        if row.ids[-1] in self._stop_ids:
            row.finish, row.text = "stop", self._renderer.text(row.ids[:-1])
            return
        stops = row.request.sampling.stop
        if stops and (cut := self._stop_position(row.ids, stops)) is not None:
            row.finish, row.text = "stop", self._renderer.text(row.ids)[:cut]
        elif len(row.ids) >= row.limit:
            row.finish, row.text = "length", self._renderer.text(row.ids)

    def _stop_position(self, ids: Sequence[int], stops: Sequence[str]) -> int | None:
        """Where the earliest stop string begins in the text of the ids."""
        # A character takes at most four tokens, so a stop string that ended just now lies in this
        # tail; the whole text is decoded only when it does.
        tail = self._renderer.text(ids[-4 * max(map(len, stops)) - 8 :])
        if not any(stop in tail for stop in stops):
            return None
        text = self._renderer.text(ids)
        return min((text.index(stop) for stop in stops if stop in text), default=None)


def _penalized(rows: Sequence[_Row], logits: torch.Tensor, strength: float) -> torch.Tensor:
    """The logits with all tokens of prompt and reply penalized. logits: [row][V]."""
    scores = logits.clone()
    if strength != 1.0:
        penalty = RepetitionPenaltyLogitsProcessor(strength)
        for i, row in enumerate(rows):
            seen = torch.tensor([[*row.request.prompt_ids, *row.ids]], device=scores.device)
            scores[i : i + 1] = penalty(seen, scores[i : i + 1])
    return scores


def _draw(rows: Sequence[_Row], scores: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """One token for each row from its own generator. scores: [row][V]; returns ids [row]."""
    if sampling.temperature != 1.0:
        scores = TemperatureLogitsWarper(sampling.temperature)(None, scores)
    if sampling.top_k:
        scores = TopKLogitsWarper(sampling.top_k)(None, scores)
    if sampling.top_p < 1.0:
        scores = TopPLogitsWarper(sampling.top_p)(None, scores)
    cumulative = scores.double().softmax(dim=-1).cumsum(dim=-1)
    uniform = torch.cat(
        [torch.rand(1, 1, generator=row.generator, dtype=torch.float64) for row in rows]
    ).to(scores.device)
    # `right`: the first token whose cumulative probability exceeds the number, never one with none.
    tokens = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)[:, 0]
    return tokens.clamp(max=scores.shape[-1] - 1)


def _completion(row: _Row) -> Completion:
    assert row.finish is not None
    return Completion(
        text=row.text,
        finish_reason=row.finish,
        prompt_tokens=len(row.request.prompt_ids),
        token_ids=tuple(row.ids),
        logprobs=tuple(row.logprobs),
        top_mean_logprobs=tuple(row.top_means),
        cached_tokens=row.cached_tokens,
        seconds=row.seconds,
    )
