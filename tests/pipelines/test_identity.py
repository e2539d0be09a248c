"""What makes a run another run, and what is refused because it would hide that."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from actors.types import ConfigError
from pipelines.config import override
from pipelines.job import Job, prepare


def job(model: dict[str, Any], *changes: str) -> Job:
    config = {
        "name": "run",
        "task": {"name": "arithmetic", "num_items": 4},
        "pipeline": {"name": "rank", "n": 4, "rankers": ["first"]},
        "models": {"small": model},
        "roles": {"generator": "small"},
    }
    return prepare(override(config, changes))


def checkpoint(folder: Path, value: float) -> dict[str, Any]:
    folder.mkdir()
    config = {"model_type": "llama", "max_position_embeddings": 512}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    save_file({"w": np.full((4, 4), value, np.float32)}, folder / "model.safetensors")
    return {"path": str(folder), "engine": "hf"}


def test_other_weights_of_the_same_shape_are_another_run(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "model", 1.0)
    before = job(model)
    assert job(model).digest == before.digest
    save_file({"w": np.full((4, 4), 2.0, np.float32)}, tmp_path / "model" / "model.safetensors")
    assert job(model).digest != before.digest


def test_other_candidates_in_a_replayed_file_are_another_run(tmp_path: Path) -> None:
    made = tmp_path / "made.jsonl"
    made.write_text('{"item_id": "a", "text": "5"}\n', encoding="utf-8")
    before = job({"path": str(made), "engine": "replay"}).digest
    made.write_text('{"item_id": "a", "text": "6"}\n', encoding="utf-8")
    assert job({"path": str(made), "engine": "replay"}).digest != before


def test_a_context_beyond_the_models_is_refused(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "model", 1.0)
    with pytest.raises(ConfigError, match=r"small\.context: wanted at most the model's 512, got"):
        job(model, "models.small.context=1024")


@pytest.mark.parametrize("name", ["model", "tokenizer", "trust_remote_code", "logprobs_mode"])
def test_engine_arguments_that_would_change_what_is_measured_are_refused(name: str) -> None:
    model = {"path": "bundled:smollm2-135m-instruct", "engine": "vllm"}
    with pytest.raises(ConfigError, match=rf"models\.small\.args\.{name}: Lilliput sets this"):
        job(model, f"models.small.args.{name}=x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("pipeline.rankers=[majority,majority]", "each one once"),
        ("pipeline.sampling.temperature=.inf", "temperature"),
        ('pipeline.sampling.stop=[""]', r"stop\.0"),
        ("pipeline.name=[x]", "unknown pipeline"),
        ("roles.scorers=[a]", "roles.scorers"),
        ("roles.scorers.c={kind: self_certainty, top: 50}", "top"),
    ],
)
def test_settings_that_could_only_fail_later_are_refused_now(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        job({"engine": "fake"}, change)


def test_a_replay_is_never_asked_for_probabilities(tmp_path: Path) -> None:
    made = tmp_path / "made.jsonl"
    made.write_text('{"item_id": "a", "text": "5"}\n', encoding="utf-8")
    model = {"path": str(made), "engine": "replay"}
    with pytest.raises(ConfigError, match=r"scorers\.p: model 'small' is a replay"):
        job(model, "roles.scorers.p={kind: p_true, model: small}")


def test_a_replay_that_is_not_there_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="no candidate file"):
        job({"path": "/nowhere/made.jsonl", "engine": "replay"})
