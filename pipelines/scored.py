"""A scored data set: every column of the data, and what the scorers said of each row.

    rows of the data ----+--> rows with more columns --> scored.parquet, .csv or .jsonl
    records of the run --+

Of a row with one reply a scorer NAME adds `NAME` and `NAME_PART` for each named part; of a pair
`NAME_chosen`, `NAME_rejected` and `NAME_margin`; of a list `NAME` (a list), `NAME_best`,
`NAME_order` (indices, the best first) and `NAME_margin` (of the best over the next). `NAME_outcome`
and `NAME_error` say which rows could not be scored. Null: no verdict. A judge that writes its
verdicts adds `NAME_said`, a list of its replies; of several replies in a row a list for each.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from actors.formats import json_line, schema
from actors.judge_table import JUDGES
from pipelines.job import Job
from pipelines.tasks.data import Data
from pipelines.tasks.files import FileSource, FolderSource
from results.directories import LocalDirectory, Where, open_directory, unwritable
from results.parts import read_records
from results.schema import CandidateRecord, Record, ScoreRecord
from results.store import read_manifest

SILENT = "gave no score: a reply doesn't fit into the model's context, or no verdict could be read"
BATCH = 1024
"""Rows that are joined and written at once."""

OF_MODELS = ("reward", "states")
"""Kinds of scorers whose parts are the model's."""

T = TypeVar("T")
Fields = dict[str, Any]
Added = Mapping[str, pa.DataType]
"""Columns that the data doesn't have yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scorer:
    name: str
    parts: tuple[str, ...]
    """Names of its scores' parts."""
    writes: bool
    """It is a judge that writes its verdicts down."""


def write_scored(job: Job, run_dir: Where) -> str:
    """Write the file into the run directory; returns where it is. Parquet for Parquet and Arrow,
    CSV for CSV, otherwise JSON Lines. Raises ResultsError where it can't be written.

    Rows are in the order of the data; of a limited run, only those that were scored.
    """
    task: Any = job.task
    assert isinstance(task, Data), "of a job that `batch.config_of` made"
    suffix, make = _format(task.first.label)
    name, directory = f"scored{suffix}", open_directory(run_dir)
    try:
        if isinstance(directory, LocalDirectory):
            temporary = directory.path / f"{name}.tmp"
            _write(job, run_dir, temporary, make)
            temporary.rename(directory.path / name)
        else:
            with TemporaryDirectory() as folder:
                _write(job, run_dir, Path(folder) / name, make)
                directory.put(name, (Path(folder) / name).read_bytes())
    except OSError as error:
        raise unwritable(directory, name, error) from error
    return f"{directory}/{name}"


def _write(job: Job, run_dir: Where, path: Path, make: "Make") -> None:
    task: Any = job.task
    scorers = _scorers(job, run_dir)
    added = {name: kind for scorer in scorers for name, kind in _types(scorer, task.form).items()}
    rows = _joined(task, read_records(run_dir), scorers)
    with closing(make(path, _schema(task.source), added)) as out:
        while batch := list(islice(rows, BATCH)):
            out.write(batch)


def _schema(source: Any) -> pa.Schema | None:
    """The columns of the data, where its files say what they are."""
    if isinstance(source, FileSource):
        return schema(source.path)
    if isinstance(source, FolderSource):
        schemas = [schema(file.path) for file in source.files]
        known = [one for one in schemas if one is not None]
        return pa.unify_schemas(known, promote_options="permissive") if known else None
    return None


def _joined(task: Data, records: Iterator[Record], scorers: Sequence[_Scorer]) -> Iterator[Fields]:
    rows = task.source.rows()
    for record in records:
        # Records are in the order of the rows; a limited run has passed some over.
        row = next(row for row in rows if task.row_name(row) == record.item_id)
        error = record.error.message if record.error else None
        added: Fields = {}
        for scorer in scorers:
            found = [_score(candidate, scorer.name) for candidate in record.candidates]
            is_silent = any(score.value is None for score in found)
            own = _values(scorer, task.form, found)
            own["outcome"] = record.outcome
            own["error"] = error or (f"{scorer.name} {SILENT}" if is_silent else None)
            added |= _named(scorer, own)
        yield {**row.fields, **added}


