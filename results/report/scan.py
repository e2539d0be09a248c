"""Items of a run of any size, page by page, read part by part: nothing of a run is held.

    parts --Arrow: which rows match--> rows --records--> items of one page, and where to go on

A place is a shard id and a row in it, `a1b2:17`; parts stay as they were committed, so a place
stays good while a run goes on.
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from results.arrow import from_table
from results.directories import Directory
from results.errors import ResultsError
from results.parts import read_part, shard_ids
from results.report.browser import head, is_split, whole

PATIENCE = 1.0
"""Seconds after which a search says how far it has come."""
KEPT = 4
"""Parts in memory."""
MOST_DIGITS = 18
"""Of a number that a browser sends: more than any has, fewer than Python refuses to read."""

Rows = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What items are wanted; an empty word means any. One candidate must match the first three."""

    outcome: str = ""
    member: str = ""
    decoding: str = ""
    category: str = ""
    text: str = ""
    """Somewhere in the item, in capitals or not."""
    failed: bool = False
    """Items without candidates."""
    split: bool = False
    """Items on which methods disagree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page."""

    items: list[dict[str, Any]]
    """Each with its place, as `at`."""
    next: str | None
    """Where to go on; None: that was all."""
    seen: int
    """Items looked at for this page."""


class Reader:
    """Reads one run."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._part = lru_cache(KEPT)(self._read)

    def find(self, query: Query, start: str = "", limit: int = 20) -> Found:
        """The first items from a place on that match, or fewer after `PATIENCE` seconds.

        Raises ResultsError for a place that is none, and for a damaged part.
        """
        deadline = time.monotonic() + PATIENCE
        items: list[dict[str, Any]] = []
        seen = 0
        places = self._places(start)
        for number, (shard_id, first) in enumerate(places):
            table = self._part(shard_id)
            rows = np.flatnonzero(_matches(table, query))
            for row in rows[rows >= first].tolist():
                if len(items) == limit:
                    at = f"{shard_id}:{row}"
                    return Found(items=items, next=at, seen=seen + max(row - first, 0))
                record = next(from_table(table.slice(row, 1)))
                items.append({"at": f"{shard_id}:{row}", **head(record)})
            seen += max(table.num_rows - first, 0)
            if time.monotonic() > deadline and number + 1 < len(places):
                return Found(items=items, next=f"{places[number + 1][0]}:0", seen=seen)
        return Found(items=items, next=None, seen=seen)

    def item(self, at: str) -> dict[str, Any]:
        """An item, whole. Raises ResultsError."""
        shard_id, row = _place(at)
        if shard_id not in shard_ids(self._directory):
            raise ResultsError(f"wanted a place in the run, got {at!r}")
        table = self._part(shard_id)
        if row >= table.num_rows:
            raise ResultsError(f"wanted a place in the run, got {at!r}")
        return {"at": at, **whole(next(from_table(table.slice(row, 1))))}

    def _places(self, start: str) -> list[tuple[str, int]]:
        """The parts from a place on, each with its first row."""
        first, row = _place(start) if start else ("", 0)
        ids = [shard_id for shard_id in shard_ids(self._directory) if shard_id >= first]
        return [(shard_id, row if shard_id == first else 0) for shard_id in ids]

    def _read(self, shard_id: str) -> pa.Table:
        return read_part(self._directory, shard_id).combine_chunks()


def _place(at: str) -> tuple[str, int]:
    shard_id, _, row = at.rpartition(":")
    if not shard_id or not row.isdecimal() or len(row) > MOST_DIGITS:
        raise ResultsError(f"wanted a place as SHARD:ROW, got {at!r}")
    return shard_id, int(row)


def _matches(table: pa.Table, query: Query) -> Rows:
    """Which rows match."""
    found: Rows = np.ones(table.num_rows, np.bool_)
    wanted = {name: getattr(query, name) for name in ("outcome", "member", "decoding")}
    wanted = {name: word for name, word in wanted.items() if word}
    if wanted:
        found &= _some_candidate(table, wanted)
    if query.category:
        found &= _flags(pc.equal(table["category"], query.category))
    if query.failed:
        found &= _flags(pc.not_equal(table["outcome"], "ok"))
    if query.text:
        found &= _contains(table, query.text)
    if query.split:
        found &= np.array([is_split(record) for record in from_table(_without_texts(table))])
    return found


def _some_candidate(table: pa.Table, wanted: dict[str, str]) -> Rows:
    candidates = table["candidates"].combine_chunks()
    flat = candidates.flatten()
    # A conversation goes by its arm, a pool of a study too (`results.outcomes.whose`).
    arms = flat.field("arm")
    masks = [
        _flags(pc.equal(flat.field(name), word)) | _flags(pc.equal(arms, word))
        for name, word in wanted.items()
    ]
    return _rows_with(candidates, np.logical_and.reduce(masks))


def _contains(table: pa.Table, text: str) -> Rows:
    found: Rows = np.zeros(table.num_rows, np.bool_)
    for name in ("item_id", "reference"):
        found |= _flags(pc.match_substring(table[name], text, ignore_case=True))
    for name, fields in (("messages", ("content",)), ("candidates", ("text", "answer"))):
        nested = table[name].combine_chunks()
        for field in fields:
            values = nested.flatten().field(field)
            found |= _rows_with(nested, _flags(pc.match_substring(values, text, ignore_case=True)))
    return found


def _without_texts(table: pa.Table) -> pa.Table:
    """With answers, but nothing of what is long: it is read many times as fast."""
    for name in ("messages", "candidates", "usage"):
        field = table.schema.field(name)
        nothing = pa.array([[]] * table.num_rows, field.type)
        table = table.set_column(table.schema.get_field_index(name), field, nothing)
    return table


def _rows_with(nested: pa.ListArray, mask: Rows) -> Rows:
    """Rows of which some element is marked."""
    found: Rows = np.zeros(len(nested), np.bool_)
    parents = pc.list_parent_indices(nested).to_numpy(zero_copy_only=False)
    found[parents[mask]] = True
    return found


def _flags(array: Any) -> Rows:
    """As numpy; null is no match."""
    flags: Rows = pc.fill_null(array, False).to_numpy(zero_copy_only=False).astype(np.bool_)
    return flags
