"""Scoring data sets from the shell: what is added to them, going on, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FAKE = ("--model", "none", "--engine", "fake", "models.model.cpus=0.5", "cluster.cpus=1")
PAIRS = [
    {"prompt": f"Question {i}?", "chosen": f"yes {i}", "rejected": f"no {i}", "subset": "ab"[i % 2]}
    for i in range(40)
]


@pytest.fixture(scope="module")
def scored(ray: str, tmp_path_factory: pytest.TempPathFactory, tools: Any) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("batch")
    table = pa.Table.from_pylist([{**row, "rank": i, "note": None} for i, row in enumerate(PAIRS)])
    pq.write_table(
        table.cast(table.schema.set(5, pa.field("note", pa.int16()))), folder / "pairs.parquet"
    )
    return folder, tools.called(
        folder, "reward", "pairs.parquet", *FAKE, "--output", "out", "shard_size=8"
    )


def test_every_column_stays_and_the_scores_stand_beside_it(scored: tuple[Path, Any]) -> None:
    folder, ended = scored
    assert (ended.returncode, ended.stderr) == (0, "")
    before, after = (
        pq.read_table(folder / "pairs.parquet"),
        pq.read_table(folder / "out" / "scored.parquet"),
    )
    assert after.select(before.column_names).equals(before)
    rows = after.to_pylist()
    for row in rows:
        assert row["reward_margin"] == pytest.approx(row["reward_chosen"] - row["reward_rejected"])
        assert (row["outcome"], row["error"]) == ("ok", None)
    better = sum(row["reward_margin"] > 0 for row in rows)
    (found,) = (
        row
        for row in json.loads((folder / "out" / "summary.json").read_text())["rows"]
        if row["metric"] == "accuracy"
    )
    assert found["value"] == pytest.approx(better / len(rows))
    assert found["low"] < found["value"] < found["high"]


def test_the_screen_says_how_columns_were_read_and_results_by_subset(
    scored: tuple[Path, Any],
) -> None:
    _, ended = scored
    assert "columns: prompt = 'prompt', subset = 'subset', chosen = 'chosen'" in ended.stdout
    assert "best_of:reward" in ended.stdout
    assert "scored:  out/scored.parquet" in ended.stdout


def test_the_same_command_again_asks_nothing_and_writes_the_same(
    scored: tuple[Path, Any], tools: Any
) -> None:
    folder, _ = scored
    first = (folder / "out" / "scored.parquet").read_bytes()
    ended = tools.called(
        folder, "reward", "pairs.parquet", *FAKE, "--output", "out", "shard_size=8"
    )
    assert ended.returncode == 0
    assert "starting" not in ended.stdout
    assert (folder / "out" / "scored.parquet").read_bytes() == first


def test_lists_of_replies_are_ordered_and_text_formats_keep_their_form(
    ray: str, tmp_path: Path, tools: Any
) -> None:
    rows = [
        {"id": 7, "prompt": "Why?", "candidates": ["a", "b b", "c"]},
        {"id": 9, "prompt": "So?", "candidates": ["d"]},
    ]
    (tmp_path / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = tools.called(tmp_path, "rank", "many.jsonl", *FAKE, "--by", "reward", "--output", "out")
    assert (ended.returncode, ended.stderr) == (0, "")
    first, second = map(json.loads, (tmp_path / "out" / "scored.jsonl").read_text().splitlines())
    assert {key: first[key] for key in rows[0]} == rows[0]
    assert first["reward_order"][0] == first["reward_best"]
    assert [first["reward"][i] for i in first["reward_order"]] == sorted(
        first["reward"], reverse=True
    )
    assert (second["reward_order"], second["reward_margin"]) == ([0], None)


def test_what_cannot_be_scored_is_refused_before_anything_starts(
    tmp_path: Path, tools: Any
) -> None:
    (tmp_path / "taken.jsonl").write_text('{"prompt": "a", "response": "b", "reward": 1}\n')
    (tmp_path / "one.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    (tmp_path / "none.jsonl").write_text('{"text": "a"}\n')
    for arguments, problem in (
        (("reward", "taken.jsonl", *FAKE), "the data has a column 'reward'"),
        (("reward", "none.jsonl", *FAKE), "none of the columns chosen and rejected"),
        (("reward", "none.jsonl", *FAKE, "--column", "reply=text"), "with a part of prompt"),
        (("rank", "one.jsonl", "--by", "pairwise", *FAKE), "the data has one reply a row"),
        (
            ("reward", "taken.jsonl", "--model", "bundled:smollm2-135m-instruct"),
            "models.model: ",
        ),
    ):
        ended = tools.called(tmp_path, *arguments)
        assert ended.returncode == 2, ended.stderr
        assert problem in ended.stderr


def test_a_model_that_fails_its_trust_check_scores_nothing(tmp_path: Path, tools: Any) -> None:
    (tmp_path / "steps.jsonl").write_text('{"prompt": "a", "candidates": ["b", "c"]}\n')
    model = ("--model", "bundled:smollm2-135m-instruct", "cluster.cpus=1")
    ended = tools.called(tmp_path, "rank", "steps.jsonl", "--by", "process", *model)
    assert ended.returncode == 2, ended.stderr
    assert "roles.scorers.process: model 'model', asked as 'process', failed" in ended.stderr
    assert "nothing was scored" in ended.stderr
    assert not list(tmp_path.rglob("part-*"))
    checked = tools.called(tmp_path, "check-reward", model[1], "--by", "process")
    assert checked.returncode == 1, checked.stderr
    assert "FAIL  labels expected" in checked.stdout
