"""The one interface of every engine: token ids in; text, token ids, finish reason,
log-probabilities out.

An engine is plain Python that lives in one process. It knows nothing of items, roles, pools or Ray.
Many calls may be under way at once; an engine batches them as it can.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from actors.config import Sampling
from actors.types import Completion, KnownPair, Message, Reward

PROBE = "\x00probe"
"""Item id of the requests by which a host looks at its own engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """One prompt, one completion."""

    prompt_ids: tuple[int, ...]
    """Sent to the model as they are: BOS and chat template are already in. [T]"""
    sampling: Sampling
    seed: int | None
    """None decodes greedily; `sampling` then gives only its lengths and stops."""
    top_logprobs: int = 0
    """K > 0 asks for `Completion.top_mean_logprobs` over the K likeliest tokens."""
    item_id: str = ""
    """What a replay looks up."""
    question: str = ""
    """What a replay looks up when its rows have no item id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """A sequence of which the last tokens are scored: `ScoreRequest(ids=(1, 502, 17, 9), start=2)`
    asks for log P(17 | 1, 502) and log P(9 | 1, 502, 17).
    """

    ids: tuple[int, ...]
    """Prompt and continuation, at most `Engine.context` of them. [T]"""
    start: int
    """Position of the first token that is scored, from 1."""


class Prompts(Protocol):
    """Turns messages into token ids, the same way for every caller of an engine."""

    def render(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the prompt, BOS included where the model wants it. [T]"""
        ...

    def label_ids(self, labels: Sequence[str], messages: Sequence[Message]) -> list[int]:
        """The one token with which each label continues the prompt.

        Raises ConfigError when a label is not one token or two labels share theirs.
        """
        ...

    def continuations(
        self, messages: Sequence[Message], texts: Sequence[str]
    ) -> list[tuple[ScoreRequest, bool]]:
        """The tokens of the prompt continued by each text, and whether the two were joined; see
        `types.Continuation.is_joined`. [text]

        Raises ConfigError for an empty text.
        """
        ...


@runtime_checkable
class Engine(Protocol):
    """What hosts a language model."""

    prompts: Prompts
    context: int
    """Tokens of prompt and completion together."""
    device: str
    """Name of the GPU or processor that the model runs on."""

    @property
    def num_steps(self) -> int:
        """Grows with every step of the model, whatever a step is."""
        ...

    async def generate(self, requests: Sequence[EngineRequest]) -> list[Completion]:
        """One completion for each request, in order.

        The caller has made sure that each prompt leaves room for a token; a completion that would
        outgrow the context is cut there with finish reason `length`. Raises ItemError for a request
        that can't be served.
        """
        ...

    async def label_logprobs(
        self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]
    ) -> list[tuple[float, ...]]:
        """For each prompt, log P(label | prompt) of each label token over the whole vocabulary,
        nats. [prompt][label]
        """
        ...

    async def continuation_logprobs(
        self, requests: Sequence[ScoreRequest]
    ) -> list[tuple[float, ...]]:
        """Log-probability of each scored token given all tokens before it, over the whole
        vocabulary at temperature 1, nats. [request][T - start]

        Tokens that several sequences begin with are computed once.
        """
        ...

    async def close(self) -> None:
        """Give back memory, threads and processes. Calls under way are dropped."""
        ...


@runtime_checkable
class RewardEngine(Protocol):
    """What hosts a reward model: token ids of whole conversations in, scores out."""

    prompts: Any
    """`Conversations`; with weights, a `rendering.Renderer`."""
    context: int
    """Tokens that a conversation may have."""
    device: str
    parts: tuple[str, ...]
    """Names of `Reward.parts`."""
    known_pair: KnownPair | None
    """See `reward_models.Head`."""

    @property
    def num_steps(self) -> int:
        """See `Engine.num_steps`."""
        ...

    async def rewards(self, conversations: Sequence[Sequence[int]]) -> list[Reward]:
        """The score of each conversation's last turn, whatever else is asked at the time. What
        conversations begin with alike is computed once.

        The caller has made sure that each fits into the context. Raises ItemError for one that
        can't be scored.
        """
        ...

    async def close(self) -> None:
        """See `Engine.close`."""
        ...


@runtime_checkable
class PairEngine(Protocol):
    """What hosts an encoder that compares two replies: token ids of comparisons in, logits out."""

    prompts: Any
    """`reward_models.comparisons.Comparisons`."""
    context: int
    """Tokens that a comparison may have."""
    device: str
    head: str
    """The head's shape, for people to read."""

    @property
    def num_steps(self) -> int:
        """See `Engine.num_steps`."""
        ...

    async def preferences(self, comparisons: Sequence[Sequence[int]]) -> list[float]:
        """How much the reply that is shown first is preferred, raw logits: above 0 it is better.

        The caller has made sure that each fits. Raises ItemError for one that does not fit in
        memory, EngineError.
        """
        ...

    async def close(self) -> None:
        """See `Engine.close`."""
        ...


class Conversations(Protocol):
    """Turns finished conversations into token ids."""

    def conversation(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation whose last turn is complete. [T]"""
        ...
