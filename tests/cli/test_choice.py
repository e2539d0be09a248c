"""Given choices ranked by likelihood: run, graded again with another game, and refused."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelines.methods.consensus import READS
from results.parts import read_records

CONFIG = """
shard_size: 8
task: {name: truthfulqa_mc1, limit: 24}
pipeline: {name: choice}
models: {small: {engine: fake, cpus: 0.25}}
roles: {generator: small}
cluster: {cpus: 2}
"""


@pytest.fixture(scope="module")
def done(ray: str, tmp_path_factory: pytest.TempPathFactory, tools: Any) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("choice")
    (folder / "choose.yaml").write_text(CONFIG)
    return folder, tools.called(folder, "run", "choose.yaml")


def values(run: Path) -> dict[tuple[str, str], float]:
    rows = json.loads((run / "summary.json").read_text())["rows"]
    return {(row["method"], row["metric"]): row["value"] for row in rows}


def test_a_run_shows_every_ranker_beside_the_others(done: tuple[Path, Any]) -> None:
    folder, ended = done
    assert (ended.returncode, ended.stderr) == (0, "")
    run = folder / "runs" / "choose"
    found = values(run)
    assert [method for method, metric in found if metric == "acc"] == [*READS]
    assert {("G", "acc_norm"), ("G", "acc_bytes"), ("G", "mc2")} <= found.keys()
    for text in ("vs G", "G and D: disagree", "equilibrium: unsettled", "equilibrium:D over G: "):
        assert text in ended.stdout
    for record in read_records(run):
        assert {c.decoding for c in record.candidates} == {"choice"}
        assert [c.text for c in record.candidates] == list(record.choices)
        assert [c.outcome for c in record.candidates].count("correct") == 1
        assert record.messages[0].content.endswith("A:")


def test_replicas_and_another_discriminator_process_change_nothing(
    done: tuple[Path, Any], tools: Any
) -> None:
    """Both are the same weights, so the numbers are the same."""
    folder, _ = done
    models = (
        "models={small: {engine: fake, cpus: 0.25, replicas: 2}, judge: {engine: fake, cpus: 0.25}}"
    )
    changes = (models, "roles.discriminator=judge", "cluster.runners=1")
    ended: subprocess.CompletedProcess[str] = tools.called(
        folder, "run", "choose.yaml", *changes, "--output", "two"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert values(folder / "two") == values(folder / "runs" / "choose")
    usage = json.loads((folder / "two" / "summary.json").read_text())["usage"]
    assert {role: use["model"] for role, use in usage.items()} == {
        "generator:correct": "small",
        "generator:incorrect": "small",
        "discriminator": "judge",
    }


def test_another_game_needs_no_model(done: tuple[Path, Any], tools: Any) -> None:
    """Held at their anchors, generator and discriminator choose what SC and D choose."""
    folder, _ = done
    held = ("pipeline.game.lambda_generator=1000000", "pipeline.game.lambda_discriminator=1000000")
    ended = tools.called(folder, "score", "runs/choose", *held, "--output", "held")
    assert (ended.returncode, ended.stderr) == (0, "")
    found = values(folder / "held")
    assert found["equilibrium:G", "acc"] == found["SC", "acc"]
    assert found["equilibrium:D", "acc"] == found["D", "acc"]
    assert found["equilibrium", "unsettled"] == 0.0
    refused = tools.called(folder, "score", "runs/choose", "pipeline.labels=[yes,no]")
    assert refused.returncode == 2
    assert "would need new draws or scores" in refused.stderr
