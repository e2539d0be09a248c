"""MBPP: write a short Python function from one sentence and three tests that are shown.

Data     Austin et al., Program Synthesis with Large Language Models, arXiv:2108.07732. Licence
         CC-BY-4.0. Files, of the full or of the sanitized set: `task_id`, `text` (or `prompt`),
         `code`, `test_list`, `test_setup_code` (or `test_imports`). `part` says which rows: by
         default 11 to 510, the paper's test set; the worked examples are its rows 2, 3 and 4.
Metric   accuracy: the program passes all tests within the sandbox's limits.
Answer   the program: a fenced block, or what stands between [BEGIN] and [DONE]; see code.py.

Tests call what the row's own code defines at its top level, and may use what that imports.
"""

import ast
import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from actors.types import ConfigError, Item, Message
from pipelines.tasks.base import TaskConfig
from pipelines.tasks.code import CodeConfig, CodeTask, find_code, reference
from pipelines.tasks.files import Row, SelectedSource, Source
from pipelines.tasks.rows import Shot

PARTS: dict[str, range] = {
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
    "all": range(1, 975),
}
SHOTS = (2, 3, 4)
ASK = (
    "You are an expert Python programmer, and here is your task: {text} Your code should pass "
    "these tests:\n\n{tests}"
)
"""The paper's prompt, section 3.1."""
BEGIN, DONE = "[BEGIN]\n", "\n[DONE]"
FORMAT = "\n\nReply with the program in one ```python block."
"""For those who were shown no worked example."""


class MbppConfig(CodeConfig):
    """How a problem is put."""

    part: Literal["test", "validation", "train", "all"] = "test"
    """Of the paper's split, by the rows' numbers."""
    shots: int = Field(3, ge=0, le=3)


class Mbpp(CodeTask[MbppConfig]):
    """Rows with `task_id`, `text`, `code`, `test_list`."""

    Config: ClassVar[type[TaskConfig]] = MbppConfig
    stops: ClassVar[tuple[str, ...]] = (DONE,)
    _shots: tuple[Shot, ...] = ()

    def open(self) -> Source:
        self._whole_set = super().open()
        part = PARTS[self.config.part]
        return SelectedSource(self._whole_set, lambda row: _number(row) in part, self.config.part)

    def check_shots(self) -> None:
        wanted = SHOTS[: self.config.shots]
        rows = self._whole_set.rows() if wanted else ()
        found = {number: row for row in rows if (number := _number(row)) in wanted}
        if len(found) < len(wanted):
            raise ConfigError(
                f"{self._whole_set.label} has no rows {', '.join(map(str, wanted))}, which task "
                "mbpp shows as worked examples: give the whole set, or set task.shots to 0"
            )
        self._shots = tuple(Shot(_asked(found[n]), _code(found[n])) for n in wanted)

    @property
    def shots(self) -> tuple[Shot, ...]:
        return self._shots

    def item(self, row: Row) -> Item:
        asked, tests = _asked(row), "\n".join(_tests(row))
        setup = row.text("test_setup_code") if row.get("test_setup_code") else ""
        names, imports = _needs(row, f"{setup}\n{tests}")
        return Item(
            id=f"mbpp-{_number(row)}",
            task=self.name,
            messages=self.messages(asked),
            question=asked,
            reference=reference(names=names, tests=f"{setup}\n{tests}", context=imports),
            # Chat models repeat the marks of the examples as well.
            stop=self.stops if self.config.ask == "completion" else (),
        )

    def messages(self, question: str, shots: Sequence[Shot] | None = None) -> tuple[Message, ...]:
        """See `RowTask.messages`; the paper's form where a base model goes on writing."""
        shots = self.shots if shots is None else shots
        if self.config.ask == "completion":
            shown = [f"{s.question}\n{BEGIN}{s.reply}{DONE}\n\n" for s in shots]
            text = "".join([*shown, f"{question}\n{BEGIN}"])
            return (*super().messages("", ())[:-1], Message(role="user", content=text))
        marked = [Shot(s.question, f"{BEGIN}{s.reply}{DONE}") for s in shots]
        return super().messages(question if shots else question + FORMAT, marked)

    def solution(self, row: Row) -> str | None:
        return _code(row)

    def find(self, text: str, names: Sequence[str], prompt: str) -> tuple[str, bool] | None:
        section, done, _ = text.partition(DONE.strip())
        found = find_code(section.rpartition(BEGIN.strip())[2], names, prompt)
        return (found[0], found[1] and not done) if found else None


def _number(row: Row) -> int:
    try:
        return int(row.text("task_id"))
    except ValueError:
        raise row.error("a task_id that is no number") from None


def _asked(row: Row) -> str:
    text = row.text("text", "prompt").strip()
    return ASK.format(text=text, tests="\n".join(_tests(row)))


def _code(row: Row) -> str:
    return "\n".join(row.text("code").splitlines()).strip("\n")


def _tests(row: Row) -> list[str]:
    tests = row.value("test_list")
    if not isinstance(tests, list) or not all(isinstance(test, str) for test in tests):
        raise row.error("no list of texts in field 'test_list'")
    return tests


def _needs(row: Row, tests: str) -> tuple[list[str], str]:
    """What the tests take from a program, and the imports that they rely on."""
    try:
        body = ast.parse(_code(row)).body
    except (SyntaxError, ValueError, RecursionError) as error:
        raise row.error(f"code that is no Python ({error})") from None
    made = [name for node in body for name in _made(node)]
    names = [name for name in dict.fromkeys(made) if re.search(rf"\b{re.escape(name)}\b", tests)]
    if not names:
        raise row.error("tests that use nothing that its code defines")
    imports = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    given = row.get("test_imports") or []
    return names, "\n".join([*imports, *(given if isinstance(given, list) else [str(given)])])


def _made(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []
