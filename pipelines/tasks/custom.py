"""A task of one's own, in YAML: where rows are, how to ask, how to read and compare an answer.

    task:
      name: custom
      source: mine.jsonl
      prompt: "{question}"
      reference: "{answer}"
      instruction: "Give only the number."
      extract: number
      compare: number

    checks: [{kind: words, at_most: 50}, {kind: contains, text: "{city}"}]    # no reference

Metric   accuracy; with `checks` also that, the share of its checks that a reply meets, and accuracy
         is of replies that meet all of theirs.
Answer   what `extract` finds in the final part of the reply (replies.py), compared by `compare`.
         With `checks` (checks.py) the whole reply; one that was cut meets none for certain.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import regex
from pydantic import Field, model_validator

from actors.config import StrictConfig, parse
from actors.types import ConfigError, FinishReason, Item, cut_reasoning
from pipelines.tasks.answers import canonical_number, find_number, read_number
from pipelines.tasks.base import Grade, TaskConfig
from pipelines.tasks.checks import PATTERN_SECONDS, Check, plain, read
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

WHOLE = (None, "whole", "exact")
"""Choices, `extract` and `compare` of a task that reads whole replies."""


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
    reference: str | None = None
    """A field's name or a template: the gold answer, or the gold choice's index, letter or text."""
    checks: list[Check] = Field(default_factory=list)
    """What every reply must meet, in place of a reference; texts are templates."""
    checks_field: str | None = None
    """A field with a list of such checks, of that row alone; its texts are taken as they are."""
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
        if (self.reference is None) != bool(self.checks or self.checks_field):
            raise ValueError("wanted a reference, or checks or checks_field in its place")
        if self.has_checks and (self.choices, self.extract, self.compare) != WHOLE:
            raise ValueError("checks are of whole replies: take choices, extract and compare out")
        wants_choice = {self.extract == "choice", self.compare == "choice", bool(self.choices)}
        if len(wants_choice) > 1:
            raise ValueError("choices, 'extract: choice' and 'compare: choice' go together")
        if (self.extract == "pattern") != (self.pattern is not None):
            raise ValueError("pattern and 'extract: pattern' go together")
        if self.pattern is not None:
            try:
                groups = regex.compile(self.pattern).groups
            except regex.error as e:
                raise ValueError(f"pattern isn't a regular expression: {e}") from e
            if groups != 1:
                raise ValueError(f"pattern must have one group, this one has {groups}")
        return self

    @property
    def has_checks(self) -> bool:
        return self.reference is None


class Custom(RowTask[CustomConfig]):
    """What CustomConfig says."""

    Config: ClassVar[type[TaskConfig]] = CustomConfig
    version: ClassVar[str] = "3"

    def __init__(self, config: CustomConfig, *, grading_only: bool = False) -> None:
        self._prompt = Template("prompt", config.prompt)
        reference = config.reference or ""
        braces = reference if "{" in reference else f"{{{reference}}}" * bool(reference)
        self._reference = Template("reference", braces)
        self._texts = [Template("checks", check.text or "") for check in config.checks]
        self._pattern = regex.compile(config.pattern or "")
        self._checker = SymbolicChecker(config.timeout)
        super().__init__(config, grading_only=grading_only)
        self.name = config.title
        if config.has_checks:
            self.metrics = ("accuracy", "checks")

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
        try:
            return self._graded(item, text, finish_reason)
        except TimeoutError:  # Of a pattern.
            return Grade(answer=None, outcome="timed_out", metrics=())

    def _graded(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        cut = finish_reason == "length"
        if self.config.has_checks:
            # How a reply is written is about all of it: a line `Q:` may be what was asked for.
            return self._checked(read(item.reference), cut_reasoning(text), cut=cut)
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

    def _checked(self, checks: Sequence[Check], text: str, *, cut: bool) -> Grade:
        met = 0.0 if cut else sum(check.holds(text) for check in checks) / len(checks)
        answer = None if cut else self._canonical(text)
        is_right = met == 1.0
        none: Outcome = "truncated" if cut else "no_answer"
        return Grade(
            answer=answer,
            outcome=none if answer is None else "correct" if is_right else "wrong",
            metrics=(("accuracy", float(is_right)), ("checks", met)),
        )

    def _gold(self, row: Row) -> Any:
        if self.config.has_checks:
            return plain(self._checks(row))
        if self.config.choices:
            # An index has to stay a number; in braces it would become text.
            field = self._reference.only_field
            return row.value(field) if field else self._reference.fill(row)
        gold = self._canonical(self._reference.fill(row))
        if gold is None:
            raise row.error("a reference that can't be compared: it is empty or isn't a number")
        return gold

    def _checks(self, row: Row) -> list[Check]:
        found = [
            self._filled(check, text, row) if check.text else check
            for check, text in zip(self.config.checks, self._texts, strict=True)
        ]
        if self.config.checks_field is not None:
            own = row.value(self.config.checks_field)
            if not isinstance(own, list):
                raise row.error(f"{type(own).__name__} where a list of checks belongs")
            try:
                found += [parse(Check, one, self.config.checks_field) for one in own]
            except ConfigError as error:
                raise row.error(f"a check that can't be read: {error}") from None
        if not found:
            raise row.error("no checks")
        return found

    @staticmethod
    def _filled(check: Check, text: Template, row: Row) -> Check:
        # In a pattern a row's text stands for itself.
        escape = regex.escape if check.kind == "pattern" else str
        data = {**check.model_dump(exclude_none=True), "text": text.fill(row, escape)}
        try:
            return parse(Check, data, "checks")
        except ConfigError as error:
            raise row.error(f"text that makes no check of a template: {error}") from None

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
            matches = list(self._pattern.finditer(text, timeout=PATTERN_SECONDS))
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
