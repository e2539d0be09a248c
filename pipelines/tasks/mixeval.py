"""MixEval and MixEval-Hard: questions of many benchmarks, mixed as users ask them.

Data     Ni et al., MixEval: Deriving Wisdom of the Crowd from LLM Benchmark Mixtures,
         arXiv:2406.06565. Files: `free-form.json` and `multiple-choice.json` of one version, each
         an object of rows by number: `problem_type`, `context`, `prompt`, `options`, `target`,
         `benchmark_name`; or JSONL of such rows. A folder is read as one.
Metric   accuracy, by rules; Item.category is the benchmark that a row is from. With
         `graded_by: judge` free-form rows are left to `roles.graders` (prompt `mixeval`, 0 to 1),
         as the published figures were; these take a random mark where a judge gives none.
Answer   a letter; or a free text, of which numbers and what follows words such as "is" and "answer"
         are compared with each gold answer.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from string import ascii_uppercase
from typing import Any, ClassVar, Literal

from actors.formats import FORMATS, Format, json_format
from actors.types import FinishReason, Item
from pipelines.tasks.base import Grade, TaskConfig
from pipelines.tasks.files import Row
from pipelines.tasks.multiple_choice import gold_index, grade_letter, lettered, read_choices
from pipelines.tasks.replies import final_part
from pipelines.tasks.rows import RowTask, digest

BY_LETTER = "Answer with the option letter from the given choices directly."
SHORTLY = "Answer the question shortly."
STEP_BY_STEP = "Answer the question. \nLet's think step by step."
REASONED = frozenset({"BBH", "GSM8k", "MATH"})
"""Benchmarks whose questions are asked step by step."""
MARKS = re.compile(r"\b(?:could be|so|is|thus|therefore|final|answer|result)\b|=", re.IGNORECASE)
"""Behind the last of these a sentence says what it comes to."""
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")
NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d+)?|-?\.\d+")


class MixEvalConfig(TaskConfig):
    """`task: {name: mixeval, source: mixeval-2024-08-11/mixeval-hard}`."""

    graded_by: Literal["rules", "judge"] = "rules"
    """Of free-form rows. A judge can't grade multiple-choice rows, which rules do better."""


def _rows(found: Any) -> Any:
    return list(found.values()) if isinstance(found, dict) else found


class MixEval(RowTask[MixEvalConfig]):
    """Rows of either kind."""

    Config: ClassVar[type[TaskConfig]] = MixEvalConfig
    formats: ClassVar[Mapping[str, Format]] = {
        **FORMATS,
        ".json": json_format(_rows, "neither an object of rows nor a list of them"),
    }

    def __init__(self, config: MixEvalConfig, *, grading_only: bool = False) -> None:
        if config.graded_by == "judge":
            self.metrics: tuple[str, ...] = ()
        super().__init__(config, grading_only=grading_only)

    def item(self, row: Row) -> Item:
        prompt, context = row.text("prompt"), row.get("context")
        absent = context is None or str(context).strip().casefold() in ("", "none", "null")
        head = "" if absent else f"{context}\n"
        benchmark = row.text("benchmark_name")
        kind = row.text("problem_type")
        if kind == "multiple-choice":
            question, gold, choices = self._choice(row, head + prompt)
        elif kind == "free-form":
            how = STEP_BY_STEP if benchmark in REASONED else SHORTLY
            question, gold, choices = f"Question: {head}{prompt}\n{how}", self._gold(row), ()
        else:
            raise row.error(f"problem_type {kind!r}, where free-form or multiple-choice is needed")
        return Item(
            id=self.row_id(row, kind, context, prompt, list(choices)),
            task=self.name,
            messages=self.messages(question),
            question=prompt,
            reference=gold,
            choices=choices,
            group=digest(context)[:16] if head else "",
            category=benchmark,
        )

    def grade(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        if item.choices:
            return grade_letter(item.reference, item.choices, text, finish_reason)
        is_cut = finish_reason == "length"
        if not self.metrics:
            return Grade(answer=None, outcome="truncated" if is_cut else "ungraded", metrics=())
        found = [] if is_cut else said(final_part(text))
        right = any(agrees(gold, one) for gold in item.reference.split("\n") for one in found)
        outcome: Literal["correct", "wrong", "truncated", "no_answer"] = (
            "correct" if right else "truncated" if is_cut else "wrong" if found else "no_answer"
        )
        answer = found[-1] if found else None
        return Grade(answer=answer, outcome=outcome, metrics=(("accuracy", float(right)),))

    def _choice(self, row: Row, question: str) -> tuple[str, str, tuple[str, ...]]:
        if not self.metrics:
            raise row.error(
                "multiple choice, which graded_by: judge is not for; name free-form.json, or take "
                "graded_by: rules"
            )
        choices, target = read_choices(row, row.value("options")), row.value("target")
        if not isinstance(target, list) or len(target) != 1:
            raise row.error(f"{target!r:.60} as its target, where a list of one index is needed")
        gold = ascii_uppercase[gold_index(row, choices, target[0], may_be_text=False)]
        return f"{question}\n{lettered(choices)}\n{BY_LETTER}", gold, choices

    @staticmethod
    def _gold(row: Row) -> str:
        target = row.value("target")
        if not isinstance(target, list) or not all(isinstance(one, str) for one in target):
            raise row.error(f"{target!r:.60} as its target, where a list of texts is needed")
        # Of GSM8k the target is the whole solution.
        gold = (" ".join(one.rpartition("####")[2].split()) for one in target)
        if not (found := "\n".join(dict.fromkeys(filter(None, gold)))):
            # No text at all would be in any reply.
            raise row.error(f"{target!r:.60} as its target, in which no text is")
        return found


def said(text: str) -> list[str]:
    """What a reply may have answered: of each sentence that marks it, what stands behind the last
    mark; else the whole.
    """
    text = text.strip().rstrip(".")
    marked = [
        sentence[marks[-1].end() :].strip(" :.")
        for sentence in SENTENCE.split(text)
        if (marks := list(MARKS.finditer(sentence)))
    ]
    return [one for one in marked if one] or ([text] if text else [])


def agrees(gold: str, answer: str) -> bool:
    """A gold number is among the answer's, to two places; a gold text is in it, as whole words."""
    if (wanted := _number(gold)) is not None:
        return any(_number(found) == wanted for found in NUMBER.findall(answer))
    words = rf"(?<!\w){re.escape(gold.casefold())}(?!\w)"
    return re.search(words, " ".join(answer.casefold().split())) is not None


def _number(text: str) -> Decimal | None:
    try:
        found = round(Decimal(text.replace(",", "")), 2)
    except InvalidOperation:
        return None
    # "Nan" is a word, and as a number equals nothing.
    return None if found.is_nan() else found
