"""A study of two members and a sweep from the shell: run, gone on with, scored again."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.rescore import rescore
from results.parts import read_records
from results.pools import pools

STUDY = """
seed: 7
shard_size: 8
task: {name: arithmetic, num_items: 24}
pipeline:
  name: decoding
  n: 4
  sampling: {max_tokens: 32}
  sweep: {temperature: [0.5], repetition_penalty: [1.1]}
  reference: {big: 40}
models: {a: {engine: fake, cpus: 0.25}, b: {engine: fake, cpus: 0.25, fake: {texts: ["#### 3"]}}}
roles: {generator: [a, b], scorers: {s: mean_logprob}}
cluster: {cpus: 2}
prices: {a: {read: 1, generated: 2}, b: {device_hour: 1}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.yaml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def ended(folder: Path, tools: Any) -> Any:
    return tools.finished(folder, "run", "study.yaml")


def summary(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


def test_a_replay_of_a_study_gives_its_numbers_with_no_model(
    ray: str, folder: Path, ended: Any, tools: Any
) -> None:
    study = folder / "runs" / "study"
    made = f"{{{{engine: replay, cpus: 0.25, path: {study}, replay: {{{{member: {{0}}}}}}}}}}"
    models = f"models: {{a: {made.format('a')}, b: {made.format('b')}}}\n"
    head, _, tail = STUDY.partition("models:")
    (folder / "replayed.yaml").write_text(head + models + "roles:" + tail.partition("roles:")[2])
    done = tools.called(folder, "run", "replayed.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    before, after = (
        {(row["method"], row["metric"], row["k"]): row["value"] for row in summary(run)["rows"]}
        for run in (study, study.with_name("replayed"))
    )
    assert after == before
    pool = (
        "task: {name: arithmetic, num_items: 24}\n"
        "pipeline: {name: rank, n: 4, rankers: [first, oracle], sampling: {temperature: 0.5}}\n"
        f"models: {{made: {made.format('a')}}}\n"
        "roles: {generator: made}\n"
        "cluster: {cpus: 2}\n"
    )
    (folder / "pool.yaml").write_text(pool)
    done = tools.called(folder, "run", "pool.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    values = {row["method"]: row["value"] for row in summary(folder / "runs" / "pool")["rows"]}
    oracle = ("oracle of a t=0.5,p=1,r=1", "accuracy", 4)
    assert values["oracle"] == before[oracle]


def test_every_pool_is_drawn_and_its_figures_are_kept_and_shown(folder: Path, ended: Any) -> None:
    assert (ended.returncode, ended.stderr) == (0, "")
    run = folder / "runs" / "study"
    arms = ["t=0,p=1,r=1", "t=1,p=1,r=1", "t=0.5,p=1,r=1", "t=0,p=1,r=1.1"]
    for record in read_records(run):
        found = {name: len(pool) for name, pool in pools(record.candidates).items()}
        assert found == {
            f"{name} {arm}": 1 if "t=0," in arm else 4 for name in "ab" for arm in arms
        }
    kept = summary(run)
    assert {(row["member"], row["decoding"]) for row in kept["decodings"]} == {
        (name, arm) for name in "ab" for arm in arms
    }
    stds = [row for row in kept["decodings"] if row["figure"] == "std" and not row["category"]]
    assert len(stds) == 2 * 2 * 2
    assert {row["reference"] for row in kept["crossings"]} == {"big"}
    rows = {(row["method"], row["k"]): row for row in kept["rows"] if row["metric"] == "accuracy"}
    assert rows["oracle of a t=1,p=1,r=1", 4]["money"] > rows["first of a t=1,p=1,r=1", 1]["money"]
    for shown in (
        "prefix best_of:s",
        "greedy - mean",
        "not within 4",
        "what it took",
        "duplicates",
    ):
        assert shown in ended.stdout


def test_a_lost_shard_is_drawn_again_as_it_was(folder: Path, ended: Any, tools: Any) -> None:
    run = folder / "runs" / "study"
    before, drawn = summary(run)["decodings"], tools.drawn(run)
    next((run / "records").glob("*.arrow")).unlink()
    again = tools.finished(folder, "run", "study.yaml")
    assert again.returncode == 0, again.stderr
    assert tools.drawn(run) == drawn
    assert summary(run)["decodings"] == before


def test_scoring_again_asks_nothing_and_takes_other_lines_and_prices(
    folder: Path, ended: Any
) -> None:
    again = folder / "again"
    changes = ("pipeline.reference.big=5", "prices.a.generated=4", "pipeline.rankers=[majority]")
    rescore(str(folder / "runs" / "study"), changes, str(again), Console(file=io.StringIO()))
    old, new = summary(folder / "runs" / "study"), summary(again)
    assert new["decodings"] == old["decodings"]
    assert {row["level"] for row in new["crossings"]} == {0.05}
    assert any(row["method"].startswith("majority of a") for row in new["rows"])
    first = [run["rows"][0]["money"] for run in (old, new)]
    assert first[0] < first[1]


def test_a_probe_without_a_dry_run_is_refused(folder: Path, tools: Any) -> None:
    refused = tools.finished(folder, "run", "study.yaml", "--probe", "6")
    assert refused.returncode == 2
    assert "--dry-run" in refused.stderr
