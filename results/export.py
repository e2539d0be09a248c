"""A run's records in one file of a format that other tools read."""

import json
import math
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from results.arrow import SCHEMA
from results.directories import Where
from results.errors import ResultsError
from results.parts import read_tables


def export(run_dir: Where, to: str, path: str | Path) -> Path:
    """Write all records of a run to a new file, part by part; returns its path.

    `parquet` keeps the schema; `jsonl` has one object per item, null where a number isn't finite.

    Raises ResultsError: unknown format, the file exists or can't be written, a damaged run. No file
    is left then.
    """
    if to not in FORMATS:
        raise ResultsError(f"wanted a format of {', '.join(FORMATS)}, got {to!r}")
    path = Path(path)
    if path.exists():
        raise ResultsError(f"wanted a new file, got {path}, which exists; give another name")
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        FORMATS[to](run_dir, temporary)
        temporary.rename(path)
    except OSError as error:
        reason = error.strerror or error
        raise ResultsError(
            f"wanted to write {path}, got {reason}; check access and free space there"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _parquet(run_dir: Where, path: Path) -> None:
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for table in read_tables(run_dir):
            writer.write_table(table.replace_schema_metadata())


def _jsonl(run_dir: Where, path: Path) -> None:
    with open(path, "x", encoding="utf-8") as file:
        for table in read_tables(run_dir):
            for batch in table.to_batches(max_chunksize=256):
                file.writelines(map(_line, _dicts(batch)))


def _dicts(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = batch.to_pylist()
    return rows


def _line(row: dict[str, Any]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError:
        return json.dumps(_finite(row), ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


FORMATS: dict[str, Callable[[Where, Path], None]] = {"parquet": _parquet, "jsonl": _jsonl}
