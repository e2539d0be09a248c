"""The one interface of every engine: token ids in; text, token ids, finish reason,
log-probabilities out.

An engine is plain Python that lives in one process. It knows nothing of items, roles, pools or Ray.
Many calls may be under way at once; an engine batches them as it can.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from actors.config import Sampling
from actors.types import Completion, Message

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


class Engine(Protocol):
    """What hosts the weights."""

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

    async def close(self) -> None:
        """Give back memory, threads and processes. Calls under way are dropped."""
        ...
