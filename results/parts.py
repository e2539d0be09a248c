"""One committed shard as a file: Arrow IPC *file* format, zstd, its row count and hash inside.

The file format, because a stream that was cut at a batch boundary reads short without an error. The
hash is over the values, column by column, and not over bytes of Arrow's choosing: another version
of Arrow reads the same values.
"""

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from results.errors import ResultsError
from results.schema import SCHEMA, VERSION, Record, from_table


def write_part(path: Path, shard_id: str, table: pa.Table) -> None:
    """Write a table of `SCHEMA` to a new file, and sync it. Raises OSError."""
    table = table.combine_chunks()
    metadata = {
        "version": VERSION,
        "shard": shard_id,
        "rows": str(table.num_rows),
        "sha256": content_hash(table),
    }
    schema = table.schema.with_metadata(metadata)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with open(path, "xb") as file:
        with pa.ipc.new_file(file, schema, options=options) as writer:
            writer.write_table(table)
        file.flush()
        os.fsync(file.fileno())


def read_part(path: Path) -> pa.Table:
    """The table of one part, checked. Raises ResultsError naming the file if it isn't whole."""
    try:
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
            table = reader.read_all()
        # Before anything follows an offset in it: a damaged one points outside the data.
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, str(error)) from error
    kept = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    if kept.get("version", VERSION) != VERSION:
        raise ResultsError(
            f"wanted records of layout {VERSION} in {path}, got layout {kept['version']}; "
            "read them with the version of lilliput that run.json names"
        )
    if not table.schema.equals(SCHEMA):
        raise _damaged(path, "other columns than a record has")
    if kept.get("rows") != str(table.num_rows):
        raise _damaged(path, f"{table.num_rows} rows where {kept.get('rows')} were committed")
    if kept.get("sha256") != content_hash(table):
        raise _damaged(path, "content that doesn't match its hash")
    return table


def read_tables(run_dir: str | Path) -> Iterator[pa.Table]:
    """Yield each committed part of a run, in the order of shard ids. Raises ResultsError."""
    folder = Path(run_dir) / "records"
    if not folder.is_dir():
        raise ResultsError(f"wanted a run directory, got {run_dir} without records/")
    for path in sorted(folder.glob("part-*.arrow")):
        yield read_part(path)


def read_parts(run_dir: str | Path) -> Iterator[tuple[str, Iterator[Record]]]:
    """Yield the shard id and the records of each committed part. Raises ResultsError."""
    for table in read_tables(run_dir):
        yield table.schema.metadata[b"shard"].decode(), from_table(table)


def read_records(run_dir: str | Path) -> Iterator[Record]:
    """Yield the records of a run; memory holds one part at a time. Raises ResultsError."""
    for _, records in read_parts(run_dir):
        yield from records


def read_columns(run_dir: str | Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of all records, as one table. Raises ResultsError for an unknown column too.

    Every part is read and checked whole first: the hash is over all columns.
    """
    unknown = [name for name in columns if name not in SCHEMA.names]
    if unknown:
        raise ResultsError(f"wanted columns of {', '.join(SCHEMA.names)}, got {unknown[0]!r}")
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    tables = [table.select(columns).replace_schema_metadata() for table in read_tables(run_dir)]
    return pa.concat_tables([schema.empty_table(), *tables])


def content_hash(table: pa.Table) -> str:
    """SHA-256 over all values of a table, the same however they are chunked, sliced or
    compressed."""
    digest = sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(name.encode())
        _feed(digest, column.combine_chunks())
    return digest.hexdigest()


def _feed(digest: Any, array: pa.Array) -> None:
    """Depth first: which values are there, how many to each list, then the values,
    little-endian."""
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks or [pa.array([], array.type)])
    kind = array.type
    digest.update(f"{kind}:{len(array)}:".encode())
    digest.update(_bytes(array.is_valid(), "u1"))
    if pa.types.is_list(kind):
        digest.update(_bytes(pc.list_value_length(array), "<i8"))
        _feed(digest, array.flatten())
    elif pa.types.is_struct(kind):
        for child in array.flatten():
            _feed(digest, child)
    elif pa.types.is_string(kind):
        filled = array.fill_null("")
        digest.update(_bytes(pc.binary_length(filled), "<i8"))
        digest.update(_text(filled))
    else:
        filled = array.fill_null(False if pa.types.is_boolean(kind) else 0)
        digest.update(_bytes(filled, "<f8" if pa.types.is_floating(kind) else "<i8"))


def _bytes(array: pa.Array, dtype: str) -> bytes:
    return bytes(array.to_numpy(zero_copy_only=False).astype(dtype).tobytes())


def _text(array: pa.Array) -> memoryview:
    """The UTF-8 of all strings, one after the other."""
    _, offsets, data = array.buffers()
    if not len(array) or data is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    return memoryview(data)[ends[0] : ends[-1]]


def _damaged(path: Path, what: str) -> ResultsError:
    return ResultsError(
        f"wanted a whole part, got {path} with {what}; "
        "move it away and run the same command again: only its items are drawn anew"
    )
