"""ArmoRM: many objectives, weighed by a gate that reads the prompt.

    h = hidden state of the last token         rewards_j = W_j . h     (raw objectives)
    g = hidden state at the prompt's end       gate = scale * softmax(MLP(g) / temperature)
    score = sum_j gate_j * (rewards T)_j

T takes from each objective what it has in common with verbosity. The gate doesn't see the reply, so
all replies to one prompt share it.
Source: Wang et al. 2024 (arXiv 2406.12845), method; layout of RLHFlow/ArmoRM-Llama3-8B-v0.1.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from actors.reward_models.tensors import need_tensors
from actors.types import ConfigError, ItemError, KnownPair, Message, Reward

OBJECTIVES = (
    *("helpsteer-helpfulness", "helpsteer-correctness", "helpsteer-coherence"),
    *("helpsteer-complexity", "helpsteer-verbosity", "ultrafeedback-overall_score"),
    *("ultrafeedback-instruction_following", "ultrafeedback-truthfulness"),
    *("ultrafeedback-honesty", "ultrafeedback-helpfulness", "beavertails-is_safe"),
    *("prometheus-score", "argilla-overall_quality", "argilla-judge_lm", "code-complexity"),
    *("code-style", "code-explanation", "code-instruction-following", "code-readability"),
)
"""Of the published model, in the order of its outputs."""

PATTERN = (128009, 128006, 78191, 128007, 271)
"""Llama 3: the end of a turn and the assistant's header. The gate reads at its first token."""


class Gated:
    """See the module's docstring. Raises ConfigError for missing or misshapen tensors.

    Besides the published keys of config.json (`num_objectives`, `gating_temperature`,
    `gating_hidden_dim`, `gating_n_hidden`) it reads `objectives`, their names,
    `gating_pattern`, the token ids that stand for PATTERN in another vocabulary, and `known_pair`.
    """

    def __init__(self, directory: Path, config: dict[str, Any]) -> None:
        num = int(config.get("num_objectives", len(OBJECTIVES)))
        names = config.get("objectives") or (
            OBJECTIVES if num == len(OBJECTIVES) else [f"objective-{i}" for i in range(num)]
        )
        if len(names) != num:
            raise ConfigError(f"{directory}: wanted {num} names of objectives, got {len(names)}")
        self.parts = (*names, *(f"gate:{name}" for name in names))
        self.pattern = tuple(config.get("gating_pattern") or PATTERN)
        self.known_pair = _known_pair(config.get("known_pair"))
        self._temperature = float(config.get("gating_temperature", 10))
        width, num_hidden = int(config["hidden_size"]), int(config.get("gating_n_hidden", 3))
        inner = int(config.get("gating_hidden_dim", 1024))
        widths = [width, *[inner] * num_hidden, num]
        shapes: dict[str, tuple[int, ...]] = {
            "regression_layer.weight": (num, width),
            "reward_transform_matrix": (num, num),
            "gating.logit_scale": (1,),
        }
        for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
            shapes |= {f"gating.layers.{i}.weight": (fan_out, fan_in)}
            shapes |= {f"gating.layers.{i}.bias": (fan_out,)}
        found = need_tensors(directory, shapes)
        self._regression_JH = found["regression_layer.weight"]
        self._transform_JJ = found["reward_transform_matrix"]
        self._scale = float(found["gating.logit_scale"])
        self._layers = [
            (found[f"gating.layers.{i}.weight"], found[f"gating.layers.{i}.bias"])
            for i in range(num_hidden + 1)
        ]

    def reads(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Where the last prompt ends, and the last token."""
        return (gate_position(ids, self.pattern), len(ids) - 1)

    def rewards(self, states_BPH: torch.Tensor, num_tokens: Sequence[int]) -> list[Reward]:
        """See `Head`. Parts: the raw objectives, then the gate."""
        gate_BJ, last_BH = self.gate(states_BPH[:, 0]), states_BPH[:, 1]
        raw_BJ = last_BH @ self._regression_JH.T
        values = ((raw_BJ @ self._transform_JJ) * gate_BJ).sum(dim=1)
        parts = torch.cat([raw_BJ, gate_BJ], dim=1)
        rows = zip(values.tolist(), parts.tolist(), num_tokens, strict=True)
        return [Reward(value=value, parts=tuple(part), tokens=num) for value, part, num in rows]

    def gate(self, states_BH: torch.Tensor) -> torch.Tensor:
        """The weight of each objective. [B][J]"""
        for weight, bias in self._layers[:-1]:
            states_BH = torch.relu(states_BH @ weight.T + bias)
        weight, bias = self._layers[-1]
        logits_BJ = states_BH @ weight.T + bias
        return torch.softmax(logits_BJ / self._temperature, dim=1) * self._scale


def _known_pair(kept: Any) -> KnownPair | None:
    if kept is None:
        return None
    turns = tuple(Message(role=turn["role"], content=turn["content"]) for turn in kept["messages"])
    return KnownPair(messages=turns, better=kept["better"], worse=kept["worse"])


def gate_position(ids: Sequence[int], pattern: Sequence[int]) -> int:
    """Where the last occurrence of the pattern begins: in a longer conversation the whole of it up
    to the last turn of the user. Raises ItemError where there is none.
    """
    size, wanted = len(pattern), tuple(pattern)
    for first in range(len(ids) - size, -1, -1):
        if tuple(ids[first : first + size]) == wanted:
            return first
    raise ItemError(
        "error",
        f"the gate reads at the tokens {list(pattern)}, which end a prompt, and the conversation "
        f"has none: it needs a user's turn and an assistant's reply",
    )
