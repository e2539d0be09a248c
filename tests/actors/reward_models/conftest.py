"""One tiny model of each family, loaded once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from actors.config import ModelConfig
from actors.engines import build
from actors.engines.reward import HFRewardEngine
from actors.rendering import Renderer
from tests.actors.reward_models import tiny, tiny_pairrm

NAMES = ("kind", "short", "verbosity")
PATTERN = [2, 198, 1, 520, 9531, 198]
"""How SmolLM2's template ends a turn and opens the assistant's."""


@pytest.fixture(scope="session")
def armorm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tiny.Tensors]:
    folder = tmp_path_factory.mktemp("armorm")
    made = torch.Generator().manual_seed(11)
    num, inner = len(NAMES), 8
    widths = [tiny.HIDDEN, inner, inner, num]
    heads = {
        "regression_layer.weight": torch.randn(num, tiny.HIDDEN, generator=made),
        "reward_transform_matrix": torch.eye(num),
        "gating.logit_scale": torch.tensor([1.5]),
    }
    heads["reward_transform_matrix"][2] = torch.tensor([-0.25, -0.5, 0.0])
    for i in range(3):
        heads[f"gating.layers.{i}.weight"] = torch.randn(widths[i + 1], widths[i], generator=made)
        heads[f"gating.layers.{i}.bias"] = torch.randn(widths[i + 1], generator=made)
    more = {
        "num_objectives": num,
        "objectives": list(NAMES),
        "gating_temperature": 10,
        "gating_hidden_dim": inner,
        "gating_n_hidden": 2,
        "gating_pattern": PATTERN,
    }
    return folder, tiny.save(folder, "LlamaForRewardModelWithGating", more, heads)


@pytest.fixture(scope="session")
def seqcls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tiny.Tensors]:
    folder = tmp_path_factory.mktemp("seqcls")
    made = torch.Generator().manual_seed(13)
    heads = {"score.weight": torch.randn(1, tiny.HIDDEN, generator=made)}
    more = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    return folder, tiny.save(folder, "LlamaForSequenceClassification", more, heads)


@pytest.fixture(scope="session")
def hosted() -> Callable[[Path], HFRewardEngine]:
    engines: dict[Path, Any] = {}

    def load(directory: Path) -> HFRewardEngine:
        if directory not in engines:
            config = ModelConfig(engine="reward", path=str(directory))
            engines[directory] = HFRewardEngine(
                config, directory=directory, renderer=Renderer(directory)
            )
        return engines[directory]

    return load


@pytest.fixture(scope="session")
def paired(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tiny.Tensors]:
    folder = tmp_path_factory.mktemp("pairrm")
    return folder, tiny_pairrm.save(folder)


@pytest.fixture(scope="session")
def comparing(paired: tuple[Path, tiny.Tensors]) -> Any:
    return build(ModelConfig(engine="pairrm", path=str(paired[0])))
