"""TruthfulQA MC1: choose the one true answer, by generation.

Data     Lin et al., TruthfulQA: Measuring How Models Mimic Human Falsehoods, arXiv:2109.07958.
         Licence Apache-2.0. Packaged: 100 rows. Files: `question`, `choices` and `expected_index`,
         or the hub's `mc1_targets` (`choices`, `labels`).
Metric   accuracy. By generation, so it isn't the published figure, which compares likelihoods.
Answer   the letter of one choice; choices are shuffled by item, since the data put the true one
         first.
"""

from typing import Any, ClassVar

from actors.types import FinishReason, Item
from pipelines.tasks.base import Grade, TaskConfig
from pipelines.tasks.multiple_choice import INSTRUCTION, grade_letter, shuffled
from pipelines.tasks.rows import RowTask
from pipelines.tasks.sources import Row


class TruthfulQaMc1(RowTask[TaskConfig]):
    """Rows with a question, its choices and the index of the true one."""

    packaged: ClassVar[str | None] = "truthfulqa_mc1"

    def ask(self, question: str) -> str:
        return f"{question}\n\n{INSTRUCTION}"

    def item(self, row: Row) -> Item:
        question = row.text("question").strip()
        choices, gold = _choices(row)
        item_id = self.row_id(row, question, choices)
        options = shuffled(row, choices, gold, f"{self.config.seed}:{item_id}")
        asked = options.ask(question)
        return Item(
            id=item_id,
            task=self.name,
            messages=self.messages(asked),
            question=asked,
            reference=options.gold,
            choices=options.texts,
        )

    def grade(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        return grade_letter(item.reference, item.choices, text, finish_reason)


def _choices(row: Row) -> tuple[Any, Any]:
    """The choices and the gold one; from `labels` the gold is where the single 1 stands."""
    targets = row.get("mc1_targets")
    if targets is None:
        return row.value("choices"), row.value("expected_index", "label")
    labels = list(targets.get("labels", ())) if isinstance(targets, dict) else []
    if labels.count(1) != 1:
        raise row.error("no single 1 in the labels of field 'mc1_targets'")
    return targets.get("choices"), labels.index(1)
