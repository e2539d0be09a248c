"""Data that can't be scored or fitted on is refused before a model is read."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actors.formats import json_line
from actors.types import ConfigError
from pipelines import batch
from pipelines.reward_fit import Request
from pipelines.scored import _schema
from pipelines.tasks import load_task
from pipelines.tasks.files import FolderSource
from pipelines.train_reward import _check_labels, _labels


def job(path: Path, rows: list[dict[str, Any]], **task: Any) -> Any:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    roles = SimpleNamespace(scorers={"reward": None})
    found = load_task({"name": "data", "source": str(path), **task})
    return SimpleNamespace(task=found, config=SimpleNamespace(roles=roles))


@pytest.mark.parametrize("name", ["reward", "reward_best", "reward_error"])
def test_a_column_that_would_be_written_over_is_refused_in_any_row(
    name: str, tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = [{"prompt": "a", "response": "b"}] * 3
    rows.append({**rows[0], name: "mine"})
    with pytest.raises(ConfigError, match=f"has a column '{name}'"):
        batch.check_names(job(tmp_path / "rows.jsonl", rows))


def test_a_scorer_that_reads_how_a_reply_was_drawn_is_refused() -> None:
    asked = batch.Request(
        data="x", scorer="mean_logprob", name="a", model="m", engine="hf", columns={}
    )
    with pytest.raises(ConfigError, match="likelihood asks a model"):
        batch.config_of(asked)


def test_a_name_that_no_column_may_have_is_refused() -> None:
    asked = batch.Request(data="x", scorer="reward", name="a.b", model="m", engine="hf", columns={})
    with pytest.raises(ConfigError, match=r"--as a\.b: wanted letters"):
        batch.config_of(asked)


def test_a_subset_that_no_row_has_is_refused(tmp_path: Path) -> None:
    row = {"prompt": "a", "chosen": "b", "rejected": "c", "subset": "math"}
    with pytest.raises(ConfigError, match="no field 'subsets'; it has: prompt, chosen"):
        job(tmp_path / "rows.jsonl", [row], subset_field="subsets")


def labelled(tmp_path: Path, rows: list[dict[str, Any]], *objectives: str) -> None:
    request = Request(data="rows.jsonl", base="m", output="o", objectives=objectives)
    _check_labels(job(tmp_path / "rows.jsonl", rows), request)


def test_an_objective_that_no_row_has_is_named(tmp_path: Path) -> None:
    row = {"prompt": "a", "response": "b", "helpfulness": 3}
    labelled(tmp_path, [row, {**row, "helpfulness": None}], "helpfulness")
    with pytest.raises(ConfigError, match=r"no row has a number in field 'helpful'; the first has"):
        labelled(tmp_path, [row], "helpful")


@pytest.mark.parametrize(
    ("labels", "message"),
    [([True], "1 labels in field 'correct' of 2 candidates"), (["yes", "no"], "'yes' in field")],
)
def test_labels_that_are_none_are_refused(labels: list[Any], message: str, tmp_path: Path) -> None:
    row = {"prompt": "a", "candidates": ["b", "c"]}
    labelled(tmp_path, [{**row, "correct": [True, None]}])
    with pytest.raises(ConfigError, match=message):
        labelled(tmp_path, [{**row, "correct": labels}])


def test_a_row_without_labels_or_replies_is_passed_over(tmp_path: Path) -> None:
    row = {"prompt": "a", "candidates": ["b", "c"], "correct": [True, False]}
    rows = [row, {**row, "correct": None}, {**row, "candidates": []}, {**row, "prompt": None}]
    made = job(tmp_path / "rows.jsonl", [*rows, row])
    request = Request(data="rows.jsonl", base="m", output="o", objectives=())
    _check_labels(made, request)
    assert [labels for _, labels in _labels(made, request)] == [
        [[1.0], [0.0]], [], [], [], [[1.0], [0.0]]
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="'no' in field 'correct', where a list"):
        labelled(tmp_path, [row, {**row, "correct": "no"}])
    with pytest.raises(ConfigError, match=r"row 1 of .* has no label"):
        labelled(tmp_path, [{"prompt": "a", "candidates": ["b", "c"]}])


def test_text_without_utf8_is_written_with_escapes() -> None:
    fields = {"a": "bad \ud83d half", "b": "ü"}
    line = json_line(fields)
    assert json.loads(line.encode()) == fields
    assert json_line({"b": "ü"}) == '{"b": "ü"}\n'


def test_columns_of_a_folder_are_those_of_all_of_its_files(tmp_path: Path) -> None:
    pq.write_table(pa.table({"note": pa.array([None], pa.null())}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"note": ["x"], "more": [1]}), tmp_path / "2.parquet")
    found = _schema(FolderSource(tmp_path))
    assert found is not None
    assert dict(zip(found.names, map(str, found.types), strict=True)) == {
        "note": "string",
        "more": "int64",
    }


def test_an_empty_cell_of_csv_is_no_reply_and_an_empty_text_of_json_is_one(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("prompt,response\na,\na,b\n")
    items = load_task({"name": "data", "source": str(tmp_path / "rows.csv")}).items()
    assert [item.choices for item in items] == [(), ("b",)]
    made = job(tmp_path / "rows.jsonl", [{"prompt": "a", "response": ""}])
    assert [item.choices for item in made.task.items()] == [("",)]


def test_a_cell_may_hold_a_long_reply(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text(f"prompt,response\na,{'b' * 200_000}\n")
    (item,) = load_task({"name": "data", "source": str(path)}).items()
    assert len(item.choices[0]) == 200_000
