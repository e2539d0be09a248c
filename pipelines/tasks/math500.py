r"""MATH-500: competition mathematics, 500 problems whose answers are expressions in LaTeX.

Data     Lightman et al., Let's Verify Step by Step, arXiv:2305.20050: 500 rows of the test split of
         Hendrycks et al., arXiv:2103.03874. Licence MIT. Files: `problem`, and `answer` or a
         `solution` whose last `\boxed{...}` is the answer; `subject` (or `type`) and `level` if
         they are there, as on the hub (`HuggingFaceH4/MATH-500`).
Metric   accuracy: equal to the gold as mathematics (symbolic.py). Item.category is the subject.
Answer   the content of the last `\boxed{...}`, else what stands between dollar signs behind the
         last "answer is".
"""

import re
from typing import ClassVar

from pydantic import Field

from actors.types import FinishReason, Item
from pipelines.tasks.base import Grade, TaskConfig
from pipelines.tasks.files import Row
from pipelines.tasks.gsm8k import WordProblemConfig, instructed
from pipelines.tasks.replies import final_part, last_boxed
from pipelines.tasks.rows import RowTask
from pipelines.tasks.symbolic import SymbolicChecker, canonical_answer, grade_symbolic

INSTRUCTION = r"Reason step by step, and put your final answer within \boxed{}."

_SPOKEN = re.compile(r"\banswer\s+is\s*:?\s*\$([^$\n]+)\$", re.IGNORECASE)


class Math500Config(WordProblemConfig):
    """How a problem is put and how long a comparison may take."""

    instruction: str = INSTRUCTION
    timeout: float = Field(5.0, gt=0.0)
    """Seconds for one symbolic comparison."""


class Math500(RowTask[Math500Config]):
    """Rows with a problem and its answer."""

    Config: ClassVar[type[TaskConfig]] = Math500Config

    def __init__(self, config: Math500Config, *, grading_only: bool = False) -> None:
        self._checker = SymbolicChecker(config.timeout)
        super().__init__(config, grading_only=grading_only)

    def ask(self, question: str) -> str:
        return instructed(question, self.config)

    def item(self, row: Row) -> Item:
        question = row.text("problem").strip()
        gold = _gold(row)
        kind = row.get("subject") or row.get("type") or ""
        return Item(
            id=self.row_id(row, question, gold, field="unique_id"),
            task=self.name,
            messages=self.messages(question),
            question=question,
            reference=gold,
            category=str(kind).strip().replace(" ", "_"),
        )

    def grade(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        part = final_part(text)
        answer = last_boxed(part)
        if answer is None and (spoken := _SPOKEN.findall(part)):
            answer = spoken[-1]
        return grade_symbolic(self._checker, item.reference, answer, finish_reason)


def _gold(row: Row) -> str:
    r"""The row's answer, else the last `\boxed` of its solution. Raises ConfigError."""
    written = row.get("answer")
    text = row.text("answer") if written is not None else last_boxed(row.text("solution"))
    gold = None if text is None else canonical_answer(text)
    if gold is None:
        raise row.error(r"no answer: it needs the field 'answer', or a \boxed{} in its 'solution'")
    return gold
