"""A linear layer on the last token: sequence classification with one label.

    score = w . h(last token)

The raw logit, without an activation: it is unbounded, and only differences between replies to one
prompt mean something. Models: FsfairX-LLaMA3-RM, Skywork-Reward, and others trained with the
Bradley-Terry loss.
Source: Dong et al. 2024 (arXiv 2405.07863), reward modelling.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from actors.reward_models.tensors import need_tensors, read_tensors
from actors.types import ConfigError, KnownPair, Reward


class Linear:
    """See the module's docstring. Raises ConfigError for several labels and a missing layer."""

    parts: tuple[str, ...] = ()
    known_pair: KnownPair | None = None

    def __init__(self, directory: Path, config: dict[str, Any]) -> None:
        labels = config.get("id2label") or {}
        num_labels = len(labels) or int(config.get("num_labels", 2))
        if num_labels != 1:
            raise ConfigError(
                f"{directory}: wanted a classifier with one label, whose logit is the score; this "
                f"one has {num_labels}"
            )
        text = config.get("text_config") or config
        shape = (1, int(text["hidden_size"]))
        self._weight_1H = need_tensors(directory, {"score.weight": shape})["score.weight"]
        bias = read_tensors(directory, ["score.bias"]).get("score.bias")
        self._bias = 0.0 if bias is None else float(bias)

    def reads(self, ids: Sequence[int]) -> tuple[int, ...]:
        """The last token, whatever it is: an end token that is also used for padding too."""
        return (len(ids) - 1,)

    def rewards(self, states_BPH: torch.Tensor, num_tokens: Sequence[int]) -> list[Reward]:
        """See `Head`."""
        values = (states_BPH[:, 0] @ self._weight_1H.T)[:, 0] + self._bias
        return [
            Reward(value=value, tokens=num)
            for value, num in zip(values.tolist(), num_tokens, strict=True)
        ]
