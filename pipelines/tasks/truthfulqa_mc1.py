"""TruthfulQA MC1: choose the one true answer, by generation.

Data     Lin et al., TruthfulQA: Measuring How Models Mimic Human Falsehoods, arXiv:2109.07958.
         Licence Apache-2.0. Packaged: 100 rows. Files: `question`, `choices` and `expected_index`,
         or the hub's `mc1_targets` (`choices`, `labels`).
Metric   accuracy. By generation, so it isn't the published figure, which compares likelihoods.
Answer   the letter of one choice; choices are shuffled by item, since the data put the true one
         first.
"""

from typing import Any, ClassVar

from actors.types import Item
from pipelines.tasks.multiple_choice import LetterTask
from pipelines.tasks.sources import Row


class TruthfulQaMc1(LetterTask):
    """Rows with a question, its choices and the index of the true one."""

    packaged: ClassVar[str | None] = "truthfulqa_mc1"

    def item(self, row: Row) -> Item:
        question = row.text("question").strip()
        choices, gold = _choices(row)
        item_id = self.row_id(row, question, choices)
        return self.lettered(item_id, row, question=question, choices=choices, gold=gold)


def _choices(row: Row) -> tuple[Any, Any]:
    """The choices and the gold one; from `labels` the gold is where the single 1 stands."""
    targets = row.get("mc1_targets")
    if targets is None:
        return row.value("choices"), row.value("expected_index", "label")
    labels = list(targets.get("labels", ())) if isinstance(targets, dict) else []
    if labels.count(1) != 1:
        raise row.error("no single 1 in the labels of field 'mc1_targets'")
    return targets.get("choices"), labels.index(1)
