"""Scored rows in text formats: what was text stays text, and lists are JSON."""

import csv
import json

import pyarrow as pa
import pytest

from pipelines.tasks.files import FolderSource
from pipelines.writers import columns, format_of

ROWS = [
    {"prompt": "Why?", "response": "007", "reward": 0.5, "outcome": "ok", "error": None},
    {"prompt": 'a "b", c\nd', "response": "ü", "reward": None, "outcome": "ok", "error": None},
]


@pytest.fixture
def written(tmp_path):
    def write(label, rows):
        suffix, make = format_of(label)
        path = tmp_path / f"scored{suffix}"
        out = make(path, pa.Table.from_pylist(rows).schema, {})
        out.write(rows[:1])
        out.write(rows[1:])
        out.close()
        return path

    return write


def test_csv_has_one_header_and_every_cell(written):
    with written("one.csv", ROWS).open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [row["response"] for row in found] == ["007", "ü"]
    assert found[1]["prompt"] == ROWS[1]["prompt"]
    assert [row["reward"] for row in found] == ["0.5", ""]


def test_lists_in_csv_are_json(written):
    path = written("many.csv", [{"prompt": "a", "reward": [0.5, None], "reward_order": [0]}])
    (row,) = csv.DictReader(path.open(newline="", encoding="utf-8"))
    assert json.loads(row["reward"]) == [0.5, None]


def test_other_data_become_json_lines(written):
    path = written("a hub id", ROWS)
    assert path.suffix == ".jsonl"
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == ROWS


def test_the_end_of_a_name_counts_in_any_case_and_columns_of_all_files_are_written(tmp_path):
    (tmp_path / "1.CSV").write_text("prompt,response\na,b\n")
    (tmp_path / "2.csv").write_text("prompt,response,note\nc,d,e\n")
    source = FolderSource(tmp_path)
    suffix, make = format_of(next(source.rows()).label)
    out = make(tmp_path / "scored", columns(source), {"reward": pa.float64()})
    out.write([{**row.fields, "reward": 0.5} for row in source.rows()])
    out.close()
    assert suffix == ".csv"
    lines = (tmp_path / "scored").read_text().splitlines()
    assert lines == ["prompt,response,note,reward", "a,b,,0.5", "c,d,e,0.5"]
    assert format_of("UPPER.PARQUET")[0] == ".parquet"
