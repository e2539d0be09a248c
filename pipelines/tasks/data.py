"""Any data set of replies that are to be scored: one reply, a pair, or a list in each row.

    prompt and response              one candidate
    messages                         one candidate: the last turn, a reply to all before it
    chosen and rejected (prompt)     two candidates, of which the first is right
    prompt and candidates            any number of them

A prompt is text or a list of turns ({role, content}); so are chosen and rejected, which may begin
with the prompt. A text may also be a dialogue in the form of Anthropic's HH data, with turns behind
"Human:" and "Assistant:".
Columns that aren't named are looked for by their usual names, in the first row and for all rows. A
row with a null among its replies, or a later one that can't be read like the first, has no choices:
pipeline `given` records that it can't be scored, and goes on. What a row lacks is null; in CSV,
where no cell is null, so is an empty reply.

Metric   accuracy, where a row says which reply is right; otherwise none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

from actors.types import ConfigError, FinishReason, Item, Message
from pipelines.tasks.base import Grade, TaskConfig
from pipelines.tasks.files import Row
from pipelines.tasks.rows import RowTask

USUAL: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "instruction", "query", "input", "conversations"),
    "response": ("response", "completion", "reply", "answer", "output"),
    "messages": ("messages", "conversation", "conversations"),
    "chosen": ("chosen", "chosen_response", "response_chosen"),
    "rejected": ("rejected", "rejected_response", "response_rejected"),
    "candidates": ("candidates", "responses", "generations", "outputs", "completions"),
    "subset": ("subset", "category", "source"),
}
"""Names that columns have in published data sets, the likeliest first."""

FORMS = (("chosen", "rejected"), ("prompt", "candidates"), ("messages",), ("prompt", "response"))
"""What a row may hold; the first form that it has all columns of is taken."""

REPLIES = ("response", "messages", "chosen", "rejected", "candidates")
"""Parts of a row that are scored."""

HH_TURN = re.compile(r"\n\n(Human|Assistant): ?")
ROLES = {"human": "user", "gpt": "assistant", "Human": "user", "Assistant": "assistant"}
"""Names of roles in some data sets, and what templates call them."""


class DataConfig(TaskConfig):
    """Columns are named here where their names aren't the usual ones."""

    prompt: str | None = None
    response: str | None = None
    messages: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    candidates: str | None = None
    subset_field: str | None = None
    """Results are also given for each value of this column."""


