"""Scored rows in text formats: what was text stays text, and lists are JSON."""

import csv
import json

import pytest

from pipelines.scored import _format

ROWS = [
    {"prompt": "Why?", "response": "007", "reward": 0.5, "outcome": "ok", "error": None},
    {"prompt": 'a "b", c\nd', "response": "ü", "reward": None, "outcome": "ok", "error": None},
]


@pytest.fixture
def written(tmp_path):
    def write(label, rows):
        suffix, make = _format(label)
        path = tmp_path / f"scored{suffix}"
        out = make(path, None, {})
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
