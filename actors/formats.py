"""File formats: read rows one by one or a batch at a time, and count them without keeping them."""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 256
"""Rows of a columnar file that are Python values at once."""

MOST_IN_CELL = 1 << 30
"""Characters in a cell of a CSV file."""

UNREADABLE = (
    OSError,
    ValueError,
    OverflowError,
    EOFError,
    zlib.error,
    csv.Error,
    pa.ArrowException,
)
"""What reading a broken file raises."""

NumberedRow = tuple[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Format:
    """How rows of one kind of file are read and counted. Both raise one of UNREADABLE."""

    read: Callable[[Path], Iterator[NumberedRow]]
    count: Callable[[Path], int]


def suffix(path: Path, formats: Mapping[str, Format] | None = None) -> str:
    """The name's ending if it is one of the formats' (None: of FORMATS), otherwise nothing."""
    name = path.name.lower()
    return next((ending for ending in formats or FORMATS if name.endswith(ending)), "")


def _open_text(path: Path, newline: str) -> AbstractContextManager[TextIO]:
    if path.name.lower().endswith(".gz"):
        opened = gzip.open(path, "rt", encoding="utf-8-sig", newline=newline)  # noqa: SIM115
        return cast(AbstractContextManager[TextIO], opened)
    return path.open(encoding="utf-8-sig", newline=newline)


def _read_jsonl(path: Path) -> Iterator[NumberedRow]:
    with _open_text(path, "\n") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                fields = json.loads(line)
            except ValueError as e:
                raise ValueError(f"row {number} isn't JSON: {e}") from e
            if not isinstance(fields, dict):
                raise ValueError(f"row {number} is a JSON {type(fields).__name__}, not an object")
            yield number, fields


def _count_lines(path: Path) -> int:
    with _open_text(path, "\n") as file:
        return sum(1 for line in file if line.strip())


def _read_csv(path: Path) -> Iterator[NumberedRow]:
    """Every value is text: types guessed from the first rows would turn "007" into 7."""
    # A reply is longer than what the library takes for a broken quote.
    csv.field_size_limit(MOST_IN_CELL)
    with _open_text(path, "") as file:
        filled = (cells for cells in csv.reader(file, strict=True) if cells)
        header = _header(filled)
        for number, cells in enumerate(filled, 1):
            if len(cells) != len(header):
                raise ValueError(
                    f"row {number} has {len(cells)} cells, the header has {len(header)}"
                )
            yield number, dict(zip(header, cells, strict=True))


def _header(filled: Iterator[list[str]]) -> list[str]:
    # Some published files have a byte order mark behind a first empty line.
    header = [name.lstrip("\ufeff") for name in next(filled, [])]
    if len(set(header)) < len(header):
        raise ValueError("two columns have the same name")
    return header


def _count_csv(path: Path) -> int:
    return sum(1 for _ in _read_csv(path))


def _read_parquet(path: Path) -> Iterator[NumberedRow]:
    with pq.ParquetFile(path) as file:
        yield from _unbatch(file.iter_batches(batch_size=BATCH))


def _count_parquet(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _read_arrow(path: Path) -> Iterator[NumberedRow]:
    return _unbatch(_arrow_batches(path))


def _count_arrow(path: Path) -> int:
    return sum(batch.num_rows for batch in _arrow_batches(path))


def _arrow_batches(path: Path) -> Iterator[Any]:
    with pa.memory_map(str(path)) as mapped:
        reader = _arrow_reader(mapped)
        if isinstance(reader, pa.ipc.RecordBatchStreamReader):
            yield from reader
        else:
            yield from (reader.get_batch(i) for i in range(reader.num_record_batches))


def _arrow_reader(mapped: Any) -> Any:
    """Of an IPC file, or else of an IPC stream (what `datasets` writes)."""
    try:
        return pa.ipc.open_file(mapped)
    except pa.ArrowInvalid:
        mapped.seek(0)
        return pa.ipc.open_stream(mapped)


def json_format(rows_of: Callable[[Any], Any], failing: str) -> Format:
    """A file that is one JSON value. rows_of: where its rows are. failing: said of one that has no
    list of objects there.
    """

    def read(path: Path) -> Iterator[NumberedRow]:
        rows = rows_of(json.loads(path.read_text(encoding="utf-8-sig")))
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(failing)
        yield from enumerate(rows, 1)

    return Format(read, lambda path: sum(1 for _ in read(path)))


def json_line(fields: Mapping[str, Any]) -> str:
    """A row of a JSONL file, as people read it; of text that has no UTF-8, such as half an emoji,
    with escapes.
    """
    line = json.dumps(fields, ensure_ascii=False) + "\n"
    try:
        line.encode()
    except UnicodeEncodeError:
        line = json.dumps(fields) + "\n"
    return line


def schema(path: Path) -> pa.Schema | None:
    """The columns of a file and their types, in CSV all text; None: each row has its own. Raises
    one of UNREADABLE.
    """
    ending = suffix(path)
    if ending == ".parquet":
        return pq.read_schema(path)
    if ending == ".arrow":
        with pa.memory_map(str(path)) as mapped:
            return _arrow_reader(mapped).schema
    if ending == ".csv":
        with _open_text(path, "") as file:
            names = _header(cells for cells in csv.reader(file, strict=True) if cells)
        return pa.schema([(name, pa.string()) for name in names])
    return None


def _unbatch(batches: Iterator[Any]) -> Iterator[NumberedRow]:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH):
            for fields in batch.slice(start, BATCH).to_pylist():
                number += 1
                yield number, fields


FORMATS: dict[str, Format] = {
    ".jsonl": Format(_read_jsonl, _count_lines),
    ".jsonl.gz": Format(_read_jsonl, _count_lines),
    ".parquet": Format(_read_parquet, _count_parquet),
    ".csv": Format(_read_csv, _count_csv),
    ".arrow": Format(_read_arrow, _count_arrow),
}
"""By the end of a file's name."""
