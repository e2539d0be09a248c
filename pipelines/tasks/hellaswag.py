"""HellaSwag: choose the likeliest continuation of a short text, by generation.

Data     Zellers et al., HellaSwag: Can a Machine Really Finish Your Sentence?, arXiv:1905.07830.
         Licence MIT. Packaged: 100 rows of the validation split. Files: `ctx` (or `ctx_a`,
         `ctx_b`), `endings`, `label`, `activity_label`.
Metric   accuracy. By generation, so it isn't the published figure, which compares likelihoods.
Answer   the letter of one ending; the endings are shuffled by item.
"""

import re
from typing import ClassVar

from actors.types import Item
from pipelines.tasks.multiple_choice import LetterTask
from pipelines.tasks.sources import Row

_MARKER = re.compile(r"\s*\[(?:header|title|step|substeps?)\]\s*")


class HellaSwag(LetterTask):
    """Rows with a context, its endings and the index of the true one."""

    packaged: ClassVar[str | None] = "hellaswag"

    def item(self, row: Row) -> Item:
        context = _context(row)
        endings, gold = row.value("endings"), row.value("expected_index", "label")
        item_id = self.row_id(row, context, endings)
        if isinstance(endings, list):
            endings = [_plain(e) if isinstance(e, str) else e for e in endings]
        question = f"Which ending continues this text best?\n\n{context} ..."
        return self.lettered(item_id, row, question=question, choices=endings, gold=gold)


def _context(row: Row) -> str:
    if row.get("ctx") is None:
        parts = [row.text("ctx_a"), str(row.get("ctx_b") or "")]
    else:
        parts = [row.text("ctx")]
    context = _plain(" ".join(part.strip() for part in parts))
    activity = row.get("activity_label")
    return f"{_plain(str(activity))}: {context}" if activity else context


def _plain(text: str) -> str:
    """Without the markers that WikiHow texts came with."""
    return _MARKER.sub(" ", text).strip()