class Data(RowTask[DataConfig]):
    """What DataConfig says. An item's id is the number of its row."""

    Config: ClassVar[type[TaskConfig]] = DataConfig
    version: ClassVar[str] = "2"
    metrics: tuple[str, ...] = ("accuracy",)

    @cached_property
    def first(self) -> Row:
        return next(self.source.rows())

    @cached_property
    def columns(self) -> dict[str, str]:
        """Which column plays which part. Raises ConfigError where no form is there."""
        row = self.first
        named = {
            part: name for part in USUAL if (name := getattr(self.config, _field(part))) is not None
        }
        if absent := [name for name in named.values() if name not in row.fields]:
            raise row.error(f"no field {absent[0]!r}; it has: {row.names}")
        for form in FORMS:
            found = {part: named.get(part) or _usual(row, part) for part in form}
            fits = all(found.values()) and not (named.keys() - {*form, "prompt", "subset"})
            if fits:
                more = {part: named.get(part) or _usual(row, part) for part in ("prompt", "subset")}
                return {part: name for part, name in {**more, **found}.items() if name}
        forms = "; ".join(" and ".join(form) for form in FORMS)
        raise row.error(f"none of the columns {forms}; it has: {row.names}; name them")

    def item(self, row: Row) -> Item:
        columns = self.columns
        turns: list[Message] = []
        texts: list[str] = []
        problem = ""
        try:
            turns, texts = _read(row, columns)
        except ConfigError as error:
            # What the first row has in its columns is what they are for.
            if self.row_name(row) == self.row_name(self.first):
                raise
            problem = str(error)
        if self.config.system:
            turns = [Message(role="system", content=self.config.system), *turns]
        category = row.get(columns["subset"]) if "subset" in columns else None
        return Item(
            id=self.row_name(row),
            task=self.name,
            messages=tuple(turns),
            question=turns[0].content if len(turns) == 1 else "",
            reference="0" if "chosen" in columns else "",
            choices=tuple(texts),
            category="" if category is None else str(category),
            problem=problem,
        )

    @property
    def form(self) -> Literal["one", "pair", "many"]:
        """How many replies a row has."""
        columns = self.columns
        return "pair" if "chosen" in columns else "many" if "candidates" in columns else "one"

    def row_name(self, row: Row) -> str:
        """The id of a row's item."""
        return f"{row.label}-{row.number}"

    def grade(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        """`text` is the candidate's index, as `records` gives it for given replies."""
        if not item.reference:
            return Grade(answer=text, outcome="ungraded", metrics=())
        is_right = text == item.reference
        return Grade(
            answer=text,
            outcome="correct" if is_right else "wrong",
            metrics=(("accuracy", float(is_right)),),
        )


def _field(part: str) -> str:
    return "subset_field" if part == "subset" else part


def _usual(row: Row, part: str) -> str | None:
    return next((name for name in USUAL[part] if name in row.fields), None)


def _read(row: Row, columns: Mapping[str, str]) -> tuple[list[Message], list[str]]:
    """The prompt and the replies to it; no replies where one of them is null. Raises ConfigError
    for what can't be read.
    """
    if any(_has_null(row, columns[part]) for part in REPLIES if part in columns):
        return _prompt(row, columns), []
    if "messages" in columns:
        *turns, last = _turns(row, columns["messages"])
        texts = [_reply(row, last)]
    elif "chosen" in columns:
        turns, texts = _pair(row, columns)
    else:
        turns = _prompt(row, columns)
        listed = "candidates" in columns
        texts = _texts(row, columns["candidates"]) if listed else [row.text(columns["response"])]
    if not turns:
        raise row.error("a reply without a prompt")
    return turns, texts


def _prompt(row: Row, columns: Mapping[str, str]) -> list[Message]:
    return _turns(row, columns["prompt"]) if "prompt" in columns else []


def _has_null(row: Row, column: str) -> bool:
    """A null stands in place of a reply, or of one of several."""
    value = row.get(column)
    if value == "":
        return row.label.lower().endswith(".csv")
    return value is None or (isinstance(value, list) and None in value)


def _turns(row: Row, column: str) -> list[Message]:
    """The turns of a conversation, or of a text that is one or the user's first."""
    value = row.value(column)
    if isinstance(value, str):
        return list(_spoken(value)) if HH_TURN.match(value) else [_message("user", value)]
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, Sequence) or not value:
        raise row.error(f"{type(value).__name__} in field {column!r}, where text or turns belong")
    found = []
    for turn in value:
        fields = turn if isinstance(turn, Mapping) else {}
        role, content = (
            next((fields[key] for key in keys if isinstance(fields.get(key), str)), None)
            for keys in (("role", "from"), ("content", "value"))
        )
        if role is None or content is None:
            raise row.error(f"a turn without role and content in field {column!r}")
        found.append(_message(role, content))
    return found


def _spoken(text: str) -> Iterator[Message]:
    _, *parts = HH_TURN.split(text)
    for role, content in zip(parts[::2], parts[1::2], strict=True):
        yield _message(role, content)


def _message(role: str, content: str) -> Message:
    return Message(role=ROLES.get(role, role), content=content)


def _pair(row: Row, columns: Mapping[str, str]) -> tuple[list[Message], list[str]]:
    """The prompt and both replies. Where these are conversations, the prompt is what both begin
    with.
    """
    both: Any = [row.value(columns[part]) for part in ("chosen", "rejected")]
    if all(isinstance(value, str) and not HH_TURN.match(value) for value in both):
        texts = [row.text(columns[part]) for part in ("chosen", "rejected")]
    else:
        chosen, rejected = (_turns(row, columns[part]) for part in ("chosen", "rejected"))
        if chosen[:-1] != rejected[:-1]:
            raise row.error("two conversations that differ before their last turns")
        texts = [_reply(row, chosen[-1]), _reply(row, rejected[-1])]
        if chosen[:-1]:
            return chosen[:-1], texts
    return _prompt(row, columns), texts


def _texts(row: Row, column: str) -> list[str]:
    value = row.value(column)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise row.error(f"{type(value).__name__} in field {column!r}, where a list belongs")
    if not value:
        raise row.error(f"an empty list in field {column!r}")
    texts = [
        one.get("text", one.get("content")) if isinstance(one, Mapping) else one for one in value
    ]
    if not all(isinstance(text, str) for text in texts):
        raise row.error(f"a candidate without text in field {column!r}")
    return texts


def _reply(row: Row, turn: Message) -> str:
    if turn.role != "assistant":
        raise row.error(f"a conversation that ends with the turn of {turn.role!r}, not a reply")
    return turn.content
