"""How given texts are scored by vLLM: which requests are made for them, and what is made twice.

    one-token texts after the same prompt --> one request that asks for their tokens
    longer texts --> one request each, whose prompt is all of it: rows of its own tokens
                     a long prompt is read into the prefix cache first, and its rows never made

vLLM keeps keys and values in its prefix cache and no log-probabilities. Scored tokens that were
read from the cache have none: the first one, where the prompt fills its blocks; all of them, where
the same request ran before. Few are asked for one by one; for many the request is made again, and
reads nothing from the cache. Doesn't import vLLM.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from actors.engines.base import ScoreRequest
from actors.engines.vllm_outputs import scored
from actors.types import EngineError

MAX_TOKEN_IDS = 128
"""Tokens that one request may ask for (vLLM's MAX_LOGPROB_TOKEN_IDS)."""

IN_FLIGHT = 16384
"""Most scored tokens in requests that run at once."""

BLOCK = 16
"""Tokens, about, that a request reads although they are in the cache: its last block."""

LONG_PROMPT = 64
"""Tokens from which on a prompt is read first: a row of it is as large as the vocabulary."""


class Requests(Protocol):
    """The requests of vLLM that this takes."""

    async def label_logprobs(
        self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]
    ) -> list[tuple[float, ...]]:
        """See `base.Engine.label_logprobs`."""
        ...

    async def prompt_rows(
        self, ids: Sequence[int], *, reads_cache: bool
    ) -> tuple[Sequence[Any], int]:
        """vLLM's `prompt_logprobs` of a prompt, and its tokens that were read from the cache."""
        ...

    async def prefill(self, ids: Sequence[int]) -> None:
        """Read a prompt into the prefix cache."""
        ...


class Room:
    """At most `total` units are held at once; who wants more than all waits to be alone."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._held = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def take(self, num: int) -> AsyncIterator[None]:
        """Wait until there is room for `num`; it is held as long as the context."""
        num = min(num, self._total)
        async with self._changed:
            await self._changed.wait_for(lambda: self._held + num <= self._total)
            self._held += num
        try:
            yield
        finally:
            async with self._changed:
                self._held -= num
                self._changed.notify_all()


class VLLMScoring:
    """See the module's docstring. `context`: tokens of a prompt and at least one more."""

    def __init__(self, requests: Requests, context: int, in_flight: int = IN_FLIGHT) -> None:
        self._requests = requests
        self._context = context
        self._room = Room(in_flight)

    async def logprobs(self, requests: Sequence[ScoreRequest]) -> list[tuple[float, ...]]:
        """See `base.Engine.continuation_logprobs`."""
        pieces = [list(self._pieces(request)) for request in requests]
        distinct = dict.fromkeys(piece for group in pieces for piece in group)
        single = [piece for piece in distinct if len(piece.ids) - piece.start == 1]
        longer = [piece for piece in distinct if len(piece.ids) - piece.start > 1]
        found = await asyncio.gather(self._single(single), self._longer(longer))
        values = found[0] | found[1]
        return [tuple(v for piece in group for v in values[piece]) for group in pieces]

    def _pieces(self, request: ScoreRequest) -> Iterable[ScoreRequest]:
        """The request, in two where it leaves no room for the token that vLLM always makes."""
        last = len(request.ids) - 1
        if last + 1 < self._context or last == request.start:
            return [request]
        head = ScoreRequest(ids=request.ids[:last], start=request.start)
        return [head, ScoreRequest(ids=request.ids, start=last)]

    async def _single(
        self, requests: Sequence[ScoreRequest]
    ) -> dict[ScoreRequest, tuple[float, ...]]:
        by_prompt: dict[tuple[int, ...], list[ScoreRequest]] = defaultdict(list)
        for request in requests:
            by_prompt[request.ids[:-1]].append(request)
        asked = [
            (prompt, members[i : i + MAX_TOKEN_IDS])
            for prompt, members in by_prompt.items()
            for i in range(0, len(members), MAX_TOKEN_IDS)
        ]
        rows = await asyncio.gather(
            *(
                self._requests.label_logprobs([prompt], [m.ids[-1] for m in members])
                for prompt, members in asked
            )
        )
        return {
            member: (value,)
            for (_, members), (row,) in zip(asked, rows, strict=True)
            for member, value in zip(members, row, strict=True)
        }

    async def _longer(
        self, requests: Sequence[ScoreRequest]
    ) -> dict[ScoreRequest, tuple[float, ...]]:
        prompts = dict.fromkeys(r.ids[: r.start] for r in requests if r.start >= LONG_PROMPT)
        await asyncio.gather(*map(self._requests.prefill, prompts))
        values = await asyncio.gather(*map(self._one, requests))
        return dict(zip(requests, values, strict=True))

    async def _one(self, request: ScoreRequest) -> tuple[float, ...]:
        ids, start = request.ids, request.start
        async with self._room.take(len(ids) - start):
            rows, num_cached = await self._requests.prompt_rows(ids, reads_cache=True)
            values = scored(request, rows, num_cached)
            missing = [start + i for i, value in enumerate(values) if value is None]
            if len(missing) * BLOCK <= len(ids):
                ask = self._requests.label_logprobs
                found = await asyncio.gather(*(ask([ids[:t]], [ids[t]]) for t in missing))
                for t, ((value,),) in zip(missing, found, strict=True):
                    values[t - start] = value
            else:
                rows, _ = await self._requests.prompt_rows(ids, reads_cache=False)
                values = scored(request, rows, 0)
        if None in values:
            raise EngineError(
                f"vLLM returned {len(rows)} rows of log-probabilities for a prompt of {len(ids)} "
                f"tokens, and not those of the scored ones"
            )
        return tuple(value for value in values if value is not None)
