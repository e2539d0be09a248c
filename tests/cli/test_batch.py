"""Scoring data sets from the shell: what is added to them, going on, and what is refused."""

import csv
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
        assert (row["reward_outcome"], row["reward_error"]) == ("ok", None)
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


def test_scored_data_are_scored_again_under_another_name(
    scored: tuple[Path, Any], tools: Any
) -> None:
    folder, _ = scored
    once = folder / "out" / "scored.parquet"
    ended = tools.called(folder, "reward", str(once), *FAKE, "--output", "more")
    assert ended.returncode == 2
    assert "give them another with --as NAME" in ended.stderr
    ended = tools.called(folder, "reward", str(once), *FAKE, "--as", "b", "--output", "more")
    assert (ended.returncode, ended.stderr) == (0, "")
    both = pq.read_table(folder / "more" / "scored.parquet")
    kept = pq.read_table(once)
    assert both.select(kept.column_names).equals(kept)
    assert both["b_margin"].equals(kept["reward_margin"])


def test_what_a_judge_wrote_stands_beside_its_marks(ray: str, tmp_path: Path, tools: Any) -> None:
    rows = [{"prompt": "Why?", "response": "So."}, {"prompt": "Why?", "response": None}]
    (tmp_path / "rows.csv").write_text("prompt,response\nWhy?,So.\n")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    texts = 'models.model.fake={texts: ["Fair.\\nScore: 3"]}'
    for source in ("rows.parquet", "rows.jsonl", "rows.csv"):
        ended = tools.called(tmp_path, "judge", source, *FAKE, texts, "--output", f"of-{source}")
        assert ended.returncode == (0 if source == "rows.csv" else 3), ended.stderr
    first, second = pq.read_table(tmp_path / "of-rows.parquet" / "scored.parquet").to_pylist()
    assert (first["judge"], first["judge_said"]) == (3.0, ["Fair.\nScore: 3"])
    assert (second["judge"], second["judge_said"]) == (None, [])
    lines = (tmp_path / "of-rows.jsonl" / "scored.jsonl").read_text().splitlines()
    assert [json.loads(line)["judge_said"] for line in lines] == [["Fair.\nScore: 3"], []]
    with (tmp_path / "of-rows.csv" / "scored.csv").open(newline="") as file:
        (cells,) = csv.DictReader(file)
    assert json.loads(cells["judge_said"]) == ["Fair.\nScore: 3"]


def test_a_row_without_a_reply_fails_alone(ray: str, tmp_path: Path, tools: Any) -> None:
    rows = [{"prompt": f"Why {i}?", "response": None if i == 1 else "So."} for i in range(3)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "rows.jsonl").open("a").write('{"prompt": null, "response": "So."}\n')
    ended = tools.called(tmp_path, "reward", "rows.jsonl", *FAKE, "--json", "--output", "out")
    assert ended.returncode == 3, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1])["scored"] == "out/scored.jsonl"
    found = [*map(json.loads, (tmp_path / "out" / "scored.jsonl").read_text().splitlines())]
    assert [row["reward_outcome"] for row in found] == ["ok", "error", "ok", "error"]
    assert [row["reward"] is None for row in found] == [False, True, False, True]
    assert found[1]["reward_error"].startswith("no reply to score")
    assert "row 4 of rows.jsonl has a null in field 'prompt'" in found[3]["reward_error"]


def test_a_folder_with_names_in_any_case_and_more_columns_in_one_file(
    ray: str, tmp_path: Path, tools: Any
) -> None:
    rows = {"prompt": ["a", "b"], "response": ["c", "d"]}
    for kind in ("parquet", "csv"):
        (tmp_path / kind).mkdir()
    pq.write_table(pa.table(rows), tmp_path / "parquet" / "1.PARQUET")
    pq.write_table(pa.table({**rows, "n": [1, 2]}), tmp_path / "parquet" / "2.parquet")
    (tmp_path / "csv" / "1.CSV").write_text("prompt,response\na,c\nb,d\n")
    (tmp_path / "csv" / "2.csv").write_text("prompt,response,n\na,c,1\nb,d,2\n")
    for kind in ("parquet", "csv"):
        ended = tools.called(tmp_path, "reward", kind, *FAKE, "--output", f"of-{kind}")
        assert (ended.returncode, ended.stderr) == (0, "")
    table = pq.read_table(tmp_path / "of-parquet" / "scored.parquet")
    assert table["n"].to_pylist() == [None, None, 1, 2]
    with (tmp_path / "of-csv" / "scored.csv").open(newline="") as file:
        assert [row["n"] for row in csv.DictReader(file)] == ["", "", "1", "2"]


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
    (tmp_path / "scored.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    (tmp_path / "none.jsonl").write_text('{"text": "a"}\n')
    for arguments, problem in (
        (("reward", "taken.jsonl", *FAKE), "the data has a column 'reward'"),
        (("reward", "none.jsonl", *FAKE), "none of the columns chosen and rejected"),
        (("reward", "none.jsonl", *FAKE, "--column", "reply=text"), "with a part of prompt"),
        (("reward", "one.jsonl", *FAKE, "--as", ""), "--as '': wanted letters"),
        (("reward", "one.jsonl", *FAKE, "pipeline.name=rank"), "pipeline.name: wanted given"),
        (("rank", "one.jsonl", "--by", "judge_versus", *FAKE), "the data has none"),
        (("reward", "scored.jsonl", *FAKE, "--output", "."), "written over the data"),
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
