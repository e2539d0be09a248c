"""The capabilities that pipelines ask for. They say what, never where.

Model      hosted weights: generate, log-probabilities, rewards   cluster.hosted, test fakes
Generator  item -> candidates                                      actors.generator
Scorer     item, candidates -> one score each                      actors.scorers
Sandbox    a model's program and its tests -> how they ended       cluster.hosted
"""

from collections.abc import Sequence
from typing import Protocol

from actors.config import Sampling
from actors.sandbox.types import Program, Verdict
from actors.tournament import Pair
from actors.types import Candidate, Completion, Continuation, Item, Message, Preview, Reward, Score

LabelLogprobs = tuple[tuple[float, ...] | None, int]
"""Log-probability of each label, and the prompt's tokens; None and 0 where it is too long."""


class Model(Protocol):
    """One set of hosted weights, wherever it lives."""

    name: str
    """The key under `models:`; candidates carry it as their member."""

    async def generate(
        self, item: Item, *, seeds: Sequence[int | None], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        """One completion for each seed, in order; the seed None decodes greedily.

        Raises ItemError (`too_long` when the prompt leaves no room in the context), EngineError.
        """
        ...

    async def label_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], labels: Sequence[str]
    ) -> list[LabelLogprobs]:
        """For each prompt: log P(label | prompt) of each one-token label (nats), and the prompt's
        tokens.

        Raises ConfigError when a label is not one token, ItemError, EngineError.
        """
        ...

    async def continuation_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], continuations: Sequence[str]
    ) -> list[Continuation | None]:
        """log P(continuation | prompt), exact sums over the continuation's tokens, for each pair of
        a prompt and a continuation. None: too long for the context together.

        With a chat template a continuation is the beginning of the reply, and white space in front
        of it is dropped. Prompts that begin alike are read once, within a call and across calls.

        Raises ConfigError (an empty continuation, an engine without weights), ItemError,
        EngineError.
        """
        ...

    async def rewards(self, conversations: Sequence[tuple[Message, ...]]) -> list[Reward | None]:
        """What a reward model says of the last turn of each conversation. None: too long.

        Conversations that begin alike are read once, within a call and across calls. Raises
        ItemError (nothing there that it can score), EngineError.
        """
        ...

    async def preferences(
        self, messages: Sequence[Message], texts: Sequence[str], pairs: Sequence[Pair]
    ) -> list[tuple[float, int]]:
        """Of each pair of texts, as replies to the prompt: how much an encoder prefers the one that
        is shown first (a raw logit, above 0 where it is better), and the tokens read for it.

        Raises ItemError (`too_long` for a prompt and for a text over the model's limits),
        ConfigError for turns that it has no format for, EngineError.
        """
        ...

    async def room(self, prompts: Sequence[tuple[Message, ...]]) -> list[int]:
        """Tokens that a reply to each prompt may have: the context less the prompt. Below 1: the
        prompt itself is too long.

        Raises ConfigError for messages that the template refuses, EngineError.
        """
        ...

    async def preview(self, item: Item) -> Preview | None:
        """The item's prompt as `generate` renders it, however long. None: an engine without a
        tokenizer.

        Raises ConfigError for messages that the template refuses, ItemError, EngineError.
        """
        ...


class Generator(Protocol):
    """Draws candidates."""

    async def generate(
        self,
        item: Item,
        *,
        n: int,
        sampling: Sampling,
        greedy: bool = False,
        only: Sequence[int] | None = None,
    ) -> list[Candidate]:
        """N draws in the order of their index, after the greedy candidate if that is asked for;
        with `only`, just the draws that have these indices.

        A draw depends on nothing but the run's seed, the item, the model and the index.
        """
        ...

    async def room(self, prompts: Sequence[tuple[Message, ...]]) -> list[int]:
        """See `Model.room`; of several models, the least."""
        ...


class Scorer(Protocol):
    """Says how good each candidate is."""

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        """One score for each candidate, in order."""
        ...


class Sandbox(Protocol):
    """Runs what models wrote, apart from everything else."""

    async def run(self, program: Program) -> Verdict:
        """How the program's tests ended. Raises ItemError (replicas died of it),
        EngineError.
        """
        ...
