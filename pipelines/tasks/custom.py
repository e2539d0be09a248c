"""A task of one's own, in YAML: where rows are, how to ask, how to read and compare an answer.

    task:
      name: custom
      source: mine.jsonl
      prompt: "{question}"
      reference: "{answer}"
      instruction: "Give only the number."
      extract: number
      compare: number

Metric   accuracy.
Answer   what `extract` finds in the final part of the reply (replies.py), compared by `compare`.
"""

import re
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from actors.config import StrictConfig
from actors.types import FinishReason, Item
from pipelines.tasks.answers import canonical_number, find_number, read_number
from pipelines.tasks.base import Grade, TaskConfig
from pipelines.tasks.files import Row
from pipelines.tasks.multiple_choice import INSTRUCTION, find_letter, shuffled
from pipelines.tasks.replies import final_part, last_boxed
from pipelines.tasks.rows import RowTask, Shot
from pipelines.tasks.symbolic import (
    Outcome,
    SymbolicChecker,
    canonical_answer,
    grade_symbolic,
)
from pipelines.tasks.templates import Template


class Example(StrictConfig):
    """One worked example; `shots` says how many of them are shown."""

    question: str
    reply: str


class CustomConfig(TaskConfig):
    """Fields are named in braces; a brace of its own is doubled: `{{"a": 1}}`."""

    title: str = "custom"
    """What results call the task."""
    prompt: str
    """Template of the question: `{question}`."""
    reference: str
    """A field's name or a template: the gold answer, or the gold choice's index, letter or text."""
    choices: str | list[str] | None = None
    """A field that holds the list of choices, or the fields that hold one each."""
    id_field: str | None = None
    """Absent: a hash of question and reference."""
    group_field: str | None = None
    """Rows with the same value are one cluster for standard errors."""
    instruction: str | None = None
    """Stands behind the question. None: none, but for choices the usual one."""
    examples: list[Example] = Field(default_factory=list)
    extract: Literal["whole", "number", "choice", "last_line", "boxed", "pattern"] = "whole"
    pattern: str | None = None
    """For `extract: pattern`: a regular expression with one group; its last match counts."""
    compare: Literal["exact", "casefold", "number", "choice", "symbolic"] = "exact"
    timeout: float = Field(5.0, gt=0.0)
    """Seconds for one symbolic comparison."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wants_choice = {self.extract == "choice", self.compare == "choice", bool(self.choices)}
        if len(wants_choice) > 1:
            raise ValueError("choices, 'extract: choice' and 'compare: choice' go together")
        if (self.extract == "pattern") != (self.pattern is not None):
            raise ValueError("pattern and 'extract: pattern' go together")
        if self.pattern is not None:
            try:
                groups = re.compile(self.pattern).groups
            except re.error as e:
                raise ValueError(f"pattern isn't a regular expression: {e}") from e
            if groups != 1:
                raise ValueError(f"pattern must have one group, this one has {groups}")
        return self


class Custom(RowTask[CustomConfig]):
    """What CustomConfig says."""

    Config: ClassVar[type[TaskConfig]] = CustomConfig
    version: ClassVar[str] = "2"

    def __init__(self, config: CustomConfig, *, grading_only: bool = False) -> None:
        self._prompt = Template("prompt", config.prompt)
        braces = config.reference if "{" in config.reference else f"{{{config.reference}}}"
        self._reference = Template("reference", braces)
        self._pattern = re.compile(config.pattern or "")
        self._checker = SymbolicChecker(config.timeout)
        super().__init__(config, grading_only=grading_only)
        self.name = config.title

    @property
    def shots(self) -> tuple[Shot, ...]:
        return tuple(Shot(e.question, e.reply) for e in self.config.examples)

    def ask(self, question: str) -> str:
        instruction = self.config.instruction
        if instruction is None and self.config.choices:
            return f"{question}\n\n{INSTRUCTION}"
        return f"{question}\n{instruction}" if instruction else question

    def item(self, row: Row) -> Item:
        config = self.config
        question = self._prompt.fill(row)
        if config.id_field is not None:
            row.value(config.id_field)
        gold = self._gold(row)
        item_id = self.row_id(row, question, gold, field=config.id_field or "")
        texts: tuple[str, ...] = ()
        if config.choices:
            options = shuffled(row, self._choices(row), gold, f"{config.seed}:{item_id}")
            question, gold, texts = options.ask(question), options.gold, options.texts
        return Item(
            id=item_id,
            task=config.title,
            messages=self.messages(question),
            question=question,
            reference=str(gold),
            choices=texts,
            group=row.text(config.group_field) if config.group_field else "",
        )

    def grade(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        cut = finish_reason == "length"
        answer = self._extract(final_part(text), item.choices, cut=cut)
        if self.config.compare == "symbolic":
            return grade_symbolic(self._checker, item.reference, answer, finish_reason)
        answer = None if answer is None else self._canonical(answer)
        if answer is None:
            outcome: Outcome = "truncated" if cut else "no_answer"
        else:
            outcome = "correct" if answer == item.reference else "wrong"
        credit = (("accuracy", float(outcome == "correct")),)
        return Grade(answer=answer, outcome=outcome, metrics=credit)

    def _gold(self, row: Row) -> Any:
        if self.config.choices:
            # An index has to stay a number; in braces it would become text.
            field = self._reference.only_field
            return row.value(field) if field else self._reference.fill(row)
        gold = self._canonical(self._reference.fill(row))
        if gold is None:
            raise row.error("a reference that can't be compared: it is empty or isn't a number")
        return gold

    def _choices(self, row: Row) -> Any:
        names = self.config.choices
        if isinstance(names, list):
            return [row.text(name) for name in names]
        value = row.value(names or "")
        if isinstance(value, dict) and isinstance(value.get("text"), list):
            return value["text"]
        return value

    def _extract(self, text: str, choices: tuple[str, ...], *, cut: bool) -> str | None:
        """The raw answer. Of a text that was cut only what is surely whole counts."""
        extract = self.config.extract
        if extract == "number":
            found = find_number(text, cut=cut)
            return canonical_number(found.value) if found else None
        if extract == "choice":
            return find_letter(text, choices, cut=cut)
        if extract == "boxed":
            return last_boxed(text)
        if extract == "pattern":
            matches = list(self._pattern.finditer(text))
            whole = bool(matches) and not (cut and matches[-1].end() == len(text))
            return matches[-1][1] if whole else None
        if cut:
            return None
        return text if extract == "whole" else (text.strip().splitlines() or [""])[-1]

    def _canonical(self, answer: str) -> str | None:
        """Answers that compare as equal get the same text, but for what only sympy can tell."""
        compare = self.config.compare
        if compare == "symbolic":
            return canonical_answer(answer)
        if compare == "number":
            number = read_number(answer)
            return None if number is None else canonical_number(number)
        words = " ".join(answer.split())
        return (words.casefold() if compare == "casefold" else words) or None
