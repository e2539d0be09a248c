"""The record: what is kept of one item, as dataclasses in memory and as one Arrow row on disk.

    Record -> candidates -> scores          what was drawn, how it was graded, what each scorer said
           -> answers                       what each method answers, for every draw size k
           -> usage                         what each role cost

The dataclasses are the schema: `SCHEMA` mirrors them field by field.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from operator import attrgetter
from typing import Any, Literal

import numpy as np
import pyarrow as pa

VERSION = "4"
"""Of this layout; kept in every file's metadata."""

Outcome = Literal[
    "correct", "wrong", "truncated", "no_answer", "ungraded", "judge_failed", "timed_out", "error"
]
OUTCOMES: tuple[Outcome, ...] = (
    "correct",
    "wrong",
    "truncated",
    "no_answer",
    "ungraded",
    "judge_failed",
    "timed_out",
    "error",
)
"""Every candidate has exactly one; the counts always add up to the candidates. `ungraded`: the task
doesn't know what is right."""

UNBOUNDED = frozenset({"score", "margin", "tokens", "characters"})
"""Metrics that are no credit in [0, 1]: a scorer's own values, differences of them, lengths."""
WITHOUT = " without "
"""Between a method and the member of a blend whose draws it was not shown: `majority without a`."""
ALONE = " alone"
"""Behind a model's name: the arm in which it wrote every reply."""
CONVERSATION = "generator:conversation:"
"""In front of a model's name: its role in conversations."""

ItemOutcome = Literal["ok", "too_long", "error"]
"""`ok`: all candidates were drawn and graded. Else `error` says why, and there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of the prompt."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRecord:
    """One scorer's verdict on one candidate. No verdict: None in `value`, NaN in `parts`."""

    scorer: str
    value: float | None
    parts: tuple[float, ...] = ()
    said: tuple[str, ...] = ()
    """What judges wrote, a reply for each verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeRecord:
    """Credit in [0, 1] under one metric of the task, such as `accuracy` or `accuracy_strict`."""

    metric: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRecord:
    """One reply in a conversation, to the user's message of the same place in `Record.messages`."""

    member: str
    """The model that wrote it."""
    text: str
    finish_reason: str
    prompt_tokens: int
    tokens: int | None
    fresh_tokens: int
    """Prompt tokens that the member had neither read nor written before in the conversation."""
    cached_tokens: int
    """Prompt tokens whose prefill was reused, as the engine said."""
    seed: int | None
    logprob: float | None
    cut: int
    """Oldest turns that were left out of its prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRecord:
    """One graded candidate.

    CandidateRecord(index=0, member="small", decoding="sample", text="... #### 5", answer="5",
                    outcome="correct", finish_reason="stop", prompt_tokens=41, tokens=27,
                    logprob=-9.3, seed=184070, correct=True, seconds=0.8,
                    grade=(GradeRecord(metric="accuracy", value=1.0),))
    """

    index: int
    """0 ... N-1 among the draws or the choices; -1 is the greedy candidate."""
    member: str
    decoding: str
    """`greedy`, `sample`, `conversation`; of what the item came with, `choice` for an answer and
    `given` for a reply."""
    text: str
    answer: str | None
    """Canonical answer that was extracted; None: none was found."""
    outcome: Outcome
    finish_reason: str
    prompt_tokens: int
    tokens: int | None
    logprob: float | None
    seed: int | None
    correct: bool | None
    """Under the task's headline metric; None where the grader gave no verdict."""
    grade: tuple[GradeRecord, ...]
    """Empty where the grader gave no verdict."""
    seconds: float
    scores: tuple[ScoreRecord, ...] = ()
    arm: str = ""
    """Of a conversation: the way in which its replies were chosen; in a run with several pools: how
    it was decoded (`results.pools.Decoding`)."""
    replies: tuple[ReplyRecord, ...] = ()
    """Of a conversation: one for each message of the user's; `text` is their transcript."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRecord:
    """What one method answers with k draws.

    AnswerRecord(method="majority", metric="accuracy", k=8, value=0.61)
    """

    method: str
    metric: str
    k: int
    """Draws used; 0 for greedy and for given choices."""
    value: float
    """Expected credit over all k-subsets of the draws, ties shared: in [0, 1], but for UNBOUNDED
    metrics."""
    candidate: int | None = None
    """Index of the candidate that the method picks from all N draws; None for k < N."""
    answer: str | None = None
    correct: bool | None = None
    mc_error: float = 0.0
    """Standard error of `value` where it is a Monte Carlo average over subsets; 0: exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """What one role cost on this item: `generator:greedy`, `generator:sample`, of a blend
    `generator:sample:MEMBER`; `generator:conversation:MEMBER`; `scorer:NAME`; for choices
    `generator:correct`, `generator:incorrect`, `discriminator`. In a run with several pools, one
    for each pool (`results.pools.OF`).
    """

    role: str
    model: str
    requests: int
    prompt_tokens: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRecord:
    """Why an item has no answer."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One item, whole."""

    item_id: str
    task: str
    messages: tuple[Turn, ...]
    choices: tuple[str, ...]
    reference: str
    group: str
    """Cluster of the item for standard errors; the item's own id unless the task says otherwise."""
    category: str
    """The part of the task that it belongs to, such as a subject; empty where there are none."""
    candidates: tuple[CandidateRecord, ...]
    answers: tuple[AnswerRecord, ...]
    outcome: ItemOutcome
    error: ErrorRecord | None
    usage: tuple[UsageRecord, ...]


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
