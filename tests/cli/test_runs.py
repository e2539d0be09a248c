"""What a user does with runs: make, continue, score, compare, export, look at."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.rescore import answering
from results.arrow import from_table, to_table
from results.directories import open_directory
from results.parts import encode_part, part_name, read_part, shard_ids
from results.report import write_report
from results.verify import verify

Base = tuple[Path, "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(base: Base) -> Path:
    return base[0] / "runs" / "sums"


@pytest.fixture(scope="module")
def again(ray: str, base: Base, tools: Any) -> Any:
    """The same run anew beside the first, on two replicas."""
    return tools.called(base[0], "run", "sums.yaml", "--fresh", "models.small.replicas=2")


@pytest.fixture(scope="module")
def worse(run: Path, tools: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run graded by a rule under which nothing is right."""
    path = tmp_path_factory.mktemp("worse") / "boxed"
    done = tools.called(run, "score", run, "task.extract=boxed", "--output", path)
    assert done.returncode == 0, done.stderr
    return path


def values(run: Path) -> dict[tuple[str, int], float]:
    rows = json.loads((run / "summary.json").read_text())["rows"]
    return {(row["method"], row["k"]): row["value"] for row in rows}


def test_several_tasks_share_one_warm_fleet(ray: str, inputs: Path, base: Base, tools: Any) -> None:
    text = (inputs / "sums.yaml").read_text()
    head, tail = text.split("task:\n")
    lines, rest = tail.split("pipeline:")
    task = "\n".join(f"  {line}" for line in lines.splitlines())
    arithmetic = "  - {name: arithmetic, num_items: 4}\n"
    sums = f"  -\n{task}\n"
    (inputs / "both.yaml").write_text(f"{head}task:\n{sums}{arithmetic}pipeline:{rest}")
    done = tools.called(inputs, "run", "both.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    starts = [line for line in done.stdout.splitlines() if line.startswith("starting")]
    assert starts == ["starting small x1"]
    runs = inputs / "runs" / "both"
    assert {path.name for path in runs.iterdir()} == {"sums", "arithmetic"}
    assert len(tools.by_item(runs / "arithmetic")) == 4
    assert tools.drawn(runs / "sums") == tools.drawn(base[0] / "runs" / "sums")


def test_a_run_ends_well_and_says_where_everything_is(base: Base, run: Path) -> None:
    folder, done = base
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "run directory: runs/sums"
    assert "report:  runs/sums/report.html" in lines[-1]
    assert "sums with small: accuracy" in done.stdout
    files = {"run.json", "summary.json", "report.html", "records"}
    assert files <= {path.name for path in run.iterdir()}
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["runs"]


def test_every_item_is_recorded_once_with_its_greedy_candidate_and_n_draws(
    run: Path, tools: Any
) -> None:
    records = tools.by_item(run)
    assert len(records) == tools.NUM_ITEMS
    indices = [[c.index for c in record.candidates] for record in records.values()]
    assert indices == [[-1, 0, 1, 2, 3]] * tools.NUM_ITEMS
    seeds = [c.seed for r in records.values() for c in r.candidates if c.index >= 0]
    assert len(set(seeds)) == len(seeds)


def test_the_summary_counts_every_candidate_once(run: Path, tools: Any) -> None:
    summary = tools.read_json(run / "summary.json")
    assert sum(summary["outcomes"].values()) == 5 * tools.NUM_ITEMS
    assert summary["items"] == {"ok": tools.NUM_ITEMS}
    assert values(run)["greedy", 0] == 1.0
    assert 0.0 < values(run)["first", 1] < 1.0


def test_the_same_command_again_adds_nothing_and_starts_nothing(
    base: Base, run: Path, tools: Any
) -> None:
    before = tools.contents(run / "records")
    done = tools.called(base[0], "run", "sums.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "starting" not in done.stdout
    assert tools.contents(run / "records") == before


def test_fresh_begins_beside_the_earlier_run_and_draws_the_same(
    run: Path, again: Any, tools: Any
) -> None:
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[0] == "run directory: runs/sums-2"
    assert tools.drawn(run.with_name("sums-2")) == tools.drawn(run)


def test_a_dry_run_prints_the_plan_and_writes_nothing(inputs: Path, tools: Any) -> None:
    before = tools.contents(inputs)
    done = tools.called(inputs, "run", "sums.yaml", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "24 greedy and 96 draws of at most 32 tokens" in done.stdout
    assert "1 replica(s) on fake: 0.5 CPUs" in done.stdout
    assert tools.contents(inputs) == before


def test_scoring_without_a_change_gives_the_same_summary(
    run: Path, tmp_path: Path, tools: Any
) -> None:
    before = tools.contents(run)
    done = tools.called(tmp_path, "score", run, "--output", "same")
    assert (done.returncode, done.stderr) == (0, "")
    assert tools.read_json(tmp_path / "same/summary.json") == tools.read_json(run / "summary.json")
    assert tools.by_item(tmp_path / "same") == tools.by_item(run)
    assert tools.contents(run) == before


def test_scoring_with_new_rankers_gives_new_rows_from_the_same_draws(
    run: Path, tmp_path: Path, tools: Any
) -> None:
    before = tools.contents(run)
    change = "pipeline.rankers=[majority, oracle]"
    done = tools.called(tmp_path, "score", run, change, "--output", "ranked")
    assert done.returncode == 0, done.stderr
    found, old = values(tmp_path / "ranked"), values(run)
    assert {method for method, _ in found} == {"greedy", "majority", "oracle"}
    assert {key: found[key] for key in found if key in old} == {
        key: value for key, value in old.items() if key[0] != "first"
    }
    assert found["oracle", 1] == pytest.approx(old["first", 1])
    assert found["oracle", 4] > found["oracle", 1]
    assert tools.drawn(tmp_path / "ranked") == tools.drawn(run)
    assert tools.contents(run) == before
    printed = done.stdout.splitlines()[-1].removeprefix("report:").strip()
    assert (tmp_path / printed).is_file()


def test_scoring_stands_beside_the_original_unless_told_otherwise(
    run: Path, tmp_path: Path, tools: Any
) -> None:
    done = tools.called(tmp_path, "score", run, "pipeline.ks=[2]")
    assert done.returncode == 0, done.stderr
    assert values(run.with_name("sums-rescored")).keys() == {
        ("greedy", 0),
        ("first", 1),
        ("majority", 2),
    }


def test_a_replay_of_a_run_gives_its_numbers_with_no_model(
    ray: str, run: Path, inputs: Path, tools: Any
) -> None:
    yaml = (inputs / "sums.yaml").read_text()
    models = f"models: {{old: {{engine: replay, cpus: 0.5, path: {run}}}}}\n"
    head, _, tail = yaml.partition("models:")
    (inputs / "sums.yaml").write_text(head + models + "roles:" + tail.partition("roles:")[2])
    done = tools.called(inputs, "run", "sums.yaml", "roles.generator=old", "name=replayed")
    assert (done.returncode, done.stderr) == (0, "")
    assert values(inputs / "runs/replayed") == values(run)


def test_a_run_compared_with_its_equal_is_no_worse(run: Path, again: Any, tools: Any) -> None:
    done = tools.called(run.parent, "compare", "sums", "sums-2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "24 items answered in both" in done.stdout
    assert "worse" not in done.stdout


def test_compare_fails_exactly_when_the_second_run_is_worse(
    run: Path, worse: Path, tools: Any
) -> None:
    lost = tools.called(run, "compare", run, worse)
    assert (lost.returncode, lost.stderr) == (1, "")
    assert "worse" in lost.stdout
    won = tools.called(run, "compare", worse, run)
    assert won.returncode == 0
    assert "better" in won.stdout


def test_a_run_is_verified_as_it_was_written_down_to_what_each_method_chose(
    run: Path, worse: Path, tools: Any
) -> None:
    done = tools.finished(run.parent, "verify", "sums", worse)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("verified: ") == 2
    assert "24 items in 12 parts" in done.stdout


def test_an_answer_that_does_not_follow_from_its_candidates_is_named(
    run: Path, tmp_path: Path
) -> None:
    forged = Path(shutil.copytree(run, tmp_path / "forged"))
    shard = shard_ids(open_directory(forged))[0]
    first, *others = from_table(read_part(forged, shard))
    *answers, last = first.answers
    wrong = replace(first, answers=(*answers, replace(last, value=1.0 - last.value)))
    content = encode_part(shard, to_table([wrong, *others]))
    (forged / part_name(shard)).write_bytes(content)
    write_report(forged)
    assert verify(forged).ok, "its summary and its page do follow from the records"
    (found,) = verify(forged, answering(forged)).mismatches
    where = f"answers[{last.method} {last.metric} {last.k}].value"
    assert found.name == f"item {first.item_id!r}: {where}"
    assert float(found.wanted) == last.value


def test_report_writes_the_page_again(worse: Path, tools: Any) -> None:
    (worse / "report.html").unlink()
    done = tools.called(worse.parent, "report", "boxed")
    assert (done.returncode, done.stdout.strip()) == (0, "boxed/report.html")
    assert "<html" in (worse / "report.html").read_text()


@pytest.mark.parametrize("to", ["parquet", "jsonl"])
def test_export_writes_one_row_per_item_and_never_over_a_file(
    run: Path, tmp_path: Path, tools: Any, to: str
) -> None:
    path = tmp_path / f"all.{to}"
    done = tools.called(tmp_path, "export", run, "--to", to, "--output", path)
    assert (done.returncode, done.stdout.strip()) == (0, str(path))
    lines = path.read_text().splitlines() if to == "jsonl" else []
    rows = [json.loads(line) for line in lines] or pq.read_table(path).to_pylist()
    texts = {row["item_id"]: [c["text"] for c in row["candidates"]] for row in rows}
    kept = tools.by_item(run)
    assert texts == {name: [c.text for c in record.candidates] for name, record in kept.items()}
    over = tools.called(tmp_path, "export", run, "--to", to, "--output", path)
    assert over.returncode == 2
    assert "exists" in over.stderr


def test_show_prints_one_prompt(inputs: Path, tools: Any) -> None:
    done = tools.called(inputs, "show", "sums.yaml", "--item", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == ["reference: 5", "[user] What is 3 + 2?"]


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("tasks", "arithmetic"),
        ("models", "bundled:smollm2-135m-instruct"),
        ("engines", "replay"),
        ("rankers", "best_of:SCORER"),
        ("scorers", "p_true"),
        ("judges", "additive5"),
        ("configs", "demo"),
    ],
)
def test_ls_says_one_line_of_each_name(tmp_path: Path, tools: Any, what: str, name: str) -> None:
    done = tools.called(tmp_path, "ls", what)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"{name} ")]
    assert len(line.split()) > 2, "a name needs its sentence"


def test_validate_says_what_the_config_comes_to(inputs: Path, run: Path, tools: Any) -> None:
    done = tools.finished(inputs, "validate", "sums.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("sums.yaml: valid; 24 items of sums; digest ")
    assert not (inputs / "runs").exists()


def test_replicas_of_several_devices_reserve_them_together(
    inputs: Path, base: Base, tools: Any
) -> None:
    devices = ("cluster.gpus=4", "models.small.gpus=2")
    done = tools.finished(inputs, "run", "sums.yaml", *devices, "models.small.replicas=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert tools.drawn(inputs / "runs" / "sums") == tools.drawn(base[0] / "runs" / "sums")
    refused = tools.called(inputs, "run", "sums.yaml", *devices, "models.small.replicas=3")
    assert refused.returncode == 2
    assert "replica 3 of 3 wants 0.5 CPU, 2 GPU on one node" in refused.stderr
