"""Records as Arrow: one row per item, columns and types as `results.schema` has fields.

records --to_table--> table under SCHEMA --from_table--> the same records
"""

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from results.schema import (
    AnswerRecord,
    CandidateRecord,
    ErrorRecord,
    GradeRecord,
    Record,
    ReplyRecord,
    ScoreRecord,
    Turn,
    UsageRecord,
)

VERSION = "4"
"""Of this layout; kept in every file's metadata."""


def _fields(optional: str = "", /, **kinds: pa.DataType) -> list[pa.Field]:
    """Fields in the order given; those that `optional` names may be null."""
    return [pa.field(name, kind, name in optional.split()) for name, kind in kinds.items()]


def _many(fields: list[pa.Field]) -> pa.DataType:
    return pa.list_(pa.field("item", pa.struct(fields), nullable=False))


_TEXT, _INT, _FLOAT, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()

_SCORE = _fields(
    "value",
    scorer=_TEXT,
    value=_FLOAT,
    parts=pa.list_(pa.field("item", _FLOAT, nullable=False)),
    said=pa.list_(pa.field("item", _TEXT, nullable=False)),
)
_REPLY = _fields(
    "tokens seed logprob",
    member=_TEXT,
    text=_TEXT,
    finish_reason=_TEXT,
    prompt_tokens=_INT,
    tokens=_INT,
    fresh_tokens=_INT,
    cached_tokens=_INT,
    seed=_INT,
    logprob=_FLOAT,
    cut=_INT,
)
_CANDIDATE = _fields(
    "answer tokens logprob seed correct",
    index=_INT,
    member=_TEXT,
    decoding=_TEXT,
    text=_TEXT,
    answer=_TEXT,
    outcome=_TEXT,
    finish_reason=_TEXT,
    prompt_tokens=_INT,
    tokens=_INT,
    logprob=_FLOAT,
    seed=_INT,
    correct=_BOOL,
    grade=_many(_fields(metric=_TEXT, value=_FLOAT)),
    seconds=_FLOAT,
    scores=_many(_SCORE),
    arm=_TEXT,
    replies=_many(_REPLY),
)
_ANSWER = _fields(
    "candidate answer correct",
    method=_TEXT,
    metric=_TEXT,
    k=_INT,
    value=_FLOAT,
    candidate=_INT,
    answer=_TEXT,
    correct=_BOOL,
    mc_error=_FLOAT,
)
_USAGE = _fields(role=_TEXT, model=_TEXT, requests=_INT, prompt_tokens=_INT, tokens=_INT)

SCHEMA = pa.schema(
    _fields(
        "error",
        item_id=_TEXT,
        task=_TEXT,
        messages=_many(_fields(role=_TEXT, content=_TEXT)),
        choices=pa.list_(pa.field("item", _TEXT, nullable=False)),
        reference=_TEXT,
        group=_TEXT,
        category=_TEXT,
        candidates=_many(_CANDIDATE),
        answers=_many(_ANSWER),
        outcome=_TEXT,
        error=pa.struct(_fields(kind=_TEXT, message=_TEXT)),
        usage=_many(_USAGE),
    )
)
"""One row per item. A field may be null exactly where its dataclass says `None`."""

_CLASSES: dict[str, type] = {
    "messages": Turn,
    "candidates": CandidateRecord,
    "grade": GradeRecord,
    "scores": ScoreRecord,
    "replies": ReplyRecord,
    "answers": AnswerRecord,
    "error": ErrorRecord,
    "usage": UsageRecord,
}
"""The dataclass behind each nested field."""

_NO_ERROR = ErrorRecord(kind="", message="")


def to_table(records: Iterable[Record]) -> pa.Table:
    """One row per record, in order, under `SCHEMA`.

    Text that UTF-8 can't hold (lone surrogates, which a model's broken output may contain) gets
    U+FFFD in their place; everything else comes back from `from_table` exactly.
    """
    rows = list(records)
    arrays = [_encode(_pick(rows, field.name), field.type) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def from_table(table: pa.Table) -> Iterator[Record]:
    """Yield the records of a table that has the columns of `SCHEMA`, in order."""
    for batch in table.select(SCHEMA.names).to_batches():
        columns = [_decode(batch.column(name), name) for name in SCHEMA.names]
        for row in zip(*columns, strict=True):
            yield Record(**dict(zip(SCHEMA.names, row, strict=True)))


def _pick(rows: list[Any], name: str) -> list[Any]:
    return list(map(attrgetter(name), rows))


def _encode(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Column by column, because a dict per nested row would cost several times as much."""
    if pa.types.is_list(kind):
        offsets = np.zeros(len(values) + 1, dtype=np.int32)
        np.cumsum(list(map(len, values)), out=offsets[1:])
        flat = _encode(list(chain.from_iterable(values)), kind.value_type)
        return pa.ListArray.from_arrays(pa.array(offsets), flat, type=kind)
    if pa.types.is_struct(kind):
        absent = pa.array([value is None for value in values], pa.bool_())
        # A required child of an absent struct still needs a value: Parquet refuses a null there.
        rows = [_NO_ERROR if value is None else value for value in values]
        arrays = [_encode(_pick(rows, field.name), field.type) for field in kind]
        return pa.StructArray.from_arrays(arrays, fields=list(kind), mask=absent)
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([None if value is None else _replaced(value) for value in values], kind)


def _replaced(text: str) -> str:
    """Through UTF-16, so that two surrogates that make up one character become it."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decode(array: pa.Array, name: str) -> list[Any]:
    kind = array.type
    if pa.types.is_list(kind):
        offsets = np.asarray(array.offsets)
        flat = _decode(array.flatten(), name)
        bounds = (offsets - offsets[0]).tolist()
        return [tuple(flat[start:end]) for start, end in pairwise(bounds)]
    if pa.types.is_struct(kind):
        build, names = _CLASSES[name], [field.name for field in kind]
        columns = [_decode(child, key) for child, key in zip(array.flatten(), names, strict=True)]
        rows = zip(*columns, strict=True)
        present = array.is_valid().to_pylist()
        return [
            build(**dict(zip(names, row, strict=True))) if here else None
            for row, here in zip(rows, present, strict=True)
        ]
    found: list[Any] = array.to_pylist()
    return found