def _values(scorer: _Scorer, form: str, found: Sequence[ScoreRecord]) -> Fields:
    """What one scorer says of the replies in a row. The names are those of `_types`."""
    values = [score.value for score in found]
    said: Fields = {}
    if scorer.writes:
        replies = [[*score.said] for score in found]
        said["said"] = replies if form != "one" else replies[0] if replies else []
    if form == "one":
        parts = dict(zip(scorer.parts, found[0].parts if found else (), strict=False))
        named = {name: parts.get(name) for name in scorer.parts}
        return {"": values[0] if values else None, **named, **said}
    if form == "pair":
        first, second = values or (None, None)
        margin = None if first is None or second is None else first - second
        return {"chosen": first, "rejected": second, "margin": margin, **said}
    known = [i for i, value in enumerate(values) if value is not None]
    order = sorted(known, key=lambda i: (-(values[i] or 0.0), i))
    best = [values[i] or 0.0 for i in order[:2]]
    return {
        "": values,
        "best": order[0] if order else None,
        "order": order,
        "margin": best[0] - best[1] if len(best) > 1 else None,
        **said,
    }


def _types(scorer: _Scorer, form: str) -> dict[str, pa.DataType]:
    """The columns that a scorer adds."""
    real, text = pa.float64(), pa.string()
    kinds: dict[str, pa.DataType]
    if form == "one":
        kinds = {"": real, **dict.fromkeys(scorer.parts, real)}
    elif form == "pair":
        kinds = dict.fromkeys(("chosen", "rejected", "margin"), real)
    else:
        kinds = {"": pa.list_(real), "best": pa.int64(), "order": pa.list_(pa.int64())}
        kinds["margin"] = real
    if scorer.writes:
        kinds["said"] = pa.list_(text) if form == "one" else pa.list_(pa.list_(text))
    return _named(scorer, {**kinds, "outcome": text, "error": text})


def _named(scorer: _Scorer, columns: Mapping[str, T]) -> dict[str, T]:
    return {f"{scorer.name}_{name}" if name else scorer.name: v for name, v in columns.items()}


def _score(candidate: CandidateRecord, scorer: str) -> ScoreRecord:
    found = {score.scorer: score for score in candidate.scores}
    return found.get(scorer, ScoreRecord(scorer=scorer, value=None))


def _scorers(job: Job, run_dir: Where) -> list[_Scorer]:
    """What the run's scorers add. The names of parts are as their models gave them."""
    replicas = read_manifest(run_dir).about.get("replicas", [])
    parts = {info["model"]: tuple(info.get("parts", ())) for info in replicas}
    return [
        _Scorer(
            name=name,
            parts=parts.get(scorer.model, ()) if scorer.kind in OF_MODELS else (),
            writes=scorer.kind in JUDGES and not scorer.judge.constrained,
        )
        for name, scorer in job.config.roles.scorers.items()
    ]


class Writer(Protocol):
    """Takes rows, a batch at a time."""

    def write(self, rows: Sequence[Fields]) -> None: ...

    def close(self) -> None: ...


class _JsonLines:
    def __init__(self, path: Path, own: pa.Schema | None, added: Added) -> None:
        self._file = path.open("w", encoding="utf-8")

    def write(self, rows: Sequence[Fields]) -> None:
        self._file.writelines(json_line(row) for row in rows)

    def close(self) -> None:
        self._file.close()


class _Csv:
    """Lists are written as JSON."""

    def __init__(self, path: Path, own: pa.Schema | None, added: Added) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer: csv.DictWriter[str] | None = None

    def write(self, rows: Sequence[Fields]) -> None:
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, [*rows[0]])
            self._writer.writeheader()
        self._writer.writerows(
            {k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows
        )

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """Columns of the data keep their types; those of rows from elsewhere are as in the first
    batch.
    """

    def __init__(self, path: Path, own: pa.Schema | None, added: Added) -> None:
        self._path, self._own, self._added = path, own, added
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: Sequence[Fields]) -> None:
        if self._writer is None:
            own = self._own or pa.Table.from_pylist([*rows]).schema
            fields = [field for field in own if field.name not in self._added]
            whole = pa.schema([*fields, *(pa.field(*one) for one in self._added.items())])
            self._writer = pq.ParquetWriter(self._path, whole, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist([*rows], schema=self._writer.schema))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


Make = Callable[[Path, pa.Schema | None, Added], Writer]


def _format(label: str) -> tuple[str, Make]:
    if label.endswith((".parquet", ".arrow")):
        return ".parquet", _Parquet
    return (".csv", _Csv) if label.endswith(".csv") else (".jsonl", _JsonLines)
