"""One replica's side of a pool: an engine, the prompts it reads, and the calls that arrive.

A host is plain Python; the cluster makes a Ray actor of it. Items come in, completions go out:
rendering happens here, next to the tokenizer, so the driver never needs one. Whatever an engine
raises leaves as one of our own errors, as text: a vLLM exception that is unpickled elsewhere would
import vLLM there.
"""

import math
import os
import platform
import time
from collections import defaultdict
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, TypeVar

from actors.config import ModelConfig, Sampling
from actors.engines import ENGINES, build
from actors.engines.base import (
    PROBE,
    Engine,
    EngineRequest,
    PairEngine,
    RewardEngine,
    ScoreRequest,
)
from actors.rendering import Renderer
from actors.roles import LabelLogprobs
from actors.tournament import Pair
from actors.types import (
    Completion,
    ConfigError,
    Continuation,
    EngineError,
    Item,
    ItemError,
    LilliputError,
    Message,
    Preview,
    Reward,
)

T = TypeVar("T")

PROBES = (
    "Name the capital of France.",
    "Count on: 1, 2, 3, 4, 5, 6,",
    "Is water wet? Answer yes or no.",
)
REPLY = Message(role="assistant", content="Yes.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostInfo:
    """What a healthy host says of itself."""

    pid: int
    node: str
    device: str
    """What the model runs on: a GPU's name, or the processor's."""
    context: int
    seconds: float
    """From the process's first step to a loaded engine that has answered once."""
    probe: tuple[float, ...]
    """See `Host.probe`."""
    parts: tuple[str, ...] = ()
    """Of a reward model: names of `Reward.parts`."""


class Host:
    """Hosts one engine. Build it, `start()` it once, then call it as often as you like,
    concurrently.
    """

    def __init__(self, name: str, config: ModelConfig, number: int = 0, life: int = 0) -> None:
        self._name = name
        self._number = number
        self._config = config
        self._life = life
        self._engine: Engine | RewardEngine | PairEngine | None = None

    def __repr__(self) -> str:
        """Of this replica; Ray names its log lines by it."""
        return f"{self._name}-{self._number}.{self._life}"

    async def start(self) -> HostInfo:
        """Load the engine. Raises ConfigError (the request is wrong) or EngineError (the engine
        is).
        """
        begin = time.monotonic()
        try:
            self._engine = build(self._config, life=self._life)
        except ConfigError:
            raise
        except (
            Exception
        ) as error:  # Anything at all may come out of an engine's start; it must leave as text.
            raise EngineError(f"model {self._name!r} did not start: {_one_line(error)}") from None
        if ENGINES[self._config.engine].serves <= {"reward", "pairs"}:
            from actors.reward_models.trust import trusted

            assert isinstance(self._engine, RewardEngine | PairEngine), "as it serves"
            await self._guard(trusted(self._engine, self._config))
        # The first answer is slow, and belongs to the start.
        probe = await self.probe()
        return HostInfo(
            pid=os.getpid(),
            node=platform.node(),
            device=self._engine.device,
            context=self._engine.context,
            seconds=time.monotonic() - begin,
            probe=probe,
            parts=self._engine.parts if isinstance(self._engine, RewardEngine) else (),
        )

    async def probe(self) -> tuple[float, ...]:
        """Log-probability of the first token that greedy decoding gives to each of PROBES, and of a
        reward model its scores of fixed replies to them, as shares of their spread: the same on
        every replica that hosts the same weights. Empty where an engine has none to give.
        """
        if not isinstance(self._engine, Engine):
            found = await self._scored_probes()
            # Raw scores have any scale, and rounding moves them by a part of it: what counts is how
            # far they are apart.
            middle, spread = fmean(found), max(1.0, max(found) - min(found))
            return tuple((value - middle) / spread for value in found)
        engine = self._loaded()
        messages = [(Message(role="user", content=text),) for text in PROBES]
        rendered = [tuple(engine.prompts.render(turns)) for turns in messages]
        if not all(rendered) or max(map(len, rendered)) >= engine.context:
            return ()
        requests = [
            EngineRequest(prompt_ids=ids, sampling=Sampling(max_tokens=1), seed=None, item_id=PROBE)
            for ids in rendered
        ]
        completions = await self._guard(engine.generate(requests))
        return tuple(completion.logprobs[0] for completion in completions)

    async def _scored_probes(self) -> list[float]:
        if isinstance(self._engine, PairEngine):
            question = (Message(role="user", content=PROBES[0]),)
            pairs = [(0, 1), (1, 2), (2, 0)]
            return [
                logit
                for logit, _ in await self.preferences(question, ("Paris", *PROBES[1:]), pairs)
            ]
        scored = [(Message(role="user", content=text), REPLY) for text in PROBES]
        return [reward.value for reward in await self.rewards(scored) if reward]

    async def generate(
        self, item: Item, seeds: Sequence[int | None], sampling: Sampling, top_logprobs: int
    ) -> list[Completion]:
        """See `roles.Model.generate`."""
        engine = self._loaded()
        prompts = engine.prompts if isinstance(engine.prompts, Renderer) else None
        ids = tuple(engine.prompts.render(item.messages))
        self._check_length(len(ids))
        if prompts and prompts.stops:
            stop = tuple(dict.fromkeys((*sampling.stop, *prompts.stops)))
            sampling = sampling.model_copy(update={"stop": stop})
        requests = [
            EngineRequest(
                prompt_ids=ids,
                sampling=sampling,
                seed=seed,
                top_logprobs=top_logprobs,
                item_id=item.id,
                question=item.question,
            )
            for seed in seeds
        ]
        begin = time.monotonic()
        completions = await self._guard(engine.generate(requests))
        seconds = time.monotonic() - begin
        # The model starts inside a thought that its template opened: without the tag nobody who
        # reads the text later could tell the thought from the answer.
        opening = prompts.opening(ids) if prompts else ""
        return [
            replace(c, text=opening + c.text, seconds=c.seconds or seconds) for c in completions
        ]

    async def room(self, prompts: Sequence[tuple[Message, ...]]) -> list[int]:
        """See `roles.Model.room`."""
        engine = self._loaded()
        return [engine.context - len(engine.prompts.render(messages)) for messages in prompts]

    async def preview(self, item: Item) -> Preview | None:
        """See `roles.Model.preview`."""
        assert self._engine is not None, "start() the host first"
        prompts = self._engine.prompts
        return prompts.preview(item.messages) if isinstance(prompts, Renderer) else None

    async def label_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], labels: Sequence[str]
    ) -> list[LabelLogprobs]:
        """See `roles.Model.label_logprobs`."""
        engine = self._loaded()
        rendered = [engine.prompts.render(messages) for messages in prompts]
        label_ids = engine.prompts.label_ids(labels, prompts[0])
        # One text that is too long to be judged must not cost the item its other candidates.
        fitting = [ids for ids in rendered if len(ids) < engine.context]
        found = await self._guard(engine.label_logprobs(fitting, label_ids)) if fitting else []
        rows = iter(found)
        return [
            (next(rows), len(ids)) if len(ids) < engine.context else (None, 0) for ids in rendered
        ]

    async def continuation_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], continuations: Sequence[str]
    ) -> list[Continuation | None]:
        """See `roles.Model.continuation_logprobs`."""
        engine = self._loaded()
        by_prompt: dict[tuple[Message, ...], list[int]] = defaultdict(list)
        for i, messages in enumerate(prompts):
            by_prompt[messages].append(i)
        rendered: dict[int, tuple[ScoreRequest, bool]] = {}
        for messages, members in by_prompt.items():
            texts = [continuations[i] for i in members]
            tokens = engine.prompts.continuations(messages, texts)
            rendered.update(zip(members, tokens, strict=True))
        # One continuation that is too long must not cost the item the others.
        fitting = [i for i, (request, _) in rendered.items() if len(request.ids) <= engine.context]
        requests = [rendered[i][0] for i in fitting]
        rows = await self._guard(engine.continuation_logprobs(requests)) if requests else []
        found: list[Continuation | None] = [None] * len(prompts)
        for i, row in zip(fitting, rows, strict=True):
            request, is_joined = rendered[i]
            found[i] = Continuation(
                logprob=math.fsum(row),
                tokens=len(row),
                prompt_tokens=request.start,
                is_joined=is_joined,
            )
        return found

    async def rewards(self, conversations: Sequence[tuple[Message, ...]]) -> list[Reward | None]:
        """See `roles.Model.rewards`."""
        engine = self._rewarding()
        rendered = [engine.prompts.conversation(messages) for messages in conversations]
        # One reply that is too long must not cost the item its other candidates.
        fitting = [ids for ids in rendered if len(ids) <= engine.context]
        rows = iter(await self._guard(engine.rewards(fitting)) if fitting else [])
        return [next(rows) if len(ids) <= engine.context else None for ids in rendered]

    async def preferences(
        self, messages: Sequence[Message], texts: Sequence[str], pairs: Sequence[Pair]
    ) -> list[tuple[float, int]]:
        """See `roles.Model.preferences`."""
        engine = self._engine
        assert isinstance(engine, PairEngine), "check_serves lets no other engine pass"
        rendered = engine.prompts.comparisons(messages, texts, pairs)
        logits = await self._guard(engine.preferences(rendered))
        return [(logit, len(ids)) for logit, ids in zip(logits, rendered, strict=True)]

    async def pulse(self) -> int:
        """Grows while the engine works; whoever sees it stand still while calls are under way knows
        that the engine is stuck.
        """
        assert self._engine is not None, "start() the host first"
        return self._engine.num_steps

    async def stop(self) -> None:
        """Close the engine."""
        if self._engine is not None:
            await self._engine.close()
            self._engine = None

    def _loaded(self) -> Engine:
        engine: Any = self._engine
        assert engine is not None, "start() the host first"
        assert hasattr(engine, "generate"), "check_serves lets no reward model pass"
        checked: Engine = engine
        return checked

    def _rewarding(self) -> RewardEngine:
        engine = self._engine
        assert isinstance(engine, RewardEngine), "check_serves lets no other engine pass"
        return engine

    def _check_length(self, num_tokens: int) -> None:
        context = self._loaded().context
        if num_tokens >= context:
            raise ItemError(
                "too_long",
                f"the prompt has {num_tokens} tokens; model {self._name!r} reads at most {context}",
            )

    async def _guard(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except LilliputError:
            raise
        except Exception as error:  # Engines raise what they like; nothing of theirs may leave.
            raise EngineError(f"model {self._name!r}: {_one_line(error)}") from None


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:600]}"
