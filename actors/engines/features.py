"""Hidden states of given tokens with transformers: what reward models read."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from actors.engines.reading import Picks, Reader
from actors.engines.trees import Pick

NOISE = {torch.float32: 1e-3}
"""How far two ways to read the same tokens may be apart, as a share of the vectors' length, for it
to be only rounding."""
ROUGH_NOISE = 0.1
"""The same in half precision."""


class Features(Reader[torch.Tensor]):
    """The last layer's output, after its norm, at the token before each scored one. [H], float32 on
    the CPU. Which token is scored doesn't matter: it is not read.

    model: the body of a language model, without its head.
    """

    def __init__(self, model: Any, closed: threading.Event) -> None:
        super().__init__(model, closed, width=model.config.get_text_config().hidden_size)

    def _output(self, num_kept: int, **inputs: Any) -> torch.Tensor:
        hidden: torch.Tensor = self._model(**inputs).last_hidden_state
        return hidden[:, -num_kept:]

    def _values(self, output: torch.Tensor, picks: Picks) -> Iterator[tuple[Pick, torch.Tensor]]:
        vectors = output[[column for column, _ in picks]].float().cpu()
        yield from zip((pick for _, pick in picks), vectors, strict=True)

    def _is_noise(self, values: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> bool:
        one, other = torch.stack([*values]), torch.stack([*others])
        apart = (one - other).norm(dim=-1) / other.norm(dim=-1)
        return float(apart.mean()) < NOISE.get(self._model.dtype, ROUGH_NOISE)
