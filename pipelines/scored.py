"""A scored data set: every column of the data, and what the scorers said of each row.

    rows of the data ----+--> rows with more columns --> scored.parquet, .csv or .jsonl
    records of the run --+

Of a row with one reply a scorer NAME adds `NAME` and `NAME_PART` for each named part; of a pair
`NAME_chosen`, `NAME_rejected` and `NAME_margin`; of a list `NAME` (a list), `NAME_best`,
`NAME_order` (indices, the best first) and `NAME_margin` (of the best over the next). `NAME_outcome`
and `NAME_error` say which rows could not be scored. Null: no verdict. A judge that writes its
verdicts adds `NAME_said`, a list of its replies; of several replies in a row a list for each. A
part whose column is taken has a `_` more.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pyarrow as pa

from actors.judge_table import JUDGES
from actors.types import ConfigError
from pipelines.job import Job
from pipelines.tasks.data import Data
from pipelines.tasks.files import FolderSource
from pipelines.writers import Fields, Make, check_writable, columns, files_of, format_of
from results.directories import Directory, LocalDirectory, Where, open_directory, unwritable
from results.parts import read_records
from results.schema import CandidateRecord, Record, ScoreRecord
from results.store import read_manifest

SILENT = "gave no score: a reply doesn't fit into the model's context, or no verdict could be read"
BATCH = 1024
"""Rows that are joined and written at once."""

OF_MODELS = ("reward", "states")
"""Kinds of scorers whose parts are the model's."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scorer:
    name: str
    parts: tuple[str, ...]
    """Names of its scores' parts."""
    writes: bool
    """It is a judge that writes its verdicts down."""


def check_written(job: Job, directory: Directory) -> None:
    """Refuse before a run what its scored file couldn't hold, and one that would be written into
    the data. Raises ConfigError.
    """
    task: Any = job.task
    owners: dict[str, str] = {}
    for scorer in _scorers(job):
        for name in _types(scorer, task.form):
            if name in owners:
                raise ConfigError(
                    f"scorers {owners[name]!r} and {scorer.name!r} would both add a column "
                    f"{name!r}: give one of them another name"
                )
            owners[name] = scorer.name
    check_writable(task.source)
    name = f"scored{format_of(task.first.label)[0]}"
    files = [file.path.resolve() for file in files_of(task.source)]
    if isinstance(directory, LocalDirectory):
        place = directory.path.resolve()
        # A folder's files are all read.
        if place / name in files or (
            isinstance(task.source, FolderSource) and place == files[0].parent
        ):
            raise ConfigError(
                f"{directory}/{name} would be written over the data, or among them: give another "
                "--output"
            )


def write_scored(job: Job, run_dir: Where) -> str:
    """Write the file into the run directory; returns where it is. Parquet for Parquet and Arrow,
    CSV for CSV, otherwise JSON Lines. Raises ResultsError where it can't be written.

    Rows are in the order of the data; of a limited run, only those that were scored.
    """
    task: Any = job.task
    assert isinstance(task, Data), "of a job that `batch.config_of` made"
    suffix, make = format_of(task.first.label)
    name, directory = f"scored{suffix}", open_directory(run_dir)
    try:
        if isinstance(directory, LocalDirectory):
            temporary = directory.path / f"{name}.tmp"
            _write(job, run_dir, temporary, make)
            directory.take(name, temporary)
        else:
            with TemporaryDirectory() as folder:
                _write(job, run_dir, Path(folder) / name, make)
                directory.take(name, Path(folder) / name)
    except OSError as error:
        raise unwritable(directory, name, error) from error
    return f"{directory}/{name}"


def _write(job: Job, run_dir: Where, path: Path, make: Make) -> None:
    task: Any = job.task
    replicas = read_manifest(run_dir).about.get("replicas", [])
    scorers = _scorers(job, {info["model"]: tuple(info.get("parts", ())) for info in replicas})
    added = {name: kind for scorer in scorers for name, kind in _types(scorer, task.form).items()}
    rows = _joined(task, read_records(run_dir), scorers)
    with closing(make(path, columns(task.source), added)) as out:
        while batch := list(islice(rows, BATCH)):
            out.write(batch)


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


def _scorers(job: Job, given: Mapping[str, Sequence[str]] | None = None) -> list[_Scorer]:
    """What the run's scorers add. given: of each model the names of its parts, which are known once
    it was loaded. One that would be another column's is changed.
    """
    task: Any = job.task
    asked = job.config.roles.scorers
    found = [
        _Scorer(
            name=name,
            parts=(),
            writes=scorer.kind in JUDGES and not scorer.judge.constrained,
        )
        for name, scorer in asked.items()
    ]
    taken = {column for scorer in found for column in _types(scorer, task.form)}
    for place, scorer in enumerate(found):
        model = asked[scorer.name].model if asked[scorer.name].kind in OF_MODELS else None
        parts = [_free(scorer.name, part, taken) for part in (given or {}).get(model or "", ())]
        found[place] = replace(scorer, parts=tuple(parts))
    return found


def _free(scorer: str, part: str, taken: set[str]) -> str:
    while f"{scorer}_{part}" in taken:
        part += "_"
    taken.add(f"{scorer}_{part}")
    return part
