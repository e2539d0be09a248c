"""Heads of reward models: from a body's hidden states to scores. One file for each family.

    conversation --ids--> head.reads: positions --body--> hidden states --head.rewards--> scores

The body is the engine's business (`actors.engines.reward`, `actors.engines.vllm`): transformers or
vLLM, the head is the same.
"""

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from actors.types import ConfigError, KnownPair, Reward

if TYPE_CHECKING:
    import torch

FAMILIES: Mapping[str, str] = {
    "ForRewardModelWithGating": "actors.reward_models.armorm:Gated",
    "ForSequenceClassification": "actors.reward_models.seqcls:Linear",
}
"""What the name of an architecture ends in, and its head."""


class Head(Protocol):
    """What a family adds to a language model's body. Made from a model directory."""

    parts: tuple[str, ...]
    """Names of `Reward.parts`."""
    known_pair: KnownPair | None
    """From what the model was made of; None: it brings none."""

    def reads(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Positions of the conversation whose hidden states the score is made of. [P]

        They depend on the ids up to each of them alone. Raises ItemError for a conversation that
        it can't score.
        """
        ...

    def rewards(self, states_BPH: "torch.Tensor", num_tokens: Sequence[int]) -> list[Reward]:
        """The scores of conversations of so many tokens. [B]"""
        ...


def load_head(directory: Path) -> Head:
    """The head of the model in a directory. Raises ConfigError where it has none that is known, or
    other tensors than it should have.
    """
    module, _, cls = family(directory).partition(":")
    head: Head = getattr(importlib.import_module(module), cls)(directory, read_config(directory))
    return head


def family(directory: Path) -> str:
    """`module:Class` of the head that the model's architecture has. Raises ConfigError for an
    architecture that is not known.
    """
    architectures = read_config(directory).get("architectures") or []
    for name, target in FAMILIES.items():
        if any(architecture.endswith(name) for architecture in architectures):
            return target
    raise ConfigError(
        f"{directory} holds {', '.join(architectures) or 'a model without an architecture'}, which "
        f"is no reward model; wanted an architecture that ends in {' or '.join(FAMILIES)}, or for "
        f"one that ends in PairRM the engine pairrm"
    )


def read_config(directory: Path) -> dict[str, Any]:
    """config.json. Raises ConfigError."""
    path = directory / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't read {path}: {error}") from error
    return config
