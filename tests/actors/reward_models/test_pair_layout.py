"""PairRM's published layouts: both parse, and a directory that contradicts itself is refused."""

import asyncio
import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from actors import engines
from actors.config import ModelConfig
from actors.reward_models import pairrm
from actors.types import ConfigError
from tests.actors.reward_models import tiny_pairrm


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source_prefix_id": 5}, "as config.json says: it belongs to another model"),
        ({"source_prefix_id": None}, "wanted all of source_prefix_id"),
        ({"n_tasks": 3}, "wanted head_layer.4.weight as 3 x 16, got 2 x 16"),
        ({"model_type": "bert"}, "wanted model_type 'deberta-v2', got 'bert'"),
        (
            {"architectures": ["BertModel"]},
            "holds BertModel; wanted an encoder that compares pairs",
        ),
    ],
)
def test_a_directory_that_contradicts_itself_is_refused(paired, tmp_path, change, message):
    shutil.copytree(paired[0], tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ConfigError, match=message):
        engines.build(ModelConfig(engine="pairrm", path=str(tmp_path)))


@pytest.mark.parametrize(
    ("lost", "message"),
    [("head_layer.1.bias", "lack head_layer.1.bias"),
     ("pretrained_model.encoder.rel_embeddings.weight", "lack 1 tensors")],
)  # fmt: skip
def test_weights_that_lack_a_tensor_are_refused(paired, tmp_path, lost, message):
    shutil.copytree(paired[0], tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors[lost]
    save_file(tensors, str(tmp_path / "model.safetensors"))
    with pytest.raises(ConfigError, match=message):
        engines.build(ModelConfig(engine="pairrm", path=str(tmp_path)))


PUBLISHED_HF = """{
  "architectures": ["DebertaV2PairRM"], "attention_probs_dropout_prob": 0.1,
  "cand1_prefix_id": 128002, "cand2_prefix_id": 128003, "cand_prefix_id": 128004,
  "drop_out": 0.05, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 1024,
  "initializer_range": 0.02, "intermediate_size": 4096, "layer_norm_eps": 1e-07,
  "max_position_embeddings": 512, "max_relative_positions": -1, "model_type": "deberta-v2",
  "n_tasks": 1, "norm_rel_ebd": "layer_norm", "num_attention_heads": 16, "num_hidden_layers": 24,
  "pad_token_id": 0, "pooler_dropout": 0, "pooler_hidden_act": "gelu",
  "pooler_hidden_size": 1024, "pos_att_type": ["p2c", "c2p"], "position_biased_input": false,
  "position_buckets": 256, "relative_attention": true, "share_att_key": true,
  "source_prefix_id": 128001, "torch_dtype": "float32", "type_vocab_size": 0, "vocab_size": 128005
}"""
"""DeBERTa-v3-large's config and what LLM-Blender's conversion to transformers adds to it."""
PUBLISHED = """{
  "ranker_type": "pairranker", "model_type": "deberta", "model_name": "microsoft/deberta-v3-large",
  "cache_dir": null, "load_checkpoint": null, "source_maxlength": 1224, "candidate_maxlength": 412,
  "n_tasks": 1, "num_pos": 5, "num_neg": 5, "sub_sampling_mode": "all_pair",
  "sub_sampling_ratio": 0.5, "loss_type": "instructgpt", "reduce_type": "linear",
  "inference_mode": "bubble", "drop_out": 0.05, "fp16": true
}"""
"""The fields of LLM-Blender's RankerConfig, with PairRM's limits."""


@pytest.mark.parametrize("text", [PUBLISHED_HF, PUBLISHED])
def test_published_configs_parse(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    assert engines.ENGINES["pairrm"].longest(tmp_path) == 2048
    layout = pairrm.read_layout(tmp_path)
    assert (layout.limits.source, layout.limits.candidate) == (1224, 412)
    assert layout.limits.of_candidate(1224) == 412
    assert layout.limits.of_candidate(24) == 1012
    assert layout.num_tasks == 1
    assert layout.prefix_ids in (None, (128001, 128002, 128003))
    body = {k: layout.body[k] for k in pairrm.BODIES["microsoft/deberta-v3-large"]}
    assert body == pairrm.BODIES["microsoft/deberta-v3-large"]


def test_a_ranker_on_a_body_that_is_not_known_is_refused(tmp_path):
    config = {**json.loads(PUBLISHED), "model_name": "roberta-large"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"wanted model_name microsoft/.*, got 'roberta-large'"):
        pairrm.read_layout(tmp_path)


def test_the_rankers_own_layout_says_the_same(paired, comparing, tmp_path, monkeypatch):
    shutil.copytree(paired[0], tmp_path, dirs_exist_ok=True)
    body = json.loads((tmp_path / "config.json").read_text())
    monkeypatch.setitem(pairrm.BODIES, "tiny", body)
    config = {**json.loads(PUBLISHED), "model_name": "tiny", "n_tasks": tiny_pairrm.TASKS}
    (tmp_path / "config.json").write_text(json.dumps(config))
    other = engines.build(ModelConfig(engine="pairrm", path=str(tmp_path)))
    ids = other.prompts.comparisons(tiny_pairrm.QUESTION, tiny_pairrm.REPLIES, [(0, 1)])
    assert ids == comparing.prompts.comparisons(tiny_pairrm.QUESTION, tiny_pairrm.REPLIES, [(0, 1)])
    found, wanted = (asyncio.run(engine.preferences(ids)) for engine in (other, comparing))
    assert found == pytest.approx(wanted, abs=1e-6)
