"""Open-ended benchmarks: nothing in the data tells right from wrong, so `roles.graders` does.

alpaca_eval  Dubois et al., AlpacaEval, arXiv:2404.04475; data CC-BY-NC-4.0. A JSON array or JSONL
             of `instruction` and `dataset`; baselines are the same with `output`, `generator`.
arena_hard   Li et al., From Crowdsourced Data to High-Quality Benchmarks, arXiv:2406.11939; data
             Apache-2.0. JSONL of `uid`, `prompt`, `cluster`, or of `question_id`, `turns`;
             baselines of `uid`, `messages`, or of `question_id`, `choices`, as their models'
             answers are.
wildbench    Lin et al., WildBench (v2), arXiv:2406.04770; AI2 ImpACT licence. Rows of `session_id`,
             `conversation_input`, which ends with the user's turn, `checklist`, `primary_tag`.

An item's reference is what graders show their judges: the baseline's reply, or the checklist.
Metric   none of the task's own; every grader is one.
Answer   none.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from actors.formats import FORMATS, Format, json_format
from actors.types import FinishReason, Item, Message
from pipelines.tasks.base import Grade, TaskConfig
from pipelines.tasks.files import Row, Source
from pipelines.tasks.rows import ConfigT, RowTask, digest
from pipelines.tasks.sources import open_source

TAGS: Mapping[str, str] = {
    "Information seeking": "Information/Advice seeking",
    "Advice seeking": "Information/Advice seeking",
    "Creative Writing": "Creative Tasks",
    "Editing": "Creative Tasks",
    "Brainstorming": "Creative Tasks",
    "Role playing": "Creative Tasks",
    "Others": "Creative Tasks",
    "Coding & Debugging": "Coding & Debugging",
    "Reasoning": "Planning & Reasoning",
    "Planning": "Planning & Reasoning",
    "Math": "Math & Data Analysis",
    "Data Analysis": "Math & Data Analysis",
}
"""The five categories of WildBench's results, by the tags of its rows. Its authors also count a row
under the categories of its secondary tags; here it has one category."""


class OpenEnded(RowTask[ConfigT]):
    """Rows to which any reply may be good."""

    formats: ClassVar[Mapping[str, Format]] = {
        **FORMATS,
        ".json": json_format(lambda found: found, "not a list of objects"),
    }
    metrics: tuple[str, ...] = ()

    def grade(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        """No verdict; whether a reply was cut is all that there is to say."""
        is_cut = finish_reason == "length"
        return Grade(answer=None, outcome="truncated" if is_cut else "ungraded", metrics=())


class VersusConfig(TaskConfig):
    """`task: {name: alpaca_eval, source: alpaca_eval.json, baseline: gpt4_1106_preview.json}`."""

    baseline: str | None = None
    """A file with one model's replies to these prompts, in the benchmark's own layout; None: the
    source's own outputs, if it has any."""


class Versus(OpenEnded[VersusConfig]):
    """Replies are compared with those of a baseline."""

    Config: ClassVar[type[TaskConfig]] = VersusConfig

    @abstractmethod
    def key(self, row: Row) -> str:
        """What says to which prompt a row of either file belongs."""

    @abstractmethod
    def reply(self, row: Row) -> str:
        """The baseline's reply, given a row of its file."""

    @property
    def inputs(self) -> tuple[str, ...]:
        return (*super().inputs, *([self._answers.fingerprint] if self.config.baseline else []))

    def reference(self, row: Row) -> str:
        """The baseline's reply to the prompt of this row; empty without a baseline."""
        if self.config.baseline is None:
            return str(row.get("output") or "")
        key = self.key(row)
        if key not in self._replies:
            raise row.error(f"a prompt without a reply in {self._answers.label}: {key!r:.80}")
        return self._replies[key]

    @cached_property
    def _answers(self) -> Source:
        config = self.config.model_copy(update={"source": self.config.baseline, "limit": None})
        return open_source(config, formats=self.formats)

    @cached_property
    def _replies(self) -> dict[str, str]:
        replies: dict[str, str] = {}
        for row in self._answers.rows():
            key = self.key(row)
            if key in replies:
                raise row.error(f"another reply to the prompt {key!r:.80}; give one model's")
            replies[key] = self.reply(row)
        return replies


class AlpacaEval(Versus):
    """Item.category is the data set that a prompt is from."""

    def item(self, row: Row) -> Item:
        instruction = self.key(row)
        return Item(
            id=f"{self.name}-{digest(instruction)[:16]}",
            task=self.name,
            messages=self.messages(instruction),
            question=instruction,
            reference=self.reference(row),
            category=str(row.get("dataset") or ""),
        )

    def key(self, row: Row) -> str:
        return row.text("instruction")

    def reply(self, row: Row) -> str:
        return row.text("output")


class ArenaHard(Versus):
    """Its 250 clusters of prompts are no categories: most have one or two prompts."""

    def item(self, row: Row) -> Item:
        prompt = row.text("prompt") if "prompt" in row.fields else _turn(row, row.value("turns"))
        return Item(
            id=self.key(row),
            task=self.name,
            messages=self.messages(prompt),
            question=prompt,
            reference=self.reference(row),
        )

    def key(self, row: Row) -> str:
        return row.text("uid", "question_id")

    def reply(self, row: Row) -> str:
        if "choices" in row.fields:
            choices = row.value("choices")
            turns = choices[0].get("turns") if _is_rows(choices) else None
            return _turn(row, turns)
        messages = row.value("messages")
        last = messages[-1].get("content") if _is_rows(messages) else None
        text = last.get("answer") if isinstance(last, Mapping) else last
        if not isinstance(text, str) or messages[-1].get("role") != "assistant":
            raise row.error("no reply of an assistant's at the end of field 'messages'")
        return text


class WildBench(OpenEnded[TaskConfig]):
    """Whole conversations; Item.category is that of the primary tag."""

    def item(self, row: Row) -> Item:
        turns = row.value("conversation_input")
        if not _is_rows(turns) or turns[-1].get("role") != "user":
            raise row.error(
                "no conversation that ends with the user's turn in 'conversation_input'"
            )
        said = [(turn.get("role"), turn.get("content")) for turn in turns]
        if not all(isinstance(part, str) for turn in said for part in turn):
            raise row.error("a turn without role and content in field 'conversation_input'")
        checklist = row.value("checklist")
        if not isinstance(checklist, list) or not all(isinstance(line, str) for line in checklist):
            raise row.error("something other than a list of texts in field 'checklist'")
        tag = str(row.get("primary_tag") or "")
        if self.config.system:
            said = [("system", self.config.system), *said]
        return Item(
            id=row.text("session_id", "id"),
            task=self.name,
            messages=tuple(Message(role=role, content=content) for role, content in said),
            # Of several turns a judge must see all.
            question=turns[0]["content"] if len(turns) == 1 else "",
            reference="\n".join(f"- {line}" for line in checklist),
            category=TAGS.get(tag, tag),
        )


def _is_rows(value: Any) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and bool(value) and all(isinstance(one, Mapping) for one in value)


def _turn(row: Row, turns: Any) -> str:
    """The only one of `turns`, which is a text or has one as its content."""
    if isinstance(turns, Sequence) and len(turns) == 1:
        text = turns[0].get("content") if isinstance(turns[0], Mapping) else turns[0]
        if isinstance(text, str) and text.strip():
            return text
    raise row.error("no single turn with text in field 'turns'")
