import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results.arrow import SCHEMA, from_table, to_table
from results.schema import OUTCOMES, ErrorRecord, Outcome, Record

SCALARS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def field_of(name: str, hint: Any) -> pa.Field:
    """The Arrow field that a dataclass field asks for."""
    optional = get_origin(hint) in (Union, types.UnionType)
    if optional:
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        hint = str
    if get_origin(hint) is tuple:
        return pa.field(name, pa.list_(field_of("item", get_args(hint)[0])), optional)
    if is_dataclass(hint):
        return pa.field(name, pa.struct(fields_of(hint)), optional)
    return pa.field(name, SCALARS[hint], optional)


def fields_of(cls: Any) -> list[pa.Field]:
    hints = get_type_hints(cls)
    return [field_of(field.name, hints[field.name]) for field in fields(cls)]


def test_the_schema_mirrors_the_dataclasses_field_by_field() -> None:
    assert pa.schema(fields_of(Record)).equals(SCHEMA)


def test_outcomes_lists_every_outcome() -> None:
    assert get_args(Outcome) == OUTCOMES


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INT = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False)
BY_TYPE = {str: TEXT, int: INT, float: FLOAT}


def strategy(hint: Any) -> st.SearchStrategy[Any]:
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of(*(strategy(part) for part in get_args(hint)))
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is tuple:
        return st.lists(strategy(get_args(hint)[0]), max_size=3).map(tuple)
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{name: strategy(inner) for name, inner in hints.items()})
    return BY_TYPE.get(hint, st.none() if hint is type(None) else st.booleans())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(strategy(Record), max_size=3))
def test_records_come_back_exactly(records: list[Record]) -> None:
    table = to_table(records)
    table.validate(full=True)
    assert list(from_table(table)) == records


def test_a_sliced_table_gives_the_records_of_the_slice(make_record: Callable[..., Record]) -> None:
    records = [make_record(number, num_draws=number % 3) for number in range(7)]
    assert list(from_table(to_table(records).slice(2, 3))) == records[2:5]


def test_no_records_make_an_empty_table() -> None:
    assert to_table([]).num_rows == 0
    assert list(from_table(to_table([]))) == []


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\udfff", "\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("naïve 数学 😀 \x00 \u202e", "naïve 数学 😀 \x00 \u202e"),
    ],
)
def test_only_text_that_utf8_cannot_hold_is_replaced(
    make_record: Callable[..., Record], text: str, kept: str
) -> None:
    record = make_record(0)
    broken = replace(record.candidates[0], text=text, answer=text)
    (found,) = from_table(to_table([replace(record, candidates=(broken,), reference=text)]))
    assert (found.candidates[0].text, found.candidates[0].answer, found.reference) == (kept,) * 3


def test_an_error_and_its_absence_are_told_apart(
    make_record: Callable[..., Record], make_failed: Callable[[int], Record]
) -> None:
    empty = replace(make_failed(1), error=ErrorRecord(kind="", message=""))
    found = list(from_table(to_table([make_record(0), empty, make_failed(2)])))
    assert [record.error for record in found] == [None, empty.error, make_failed(2).error]
