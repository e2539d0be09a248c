"""Chat: the user's turns of conversations. There is no right and wrong, so scorers alone judge.

Data     A file or folder of rows, such as MT-bench's question.jsonl (Zheng et al. 2023,
         arXiv:2306.05685; Apache-2.0). A row has `turns`, the list of what the user says, or
         `messages`, of which the user's and a system message in front are taken.
Metric   none. A conversation of which a reply was cut counts as truncated, any other as ungraded.
Answer   none.

`category` is the part of the task that a row belongs to; `id` or `question_id` names it.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from actors.types import FinishReason, Item, Message
from pipelines.tasks.base import Grade, TaskConfig
from pipelines.tasks.files import Row
from pipelines.tasks.rows import RowTask


class ChatConfig(TaskConfig):
    """`task: {name: chat, source: question.jsonl}`."""

    max_turns: int | None = Field(None, ge=1)
    """The user's turns that are played; None: all."""


class Chat(RowTask[ChatConfig]):
    """Rows with the turns of a user."""

    Config = ChatConfig
    metrics: tuple[str, ...] = ()

    def item(self, row: Row) -> Item:
        system, turns = _said(row)
        first, *rest = turns[: self.config.max_turns]
        messages = self.messages(first)
        if system and not self.config.system:
            messages = (Message(role="system", content=system), *messages)
        named = "question_id" if row.get("id") is None else "id"
        return Item(
            id=self.row_id(row, system, turns, field=named),
            task=self.name,
            messages=messages,
            question=first,
            reference="",
            category=str(row.get("category") or ""),
            follow_ups=tuple(rest),
        )

    def grade(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        """No verdict; whether a reply was cut is all that there is to say."""
        outcome: Any = "truncated" if finish_reason == "length" else "ungraded"
        return Grade(answer=None, outcome=outcome, metrics=())


def _said(row: Row) -> tuple[str, list[str]]:
    """A system message, or nothing; the user's turns. Raises ConfigError."""
    field = "turns" if row.get("turns") is not None else "messages"
    found = row.value("turns", "messages")
    if not isinstance(found, Sequence) or isinstance(found, str) or not found:
        raise row.error(f"{found!r:.60} in field {field!r}, where a list of turns is needed")
    if field == "turns":
        turns, system = [*found], ""
    elif all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in found):
        turns = [m["content"] for m in found if m["role"] == "user"]
        system = found[0]["content"] if found[0]["role"] == "system" else ""
    else:
        raise row.error(f"something without a role and a content in field {field!r}")
    if not turns or not all(isinstance(text, str) and text.strip() for text in turns):
        raise row.error(f"no text of the user's, or an empty one, in field {field!r}")
    return system, turns
