"""Data that can't be scored or fitted on is refused before a model is read."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from actors.formats import json_line
from actors.role_config import ScorerConfig
from actors.types import ConfigError
from pipelines import batch
from pipelines.reward_fit import Request
from pipelines.scored import _scorers, check_written
from pipelines.tasks import load_task
from pipelines.tasks.files import FolderSource, Row
from pipelines.train_reward import _check_labels, _labels, train
from pipelines.writers import check_writable, columns
from results.directories import LocalDirectory


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
    with pytest.raises(ConfigError, match=r"--as '': wanted letters"):
        batch.config_of(replace(asked, name=""))


def test_another_task_or_pipeline_scores_no_data_set() -> None:
    asked = batch.Request(data="x", scorer="reward", name="a", model="m", engine="hf", columns={})
    for change in ("task.name=gsm8k", "pipeline.name=rank"):
        key, _, got = change.partition("=")
        with pytest.raises(ConfigError, match=f"{key}: wanted .*, got {got}"):
            batch.config_of(replace(asked, overrides=[change]))


def test_a_later_files_column_of_the_name_of_a_new_one_is_refused(tmp_path: Path) -> None:
    made = job(tmp_path / "rows.jsonl", [{"prompt": "a", "response": "b"}])
    (tmp_path / "rows.jsonl").unlink()
    (tmp_path / "1.csv").write_text("prompt,response\na,b\n")
    (tmp_path / "2.CSV").write_text("prompt,response,reward\na,b,c\n")
    made.task = load_task({"name": "data", "source": str(tmp_path)})
    with pytest.raises(ConfigError, match="has a column 'reward'"):
        batch.check_names(made)


@pytest.mark.parametrize(
    "scorer",
    [
        {"kind": "judge_versus"},
        {"kind": "judge", "prompt": "{question}\n{answer}\n{reference}"},
    ],
)
def test_what_reads_a_reference_is_refused(scorer: dict[str, Any], tmp_path: Path) -> None:
    made = job(tmp_path / "rows.jsonl", [{"prompt": "a", "chosen": "b", "rejected": "c"}])
    made.config.roles.scorers = {"q": ScorerConfig(**scorer, model="m")}
    with pytest.raises(ConfigError, match="q: it reads a reference, and the data has none"):
        batch.check_compared(made)
    made.config.roles.scorers = {"q": ScorerConfig(kind="judge", model="m")}
    batch.check_compared(made)


def scored_by(made: Any, *names: str) -> Any:
    made.config.roles.scorers = {name: ScorerConfig(kind="reward", model="m") for name in names}
    return made


def test_scorers_whose_columns_meet_are_refused(tmp_path: Path) -> None:
    made = job(tmp_path / "rows.jsonl", [{"prompt": "a", "response": "b"}])
    out = LocalDirectory(tmp_path / "out")
    check_written(scored_by(made, "q", "r"), out)
    with pytest.raises(ConfigError, match="'q' and 'q_error' would both add a column 'q_error'"):
        check_written(scored_by(made, "q", "q_error"), out)


def test_a_part_of_a_model_takes_no_other_column(tmp_path: Path) -> None:
    made = scored_by(job(tmp_path / "rows.jsonl", [{"prompt": "a", "response": "b"}]), "q", "q_b")
    first, second = _scorers(made, {"m": ("a", "b", "error", "error_")})
    assert first.parts == ("a", "b_", "error_", "error__")
    assert second.parts == ("a", "b", "error_", "error__")


def test_the_data_are_not_written_over(tmp_path: Path) -> None:
    made = scored_by(job(tmp_path / "scored.jsonl", [{"prompt": "a", "response": "b"}]), "q")
    with pytest.raises(ConfigError, match="written over the data"):
        check_written(made, LocalDirectory(tmp_path))
    check_written(made, LocalDirectory(tmp_path / "out"))
    (tmp_path / "scored.jsonl").rename(tmp_path / "only.jsonl")
    made.task = load_task({"name": "data", "source": str(tmp_path)})
    with pytest.raises(ConfigError, match="among them"):
        check_written(made, LocalDirectory(tmp_path))


def test_columns_of_types_that_clash_are_refused_with_their_files(tmp_path: Path) -> None:
    row = {"prompt": ["a"], "response": ["b"]}
    pq.write_table(pa.table({**row, "n": [1]}), tmp_path / "1.PARQUET")
    pq.write_table(pa.table({**row, "n": ["x"]}), tmp_path / "2.parquet")
    with pytest.raises(
        ConfigError, match=r"'n' is int64 in 1\.PARQUET and string in 2\.parquet, .* cast one"
    ):
        check_writable(FolderSource(tmp_path))


def test_a_value_that_the_scored_file_cannot_hold_is_refused() -> None:
    class Hub:
        label = "a/b"

        def rows(self) -> Iterator[Row]:
            yield Row(1, {"prompt": "a", "when": datetime(2026, 1, 1)}, self.label)

    with pytest.raises(ConfigError, match=r"scored\.jsonl can't hold .*datetime"):
        check_writable(cast(Any, Hub()))


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


@pytest.mark.parametrize(
    ("objectives", "message"),
    [(["verbosity"], "the length of a reply; rename"), (["a", "a"], "wanted each one once")],
)
def test_objectives_that_the_head_cannot_have_are_refused(
    objectives: list[str], message: str, tmp_path: Path
) -> None:
    request = Request(data="x", base="m", output=str(tmp_path / "o"), objectives=objectives)
    with pytest.raises(ConfigError, match=message):
        train(request, Console())


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
    found = columns(FolderSource(tmp_path))
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
