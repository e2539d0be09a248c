"""An engine without a model: same prompt and seed, same text, at a settable pace and with settable
faults.

It ships because users need it too: to rehearse a cluster, a config or a failure before any weights
are loaded. A token is a word. Faults that end the process (`die_after`) or fall silent
(`stall_after`) strike only in a replica's first life, so that the replacement goes on.
"""

import asyncio
import hashlib
import math
import os
import random
import signal
from collections.abc import Sequence
from dataclasses import replace

from actors.config import ModelConfig
from actors.engines.base import PROBE, EngineRequest, ScoreRequest
from actors.machine import processor
from actors.types import Completion, ConfigError, ItemError, KnownPair, Message, Reward

VOCABULARY = 50_000
STEP = 0.1
"""Seconds of waiting that count as one step."""


def _hash(*parts: object) -> int:
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


class WordPrompts:
    """A tokenizer for which a token is a word, hashed to an id."""

    def render(self, messages: Sequence[Message]) -> list[int]:
        """One id for each word of all messages, roles included."""
        words = [word for m in messages for word in (m.role, *m.content.split())]
        return [_hash(word) % VOCABULARY for word in words]

    def conversation(self, messages: Sequence[Message]) -> list[int]:
        """As `render`."""
        return self.render(messages)

    def label_ids(self, labels: Sequence[str], messages: Sequence[Message]) -> list[int]:
        """One id for each label. Raises ConfigError for a label of several words."""
        for label in labels:
            if len(label.split()) != 1:
                raise ConfigError(f"label {label!r} is not one token")
        return [_hash(label) % VOCABULARY for label in labels]

    def continuations(
        self, messages: Sequence[Message], texts: Sequence[str]
    ) -> list[tuple[ScoreRequest, bool]]:
        """The prompt's ids and one id for each word of a text, never joined. [text]

        Raises ConfigError for a text without a word.
        """
        prompt = tuple(self.render(messages)) or (0,)
        requests = []
        for text in texts:
            words = tuple(_hash(word) % VOCABULARY for word in text.split())
            if not words:
                raise ConfigError(f"continuation {text!r} is empty; it needs a word")
            requests.append((ScoreRequest(ids=prompt + words, start=len(prompt)), False))
        return requests


class FakeEngine:
    """See the module's docstring; settings are `FakeConfig`, under `models.<name>.fake`."""

    def __init__(self, config: ModelConfig, *, life: int = 0) -> None:
        self.prompts = WordPrompts()
        self.parts: tuple[str, ...] = ("made-up",)
        self.known_pair: KnownPair | None = None
        self.context = config.fake.context
        self.device = processor()
        self.num_steps = 0
        self._fake = config.fake
        self._first_life = life == 0
        self._num_calls = 0

    async def generate(self, requests: Sequence[EngineRequest]) -> list[Completion]:
        """One seeded text for each request, after the configured latency."""
        if requests and requests[0].item_id == PROBE:
            return self._answers(requests)
        await self._fault(requests[0].prompt_ids if requests else ())
        completions = self._answers(requests)
        await self._wait(max((len(c.token_ids) for c in completions), default=0))
        return completions

    def _answers(self, requests: Sequence[EngineRequest]) -> list[Completion]:
        completions = [self._complete(request) for request in requests]
        if self._due(self._fake.faults.drift_after):
            return [_drifted(completion) for completion in completions]
        return completions

    async def label_logprobs(
        self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]
    ) -> list[tuple[float, ...]]:
        """Made-up probabilities that sum to 0.9 over the labels, fixed by prompt and label."""
        await self._fault(prompts[0] if prompts else ())
        await self._wait(1)
        rows = []
        for prompt in prompts:
            weights = [1 + _hash(tuple(prompt), label) % 1000 for label in label_ids]
            rows.append(tuple(math.log(0.9 * w / sum(weights)) for w in weights))
        return rows

    async def continuation_logprobs(
        self, requests: Sequence[ScoreRequest]
    ) -> list[tuple[float, ...]]:
        """Made-up log-probabilities from -8 to 0, each fixed by its token and all before it."""
        await self._fault(requests[0].ids if requests else ())
        await self._wait(sum(len(r.ids) - r.start for r in requests))
        drift = 5.0 if self._due(self._fake.faults.drift_after) else 0.0
        return [
            tuple(
                -(_hash(r.ids[: t + 1]) % 8000) / 1000 - drift for t in range(r.start, len(r.ids))
            )
            for r in requests
        ]

    async def rewards(self, conversations: Sequence[Sequence[int]]) -> list[Reward]:
        """Made-up scores from -4 to 4, each fixed by its conversation; the one part is the same."""
        await self._fault(conversations[0] if conversations else ())
        await self._wait(1)
        drift = 5.0 if self._due(self._fake.faults.drift_after) else 0.0
        values = [_hash("reward", *ids) % 8000 / 1000 - 4.0 - drift for ids in conversations]
        return [
            Reward(value=value, parts=(value,), tokens=len(ids))
            for value, ids in zip(values, conversations, strict=True)
        ]

    async def close(self) -> None:
        """Nothing to give back."""

    def _complete(self, request: EngineRequest) -> Completion:
        # A random.Random of the seed, not the global one: calls interleave.
        rng = random.Random(_hash(request.prompt_ids, request.seed))
        if self._fake.texts:
            texts = self._fake.texts
            text = texts[0] if request.seed is None else rng.choice(texts)
        else:
            a, b = rng.randint(1, 6), rng.randint(1, 6)
            text = f"First there are {a} and then {b} more, so {a} + {b} = {a + b}. #### {a + b}"
        for stop in request.sampling.stop:
            text = text.partition(stop)[0]
        room = min(request.sampling.max_tokens, self.context - len(request.prompt_ids))
        words = text.split(" ")
        cut = len(words) > room
        text = " ".join(words[:room]) if cut else text
        ids = tuple(_hash(word) % VOCABULARY for word in words[:room])
        logprobs = tuple(-rng.random() for _ in ids)
        top = tuple(lp - 3.0 for lp in logprobs) if request.top_logprobs else ()
        return Completion(
            text=text,
            finish_reason="length" if cut else "stop",
            prompt_tokens=len(request.prompt_ids),
            token_ids=ids,
            logprobs=logprobs,
            top_mean_logprobs=top,
        )

    async def _wait(self, num_tokens: int) -> None:
        rate = self._fake.token_rate
        seconds = self._fake.latency + (num_tokens / rate if rate else 0.0)
        while seconds > 0:
            await asyncio.sleep(min(seconds, STEP))
            seconds -= STEP
            self.num_steps += 1

    async def _fault(self, prompt: Sequence[int]) -> None:
        self._num_calls += 1
        faults = self._fake.faults
        if _holds(prompt, faults.poison) or self._due(faults.die_after):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._due(faults.stall_after):
            await asyncio.Event().wait()
        if _holds(prompt, faults.fail):
            raise RuntimeError("fake fault: the engine fails at this prompt")
        if _hash("fault", tuple(prompt)) % 10_000 < faults.error_rate * 10_000:
            raise ItemError("error", "fake fault: this prompt fails")

    def _due(self, number: int | None) -> bool:
        return self._first_life and number is not None and self._num_calls >= number


def _drifted(completion: Completion) -> Completion:
    logprobs = tuple(logprob - 5.0 for logprob in completion.logprobs)
    return replace(completion, text=f"garbage {completion.text}", logprobs=logprobs)


def _holds(prompt: Sequence[int], word: str | None) -> bool:
    return word is not None and _hash(word) % VOCABULARY in prompt
