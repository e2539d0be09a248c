"""Reward models on vLLM: the same scores as on transformers, in a process of its own."""

import asyncio
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from actors.bundled import bundled_path
from actors.config import ModelConfig
from actors.engines import environment
from actors.reward_models.trust import TEXTS, conversation

CONFIG = ModelConfig(engine="vllm_reward", context=512, args={"kv_cache_memory_bytes": 64 << 20})
NUM_LAYERS = 2
ASKED = """
import asyncio, json, sys
from pathlib import Path
from actors.config import ModelConfig
from actors.engines import build
from actors.reward_models.trust import TEXTS, conversation

async def main(config):
    engine = build(config)
    ids = [engine.prompts.conversation(conversation(*text)) for text in (*TEXTS, *TEXTS)]
    found = await engine.rewards(ids)
    await engine.close()
    return [[reward.value, *reward.parts] for reward in found]

print(json.dumps(asyncio.run(main(ModelConfig.model_validate_json(sys.argv[1])))))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """SmolLM2's first layers with an ArmoRM head, all in one file: vLLM has no attention for the
    tiny heads of the other models here.
    """
    source, folder = bundled_path("smollm2-135m-instruct"), tmp_path_factory.mktemp("gated")
    for file in source.iterdir():
        if file.suffix in (".json", ".jinja", ".txt"):
            shutil.copy(file, folder)
    tensors = {}
    for file in source.glob("*.safetensors"):
        tensors |= load_file(str(file))
    later = tuple(f"model.layers.{i}." for i in range(NUM_LAYERS, 100))
    tensors = {name: t for name, t in tensors.items() if not name.startswith(later)}
    made = torch.Generator().manual_seed(3)
    for name, shape in {
        "regression_layer.weight": (2, 576),
        "reward_transform_matrix": (2, 2),
        "gating.logit_scale": (1,),
        "gating.layers.0.weight": (8, 576),
        "gating.layers.0.bias": (8,),
        "gating.layers.1.weight": (2, 8),
        "gating.layers.1.bias": (2,),
    }.items():
        tensors[name] = torch.randn(shape, generator=made)
    save_file(tensors, str(folder / "model.safetensors"))
    config = json.loads((folder / "config.json").read_text()) | {
        "architectures": ["LlamaForRewardModelWithGating"],
        "num_hidden_layers": NUM_LAYERS,
        "num_objectives": 2,
        "gating_hidden_dim": 8,
        "gating_n_hidden": 1,
        "gating_pattern": [2, 198, 1, 520, 9531, 198],
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def said(model, cache):
    """By vLLM in another process, whose environment must be set before its first import."""
    config = CONFIG.model_copy(update={"path": str(model), "dtype": "float32"})
    variables = {**os.environ, **environment(config), "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-c", ASKED, config.model_dump_json()]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout.splitlines()[-1])


def test_scores_on_vllm_are_those_on_transformers_cached_prompts_too(model, tmp_path, hosted):
    engine = hosted(model)
    ids = [engine.prompts.conversation(conversation(*text)) for text in TEXTS]
    wanted = [[reward.value, *reward.parts] for reward in asyncio.run(engine.rewards(ids))]
    found = said(model, tmp_path)
    assert len(found) == 6
    for row, other in zip(found, [*wanted, *wanted], strict=True):
        assert row == pytest.approx(other, rel=1e-3, abs=1e-3)
    (place,) = (tmp_path / "lilliput" / "bodies").iterdir()
    held = load_file(str(place / "model.safetensors"))
    assert not any(name.startswith(("gating", "regression", "reward")) for name in held)
