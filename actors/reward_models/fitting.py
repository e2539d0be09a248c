"""The gate of an ArmoRM head, trained on pairs; and a head, written beside its body.

    loss = -log sigmoid(score(chosen) - score(rejected))        (Bradley-Terry)

The body is frozen: the gate reads hidden states that were computed once. The softmax is over the
objectives, and the rewards are the adjusted ones, as the published model has them at inference.
Source: Wang et al. 2024 (arXiv 2406.12845), section 3.2.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from actors.reward_models import read_config
from actors.reward_models.tensors import INDEX
from actors.types import ConfigError, KnownPair

Floats = NDArray[np.float64]

HEADS = "reward-head.safetensors"
TEMPERATURE = 10.0
BATCH = 1024
DROPOUT = 0.2
RATE = 1e-3


class Gate(nn.Module):  # type: ignore[misc]
    """Linear layers with ReLU and dropout between them, then a softmax over the objectives. The
    names of its tensors are the published ones.
    """

    def __init__(self, width: int, num: int, *, hidden: int, num_hidden: int) -> None:
        super().__init__()
        widths = [width, *[hidden] * num_hidden, num]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.logit_scale = nn.Parameter(torch.ones(1))

    def weights(self, states_NH: Floats) -> Floats:
        """As `forward`, in NumPy. [N][J]"""
        with torch.inference_mode():
            found: Floats = self(torch.tensor(states_NH, dtype=torch.float32)).double().numpy()
        return found

    def forward(self, states_BH: torch.Tensor) -> torch.Tensor:
        """The weight of each objective. [B][J]"""
        for layer in list(self.layers)[:-1]:
            states_BH = functional.dropout(torch.relu(layer(states_BH)), DROPOUT, self.training)
        logits_BJ = self.layers[-1](states_BH)
        return torch.softmax(logits_BJ / TEMPERATURE, dim=-1) * self.logit_scale


def fit_gate(
    states_BH: Floats,
    margins_BJ: Floats,
    *,
    hidden: int,
    num_hidden: int = 3,
    steps: int = 2000,
    seed: int = 0,
) -> Gate:
    """Train a gate on pairs with AdamW and a cosine schedule.

    states_BH: where each pair's prompt ends. margins_BJ: the adjusted rewards of the better reply
    less those of the other.
    """
    torch.manual_seed(seed)
    states, margins = (torch.tensor(x, dtype=torch.float32) for x in (states_BH, margins_BJ))
    gate = Gate(states_BH.shape[1], margins_BJ.shape[1], hidden=hidden, num_hidden=num_hidden)
    optimizer = torch.optim.AdamW(gate.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = torch.Generator().manual_seed(seed)
    gate.train()
    for _ in range(steps):
        rows = torch.randperm(len(states), generator=order)[:BATCH]
        scores_B = (gate(states[rows]) * margins[rows]).sum(dim=1)
        loss = -functional.logsigmoid(scores_B).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    gate.eval()
    return gate


def save_head(
    body: Path,
    directory: Path,
    *,
    gate: Gate,
    regression_JH: Floats,
    transform_JJ: Floats,
    objectives: Sequence[str],
    pattern: Sequence[int],
    known_pair: KnownPair,
    about: Mapping[str, Any],
) -> None:
    """A new directory with the body's files and the head, in ArmoRM's published layout. Files of
    the body are linked where the file system allows it, else copied. `about` goes into config.json
    under `lilliput`.

    Raises ConfigError when the directory exists, OSError when it can't be written.
    """
    if directory.exists():
        raise ConfigError(f"wanted a new directory for the model, got {directory}, which exists")
    making = directory.with_name(f"{directory.name}.tmp")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for file in sorted(body.iterdir()):
        if file.is_file() and file.name not in ("config.json", INDEX):
            _link(file.resolve(), making / file.name)
    tensors = {
        "regression_layer.weight": torch.tensor(regression_JH, dtype=torch.float32),
        "reward_transform_matrix": torch.tensor(transform_JJ, dtype=torch.float32),
        **{f"gating.{name}": t.detach().contiguous() for name, t in gate.state_dict().items()},
    }
    save_file(tensors, str(making / HEADS))
    _write(
        making / INDEX,
        {"metadata": {}, "weight_map": _shards(body) | dict.fromkeys(tensors, HEADS)},
    )
    config = {
        **read_config(body),
        "architectures": ["LlamaForRewardModelWithGating"],
        "num_objectives": len(objectives),
        "objectives": list(objectives),
        "gating_temperature": TEMPERATURE,
        "gating_hidden_dim": gate.layers[0].out_features,
        "gating_n_hidden": len(gate.layers) - 1,
        "gating_pattern": list(pattern),
        "known_pair": asdict(known_pair),
        "lilliput": dict(about),
    }
    _write(making / "config.json", config)
    making.rename(directory)


def _shards(body: Path) -> dict[str, str]:
    """Which file of the body holds which tensor."""
    index = body / INDEX
    if index.is_file():
        found: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return found
    shards: dict[str, str] = {}
    for file in sorted(body.glob("*.safetensors")):
        with safe_open(str(file), framework="pt") as tensors:
            shards |= dict.fromkeys(tensors.keys(), file.name)
    return shards


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
