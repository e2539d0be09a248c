"""Files of rows to which columns were added, in the format of the data: what may be in one, and who
writes it.

    columns of every file --one type each--> schema --> Parquet, CSV; JSON Lines do without
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from actors.formats import json_line, suffix
from actors.types import ConfigError
from pipelines.tasks.files import FileSource, FolderSource, Source

Fields = dict[str, Any]
Added = Mapping[str, pa.DataType]
"""Columns that the data doesn't have yet."""


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
        assert own is not None, "CSV has a header"
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, [*own.names, *added])
        self._writer.writeheader()

    def write(self, rows: Sequence[Fields]) -> None:
        self._writer.writerows(
            {k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows
        )

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """Columns of the data keep their types."""

    def __init__(self, path: Path, own: pa.Schema | None, added: Added) -> None:
        assert own is not None, "Parquet and Arrow have a schema"
        whole = pa.schema([*own, *(pa.field(*one) for one in added.items())])
        self._writer = pq.ParquetWriter(path, whole, compression="zstd")

    def write(self, rows: Sequence[Fields]) -> None:
        self._writer.write_table(pa.Table.from_pylist([*rows], schema=self._writer.schema))

    def close(self) -> None:
        self._writer.close()


Make = Callable[[Path, pa.Schema | None, Added], Writer]


def format_of(label: str) -> tuple[str, Make]:
    """The ending of the written file, and what writes it, by the name of the file that was read."""
    ending = suffix(Path(label))
    if ending in (".parquet", ".arrow"):
        return ".parquet", _Parquet
    return (".csv", _Csv) if ending == ".csv" else (".jsonl", _JsonLines)


def files_of(source: Source) -> list[FileSource]:
    """The local files that rows come from; none for the hub."""
    if isinstance(source, FolderSource):
        return source.files
    return [source] if isinstance(source, FileSource) else []


def columns(source: Source) -> pa.Schema | None:
    """The columns of all files together; None: each row has its own. Raises ConfigError for a
    column whose types no one type can hold.
    """
    found: dict[str, tuple[pa.Field, str]] = {}
    schemas = [(file.label, file.schema) for file in files_of(source)]
    for label, schema in schemas:
        for field in schema or ():
            before, where = found.get(field.name, (field, label))
            try:
                (both,) = pa.unify_schemas(
                    [pa.schema([before]), pa.schema([field])], promote_options="permissive"
                )
            except pa.ArrowException:
                raise ConfigError(
                    f"column {field.name!r} is {before.type} in {where} and {field.type} in "
                    f"{label}, and the scored file has one type for it: cast one of them"
                ) from None
            found[field.name] = (both, where)
    if any(schema is not None for _, schema in schemas):
        return pa.schema([field for field, _ in found.values()])
    return None


def check_writable(source: Source) -> None:
    """Write the first row of every file to a place that is gone then. Raises ConfigError for what
    can't be written.
    """
    own = columns(source)
    sources: Sequence[Source] = files_of(source) or [source]
    for file in sources:
        rows = [dict(row.fields) for row in islice(file.rows(), 1)]
        ending, make = format_of(file.label)
        try:
            with (
                TemporaryDirectory() as folder,
                closing(make(Path(folder, "rows"), own, {})) as out,
            ):
                out.write(rows)
        except (TypeError, ValueError, pa.ArrowException) as error:
            said = str(error).partition("\n")[0]
            raise ConfigError(
                f"{file.label} has a column that scored{ending} can't hold ({said}): take it out, "
                "or write it as text"
            ) from error
