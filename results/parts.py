"""One committed shard: an Arrow IPC *file*, zstd, whose metadata says rows, shard and two hashes.

The file format, because a stream that was cut at a batch boundary reads short without an error.
`sha256` is over the values, column by column: the same whatever version of Arrow wrote them.
`seal` is over the file's bytes, so that a check needs no decoding and a flip is seen wherever it
is, in the metadata too. A file can't hold a hash of itself, so the seal is taken while its place in
the file holds other 64 digits, which follow from `sha256`.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from results.arrow import SCHEMA, VERSION, from_table
from results.directories import Directory, Where, open_directory
from results.errors import ResultsError
from results.manifest import read_manifest
from results.schema import Record

_KEYS = {"version", "shard", "rows", "sha256"}
_UNREADABLE = (pa.ArrowException, OSError, ValueError)
"""What Arrow raises for bytes that are no file of its own."""


class DamagedPart(ResultsError):
    """A part isn't as it was committed."""

    what: str = ""
    """What is wrong with it, in a few words."""


def part_name(shard_id: str) -> str:
    """Of a shard's file in the run directory."""
    return f"records/part-{shard_id}.arrow"


def shard_ids(directory: Directory) -> list[str]:
    """Ids of the shards that are in `records/`, sorted. Raises OSError."""
    prefix, suffix = "part-", ".arrow"
    names = directory.names("records")
    return [n[5:-6] for n in names if n.startswith(prefix) and n.endswith(suffix)]


def encode_part(shard_id: str, table: pa.Table) -> bytes:
    """A table of `SCHEMA` as the content of a part."""
    table = table.combine_chunks()
    values = content_hash(table)
    space = _space(values)
    metadata = {
        "version": VERSION,
        "shard": shard_id,
        "rows": str(table.num_rows),
        "sha256": values,
        "seal": space.decode(),
    }
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, table.schema.with_metadata(metadata), options=options) as writer:
        writer.write_table(table)
    content = bytes(sink.getvalue())
    return content.replace(space, sha256(content).hexdigest().encode())


def check_part(content: bytes, shard_id: str, where: str) -> None:
    """Is this the part as it was committed? `where` is its name for the user.

    Raises DamagedPart, or ResultsError for a part of another layout.
    """
    try:
        reader = pa.ipc.open_file(pa.py_buffer(content))
        kept = {k.decode(): v.decode() for k, v in (reader.schema.metadata or {}).items()}
    except _UNREADABLE as error:
        raise _damaged(where, shard_id, str(error)) from error
    # A part of the time before seals has the four other keys and no more.
    if kept.keys() not in (_KEYS, _KEYS | {"seal"}):
        raise _damaged(where, shard_id, "other metadata than a part has")
    if "seal" in kept and not _is_sealed(content, kept):
        raise _damaged(where, shard_id, "content that doesn't match its hash")
    if kept["version"] != VERSION:
        raise ResultsError(
            f"wanted records of layout {VERSION} in {where}, got layout {kept['version']}; "
            "read them with the version of lilliput that run.json names"
        )
    if kept["shard"] != shard_id:
        raise _damaged(where, shard_id, f"the content of shard {kept['shard']}")
    if "seal" not in kept and kept["sha256"] != content_hash(_decode(content, shard_id, where)):
        raise _damaged(where, shard_id, "content that doesn't match its hash")


def read_part(run_dir: Where, shard_id: str) -> pa.Table:
    """The table of one part, checked. Raises ResultsError naming the file if it isn't whole."""
    directory = open_directory(run_dir)
    content, where = fetch_part(directory, shard_id), f"{directory}/{part_name(shard_id)}"
    check_part(content, shard_id, where)
    return _decode(content, shard_id, where)


def fetch_part(directory: Directory, shard_id: str) -> bytes:
    """The content of a part, not checked. Raises DamagedPart for what is no file, ResultsError
    when it can't be read.
    """
    where = f"{directory}/{part_name(shard_id)}"
    try:
        return directory.get(part_name(shard_id))
    except IsADirectoryError:
        raise _damaged(where, shard_id, "a directory in its place") from None
    except OSError as error:
        raise ResultsError(
            f"wanted to read {where}, got {error.strerror or error}; {directory.advice}"
        ) from error


def read_tables(run_dir: Where) -> Iterator[pa.Table]:
    """Yield each committed part of a run, in the order of shard ids. Raises ResultsError."""
    directory = open_directory(run_dir)
    try:
        ids = shard_ids(directory)
    except OSError as error:
        raise ResultsError(
            f"wanted a run directory, got {directory} with {error.strerror or error}; "
            f"{directory.advice}"
        ) from error
    if not ids:
        # A run that has committed nothing has no records; another place has no run.
        read_manifest(directory)
    for shard_id in ids:
        yield read_part(directory, shard_id)


def read_parts(run_dir: Where) -> Iterator[tuple[str, Iterator[Record]]]:
    """Yield the shard id and the records of each committed part. Raises ResultsError."""
    for table in read_tables(run_dir):
        yield table.schema.metadata[b"shard"].decode(), from_table(table)


def read_records(run_dir: Where) -> Iterator[Record]:
    """Yield the records of a run; memory holds one part at a time. Raises ResultsError."""
    for _, records in read_parts(run_dir):
        yield from records


def read_columns(run_dir: Where, columns: Sequence[str]) -> pa.Table:
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


def _decode(content: bytes, shard_id: str, where: str) -> pa.Table:
    try:
        table = pa.ipc.open_file(pa.py_buffer(content)).read_all()
        # Before anything follows an offset in it: a damaged one points outside the data.
        table.validate(full=True)
    except _UNREADABLE as error:
        raise _damaged(where, shard_id, str(error)) from error
    if not table.schema.equals(SCHEMA):
        raise _damaged(where, shard_id, "other columns than a record has")
    rows = table.schema.metadata[b"rows"].decode()
    if rows != str(table.num_rows):
        raise _damaged(where, shard_id, f"{table.num_rows} rows where {rows} were committed")
    return table


def _space(values: str) -> bytes:
    """What stands in the seal's place while the seal is taken. Nobody can have it in a text, since
    it depends on all texts."""
    return sha256(f"seal:{values}".encode()).hexdigest().encode()


def _is_sealed(content: bytes, kept: dict[str, str]) -> bool:
    opened = content.replace(kept["seal"].encode(), _space(kept["sha256"]))
    return sha256(opened).hexdigest() == kept["seal"]


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


def _damaged(where: str, shard_id: str, what: str) -> DamagedPart:
    what = " ".join(what.split())
    error = DamagedPart(
        f"wanted shard {shard_id} whole, got {where} with {what}; run the same command again: "
        "it sets the file aside and draws that shard's items anew"
    )
    error.what = what
    return error
