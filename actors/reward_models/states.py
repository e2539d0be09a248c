"""No head at all: the hidden states that a head would read, as the parts of a score.

What `train-reward` fits heads on. A language model's directory is enough.
"""

from collections.abc import Sequence

import torch

from actors.reward_models.armorm import gate_position
from actors.types import KnownPair, Reward


class States:
    """Parts: the state where the prompt ends, then that of the last token. The score is the number
    of the conversation's tokens.
    """

    def __init__(self, width: int, pattern: Sequence[int]) -> None:
        self.pattern = tuple(pattern)
        self.known_pair: KnownPair | None = None
        self.parts = (
            *(f"gate-{i}" for i in range(width)),
            *(f"last-{i}" for i in range(width)),
        )

    def reads(self, ids: Sequence[int]) -> tuple[int, ...]:
        """As an ArmoRM head does."""
        return (gate_position(ids, self.pattern), len(ids) - 1)

    def rewards(self, states_BPH: torch.Tensor, num_tokens: Sequence[int]) -> list[Reward]:
        """See `Head`."""
        rows = zip(states_BPH.flatten(1).tolist(), num_tokens, strict=True)
        return [Reward(value=float(num), parts=tuple(row), tokens=num) for row, num in rows]
