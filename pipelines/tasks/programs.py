"""Programming problems of one's own: what to write, what it is called, how it is tested.

Data     Your file: `prompt`, `entry_point` (a name, or a list of names that the tests take from the
         program), `tests` (Python text, or a list of asserts). Optional: `id`, `context` (Python
         that the tests build on), `solution` (a right program, for `lilliput check-sandbox`),
         `category`.
Metric   accuracy: the program passes all tests within the sandbox's limits.
Answer   the program; see code.py. With `ask: completion` the prompt is code to go on from.
"""

from typing import ClassVar

from actors.types import Item
from pipelines.tasks.base import TaskConfig
from pipelines.tasks.code import CodeConfig, CodeTask, reference
from pipelines.tasks.files import Row


class ProgramsConfig(CodeConfig):
    """How a problem is put."""

    title: str = "programs"
    """What results call the task."""
    instruction: str = "Reply with the whole program in one ```python block."
    """Behind the prompt; not where a base model goes on writing it."""


class Programs(CodeTask[ProgramsConfig]):
    """Rows with `prompt`, `entry_point`, `tests`."""

    Config: ClassVar[type[TaskConfig]] = ProgramsConfig

    def __init__(self, config: ProgramsConfig, *, grading_only: bool = False) -> None:
        super().__init__(config, grading_only=grading_only)
        self.name = config.title

    def item(self, row: Row) -> Item:
        prompt, completes = row.text("prompt"), self.config.ask == "completion"
        names, tests = _texts(row, "entry_point"), "\n".join(_texts(row, "tests"))
        instruction = self.config.instruction
        asked = prompt if completes or not instruction else f"{prompt}\n\n{instruction}"
        return Item(
            id=self.row_id(row, prompt, names, tests),
            task=self.config.title,
            messages=self.messages(asked),
            question=prompt,
            reference=reference(
                names=names,
                tests=tests,
                context=row.text("context") if row.get("context") else "",
                prompt=prompt if completes else "",
            ),
            stop=self.stops if completes else (),
            category=row.text("category") if row.get("category") else "",
        )

    def solution(self, row: Row) -> str | None:
        return row.text("solution") if row.get("solution") else None


def _texts(row: Row, field: str) -> list[str]:
    value = row.value(field)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise row.error(f"neither a text nor a list of texts in field {field!r}")
    return texts
