"""PairRM's head: from the states of a comparison's prefix tokens to one logit.

    worth(c) = W4 tanh(W1 [h(source); h(c)] + b1) + b4        one number for each task
    logit    = mean over tasks of worth(first) - worth(second)

Above 0 the first reply is preferred. It depends on which is shown first: the other order is another
number. Dropout is for training.
Source: Jiang et al. 2023 (arXiv 2306.02561), section 3.2.
"""

from pathlib import Path

import torch

from actors.reward_models.pairrm import (
    HIDDEN_BIAS,
    HIDDEN_WEIGHT,
    TASK_BIAS,
    TASK_WEIGHT,
    Layout,
)
from actors.reward_models.tensors import need_tensors


class PairHead:
    """In float32. Raises ConfigError for tensors that are missing or have another shape."""

    def __init__(self, directory: Path, layout: Layout) -> None:
        width, tasks = int(layout.body["hidden_size"]), layout.num_tasks
        self.shape = (2 * width, width, tasks)
        tensors = need_tensors(
            directory,
            {
                HIDDEN_WEIGHT: (width, 2 * width),
                HIDDEN_BIAS: (width,),
                TASK_WEIGHT: (tasks, width),
                TASK_BIAS: (tasks,),
            },
        )
        self._inner = tensors[HIDDEN_WEIGHT], tensors[HIDDEN_BIAS]
        self._outer = tensors[TASK_WEIGHT], tensors[TASK_BIAS]

    def logits(self, states_B3H: torch.Tensor) -> list[float]:
        """States of source, first and second reply, of each comparison. [B]"""
        source_BH, first_BH, second_BH = states_B3H.unbind(1)
        worths = (self._worth(source_BH, c) for c in (first_BH, second_BH))
        first_BK, second_BK = worths
        found: list[float] = (first_BK - second_BK).mean(dim=-1).tolist()
        return found

    def _worth(self, source_BH: torch.Tensor, candidate_BH: torch.Tensor) -> torch.Tensor:
        both = torch.cat([source_BH, candidate_BH], dim=-1)
        inner = torch.nn.functional.linear(both, *self._inner).tanh()
        return torch.nn.functional.linear(inner, *self._outer)
