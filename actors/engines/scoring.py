"""Log-probabilities of given tokens with transformers."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from actors.engines.reading import Picks, Reader
from actors.engines.trees import Pick

CHUNK = {True: 1 << 20, False: 1 << 26}
"""Logits that are made log-probabilities at once, on a CPU and on a GPU."""

NOISE = {torch.float32: 1e-3}
"""Mean difference, nats, between two ways to read the same tokens that is only rounding."""
ROUGH_NOISE = 0.15
"""The same in half precision."""


class Likelihoods(Reader[float]):
    """The log-probability of each scored token given all before it, nats, in float32."""

    def __init__(self, model: Any, closed: threading.Event) -> None:
        super().__init__(model, closed, width=model.config.get_text_config().vocab_size)

    def _output(self, num_kept: int, **inputs: Any) -> torch.Tensor:
        logits: torch.Tensor = self._model(logits_to_keep=num_kept, **inputs).logits
        return logits

    def _values(self, output: torch.Tensor, picks: Picks) -> Iterator[tuple[Pick, float]]:
        # A few columns at a time: float32 copies of all would fill the memory, and no cache holds
        # them.
        size = max(1, CHUNK[output.device.type == "cpu"] // output.shape[-1])
        chunks: dict[int, Picks] = defaultdict(list)
        for column, pick in picks:
            chunks[column // size].append((column % size, pick))
        for number, held in chunks.items():
            logprobs = output[number * size : (number + 1) * size].float().log_softmax(dim=-1)
            rows, tokens = [column for column, _ in held], [pick.token for _, pick in held]
            chosen = logprobs[rows, tokens].tolist()
            yield from zip((pick for _, pick in held), chosen, strict=True)

    def _is_noise(self, values: Sequence[float], others: Sequence[float]) -> bool:
        apart = [abs(a - b) for a, b in zip(values, others, strict=True)]
        return sum(apart) / len(apart) < NOISE.get(self._model.dtype, ROUGH_NOISE)
