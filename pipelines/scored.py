"""A scored data set: every column of the data, and what the scorers said of each row.

    rows of the data ----+--> rows with more columns --> scored.parquet, .csv or .jsonl
    records of the run --+

Of a row with one reply a scorer NAME adds `NAME` and `NAME_PART` for each named part; of a pair
`NAME_chosen`, `NAME_rejected` and `NAME_margin`; of a list `NAME` (a list), `NAME_best`,
`NAME_order` (indices, the best first) and `NAME_margin` (of the best over the next). `outcome` and
`error` say which rows could not be scored. Null: no verdict.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from actors.formats import json_line, schema
from pipelines.job import Job
from pipelines.tasks.data import Data
from pipelines.tasks.files import FileSource, FolderSource
from results.directories import LocalDirectory, Where, open_directory
from results.parts import read_records
from results.schema import CandidateRecord, Record
from results.store import read_manifest

SILENT = "gave no score: a reply doesn't fit into the model's context, or no verdict could be read"
BATCH = 1024
"""Rows that are joined and written at once."""

OF_MODELS = ("reward", "states")
"""Kinds of scorers whose parts are the model's."""

Fields = dict[str, Any]
Added = Mapping[str, pa.DataType]
"""Columns that the data doesn't have yet."""


def write_scored(job: Job, run_dir: Where) -> str:
    """Write the file into the run directory, or into the working directory where that is a store;
    returns where it is. Parquet for Parquet and Arrow, CSV for CSV, otherwise JSON Lines.

    Rows are in the order of the data; of a limited run, only those that were scored.
    """
    task: Any = job.task
    assert isinstance(task, Data), "of a job that `batch.config_of` made"
    first = next(task.source.rows())
    parts = _part_names(run_dir)
    added = {
        name: kind
        for scorer in job.config.roles.scorers
        for name, kind in _types(scorer, task.form(first), parts[scorer]).items()
    }
    own = _schema(task.source)
    rows = _joined(task, read_records(run_dir), parts)
    directory = open_directory(run_dir)
    folder = directory.path if isinstance(directory, LocalDirectory) else Path()
    suffix, make = _format(first.label)
    path = folder / f"scored{suffix}"
    temporary = path.with_name(f"{path.name}.tmp")
    with closing(make(temporary, own, added)) as out:
        while batch := list(islice(rows, BATCH)):
            out.write(batch)
    temporary.rename(path)
    return str(path)


def _schema(source: Any) -> pa.Schema | None:
    """The columns of the data, where its files say what they are."""
    if isinstance(source, FileSource):
        return schema(source.path)
    if isinstance(source, FolderSource):
        schemas = [schema(file.path) for file in source.files]
        known = [one for one in schemas if one is not None]
        return pa.unify_schemas(known, promote_options="permissive") if known else None
    return None


def _joined(
    task: Data, records: Iterator[Record], parts: Mapping[str, Sequence[str]]
) -> Iterator[Fields]:
    rows = task.source.rows()
    for record in records:
        # Records are in the order of the rows; a limited run has passed some over.
        row = next(row for row in rows if task.row_name(row) == record.item_id)
        error = record.error.message if record.error else None
        added: Fields = {"outcome": record.outcome, "error": error}
        for scorer, names in parts.items():
            added |= _values(scorer, task.form(row), names, record.candidates)
            if error is None and any(_score(c, scorer)[0] is None for c in record.candidates):
                added["error"] = f"{scorer} {SILENT}"
        yield {**row.fields, **added}


def _values(
    scorer: str, form: str, parts: Sequence[str], candidates: Sequence[CandidateRecord]
) -> Fields:
    """What one scorer says of a row; the names are those of `_types`."""
    found = [_score(candidate, scorer) for candidate in candidates]
    values = [value for value, _ in found]
    if form == "one":
        value, details = found[0] if found else (None, ())
        named = dict(zip(parts, details, strict=False))
        return {scorer: value, **{f"{scorer}_{name}": named.get(name) for name in parts}}
    known = [i for i, value in enumerate(values) if value is not None]
    order = sorted(known, key=lambda i: (-(values[i] or 0.0), i))
    if form == "pair":
        first, second = values or (None, None)
        margin = None if first is None or second is None else first - second
        names = (f"{scorer}_chosen", f"{scorer}_rejected", f"{scorer}_margin")
        return dict(zip(names, (first, second, margin), strict=True))
    best = [values[i] or 0.0 for i in order[:2]]
    return {
        scorer: values,
        f"{scorer}_best": order[0] if order else None,
        f"{scorer}_order": order,
        f"{scorer}_margin": best[0] - best[1] if len(best) > 1 else None,
    }


def _types(scorer: str, form: str, parts: Sequence[str]) -> dict[str, pa.DataType]:
    real = pa.float64()
    if form == "one":
        return {scorer: real, **{f"{scorer}_{name}": real for name in parts}}
    if form == "pair":
        return {f"{scorer}_{name}": real for name in ("chosen", "rejected", "margin")}
    return {
        scorer: pa.list_(real),
        f"{scorer}_best": pa.int64(),
        f"{scorer}_order": pa.list_(pa.int64()),
        f"{scorer}_margin": real,
    }


def _score(candidate: CandidateRecord, scorer: str) -> tuple[float | None, tuple[float, ...]]:
    found = {score.scorer: (score.value, score.parts) for score in candidate.scores}
    return found.get(scorer, (None, ()))


def _part_names(run_dir: Where) -> dict[str, Sequence[str]]:
    """By scorer, the names of its scores' parts, as its model gave them."""
    manifest = read_manifest(run_dir)
    models = {info["model"]: info.get("parts", ()) for info in manifest.about.get("replicas", [])}
    scorers = manifest.identity["roles"]["scorers"]
    return {
        name: models.get(scorer["model"], ()) if scorer["kind"] in OF_MODELS else ()
        for name, scorer in scorers.items()
    }


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
            added = {**self._added, "outcome": pa.string(), "error": pa.string()}
            own = self._own or pa.Table.from_pylist([*rows]).schema
            fields = [field for field in own if field.name not in added]
            whole = pa.schema([*fields, *(pa.field(*one) for one in added.items())])
            self._writer = pq.ParquetWriter(self._path, whole, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist([*rows], schema=self._writer.schema))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _format(label: str) -> tuple[str, Callable[[Path, pa.Schema | None, Added], Writer]]:
    if label.endswith((".parquet", ".arrow")):
        return ".parquet", _Parquet
    return (".csv", _Csv) if label.endswith(".csv") else (".jsonl", _JsonLines)
