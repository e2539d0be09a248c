"""A Generator made of one hosted model: N seeded draws, and the greedy candidate on request."""

import hashlib
import math
from collections.abc import Sequence

from actors.config import Sampling
from actors.roles import Model
from actors.types import Candidate, Completion, Item, Message


def candidate_seed(run_seed: int, item_id: str, member: str, index: int) -> int:
    """Seed of one draw, in [0, 2^31).

    A hash, because engines that count seeds up from a base would make neighbouring items share
    draws. It depends on nothing but its arguments: not on replicas, shards, batches or retries.
    """
    text = f"{run_seed}|{item_id}|{member}|{index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFF_FFFF


class ModelGenerator:
    """See the module's docstring. `top_logprobs` K > 0 fills `Candidate.certainty`, at some
    cost.
    """

    def __init__(self, model: Model, *, seed: int, top_logprobs: int = 0) -> None:
        self._model = model
        self._seed = seed
        self._top = top_logprobs

    async def generate(
        self,
        item: Item,
        *,
        n: int,
        sampling: Sampling,
        greedy: bool = False,
        only: Sequence[int] | None = None,
    ) -> list[Candidate]:
        """See `roles.Generator`. Greedy and draws go out as one call, so they share one prefill."""
        name = self._model.name
        sampling = _limited(sampling, item)
        draws = range(n) if only is None else only
        seeds: list[int | None] = [candidate_seed(self._seed, item.id, name, i) for i in draws]
        indices: list[int] = list(draws)
        if greedy:
            seeds, indices = [None, *seeds], [-1, *indices]
        completions = await self._model.generate(
            item, seeds=seeds, sampling=sampling, top_logprobs=self._top
        )
        return [
            self._candidate(index, seed, completion)
            for index, seed, completion in zip(indices, seeds, completions, strict=True)
        ]

    async def room(self, prompts: Sequence[tuple[Message, ...]]) -> list[int]:
        """See `roles.Model.room`."""
        return await self._model.room(prompts)

    def _candidate(self, index: int, seed: int | None, completion: Completion) -> Candidate:
        tokens, logprob = completion.num_tokens, completion.logprob
        if completion.token_ids:
            tokens, logprob = len(completion.token_ids), sum(completion.logprobs)
        return Candidate(
            index=index,
            member=self._model.name,
            decoding="greedy" if seed is None else "sample",
            text=completion.text,
            finish_reason=completion.finish_reason,
            prompt_tokens=completion.prompt_tokens,
            tokens=tokens,
            logprob=logprob,
            # Replayed text was not drawn from our seed.
            seed=seed if completion.token_ids else None,
            seconds=completion.seconds,
            certainty=_certainty(completion.top_mean_logprobs, self._top),
            recorded_scores=completion.recorded_scores,
            cached_tokens=completion.cached_tokens,
        )


def _limited(sampling: Sampling, item: Item) -> Sampling:
    """With the item's own stops and limit."""
    if not item.stop and item.max_tokens is None:
        return sampling
    stop = tuple(dict.fromkeys((*sampling.stop, *item.stop)))
    longest = min(sampling.max_tokens, item.max_tokens or sampling.max_tokens)
    return sampling.model_copy(update={"stop": stop, "max_tokens": longest})


def _certainty(top_mean_logprobs_T: Sequence[float], top: int) -> float | None:
    """Mean over tokens of -(1/K) sum log(K p): 0 where the K likeliest are equal and hold all
    mass.
    """
    if not top_mean_logprobs_T:
        return None
    return -sum(top_mean_logprobs_T) / len(top_mean_logprobs_T) - math.log(top)
