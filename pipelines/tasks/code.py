r"""What tasks share whose answer is a program: finding it in a reply, and the tests it must pass.

    reply -> without its reasoning
          -> the last fenced block that defines what the tests call, behind the prompt's imports
          -> else the reply itself, from its first line of code on, if it defines that; likewise
          -> else the prompt and the last fenced block
          -> else the prompt and the reply as it is, up to where another piece of code begins

Chat models write the whole function in a fence, base models go on where the prompt ends; the same
rules read both. Of an indented fence, as in a list, the content loses the fence's indentation; no
other is touched. Nothing here runs or parses a program.
"""

import json
import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from actors.sandbox.types import Program
from actors.types import FinishReason, Item, cut_reasoning
from pipelines.tasks.base import Grade, TaskConfig
from pipelines.tasks.files import Row
from pipelines.tasks.rows import ConfigT, RowTask

STOPS = ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\n```")
"""Where a function that a base model goes on writing has ended: those of Chen et al. 2021, section
2.2, and a fence."""

_FENCE = re.compile(
    r"^(?P<indent>[ \t]*)```[^\n`]*\n(?P<content>.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE
)
_FIRST_CODE = re.compile(r"^(?:import |from \w|def |async def |class |@\w)", re.MULTILINE)
_CODE_LINE = re.compile(
    r"[ \t]|[#@)\]}]|(?:import|from|def|async|class|if|elif|else|for|while|try|except|finally|with|"
    r"assert|return|pass|raise|global|del|print)\b|[\w.\[\]'\", ]+[=(]|$"
)
_END_OF_TEXT = re.compile(r"<\|(?:endoftext|im_end|eot_id)\|>|</s>")


class CodeConfig(TaskConfig):
    """How a programming problem is put."""

    ask: Literal["instruction", "completion"] = "instruction"
    """`instruction`: a request for the whole function, for chat models. `completion`: the bare
    prompt, which a base model goes on writing; replies then end at STOPS."""


def defines(code: str, name: str) -> bool:
    """Whether a function, class or value of that name is made at the top level."""
    word = re.escape(name)
    return bool(
        re.search(rf"^(?:async\s+def|def|class)\s+{word}\b|^{word}\s*(?::[^=\n]+)?=", code, re.M)
    )


def find_code(text: str, names: Sequence[str], prompt: str) -> tuple[str, bool] | None:
    """The program in a reply, and whether it went on to the reply's very end, where a reply that
    was cut is incomplete. None: there is nothing but white space.

    names: what it must define. prompt: code that a bare continuation continues; a whole function
    gets what stands there before its own, such as imports, which models rarely repeat.
    """
    first = re.search(rf"^(?:async\s+)?def\s+{re.escape(names[0])}\b", prompt, re.MULTILINE)
    before = prompt[: first.start()] if first else ""
    text = _END_OF_TEXT.split(cut_reasoning(text), maxsplit=1)[0]
    if not text.strip():
        return None
    fences = list(_FENCE.finditer(text))
    for match in reversed(fences):
        content = _content(match)
        if all(defines(content, name) for name in names):
            return _behind(before, content), match.end("content") == len(text)
    if not fences and all(defines(text, name) for name in names):
        code, is_open = _unfenced(text)
        return _behind(before, code), is_open
    if fences:
        # No more than a function's body, which has its own indentation or the fence's.
        body = _content(fences[-1])
        body = body if body[:1].isspace() else fences[-1]["content"]
        return prompt + body, fences[-1].end("content") == len(text)
    ends = [at for stop in STOPS if (at := text.find(stop)) >= 0]
    body = text[: min(ends, default=len(text))]
    return prompt + body, not ends


def _content(fence: re.Match[str]) -> str:
    """Without the fence's own indentation, as CommonMark has it (0.31, section 4.5), unless the
    content was not indented with the fence.
    """
    indent, content = fence["indent"], fence["content"]
    if not indent or not content.lstrip("\n").startswith(indent):
        return content
    return re.sub(rf"^[ \t]{{1,{len(indent)}}}", "", content, flags=re.MULTILINE)


def _behind(before: str, code: str) -> str:
    """Nothing may stand before an import from the future."""
    return code if "from __future__ import" in code else before + code


def _unfenced(text: str) -> tuple[str, bool]:
    """From the first line of code to the first line of prose behind it."""
    first = _FIRST_CODE.search(text)
    lines = text[first.start() if first else 0 :].splitlines(keepends=True)
    for number, line in enumerate(lines):
        if not _CODE_LINE.match(line):
            return "".join(lines[:number]), False
    return "".join(lines), True


class CodeTask(RowTask[ConfigT]):
    """A task whose items are programming problems. `Item.reference` holds, as JSON, all that
    grading needs: `names`, `tests`, `context` (see `Program`) and `prompt`, the code that a bare
    continuation continues.
    """

    runs_code = True
    stops: ClassVar[tuple[str, ...]] = STOPS
    """Of replies that go on writing a prompt."""

    @abstractmethod
    def solution(self, row: Row) -> str | None:
        """A whole program that is right; None: the row has none."""

    def solutions(self) -> Iterator[tuple[Item, str]]:
        """Every item that comes with a right program, and that."""
        for row in self.source.rows():
            found = self.solution(row)
            if found is not None:
                yield self.item(row), found

    def program(self, item: Item, text: str, finish_reason: FinishReason) -> Program | None:
        """See `base.Task`."""
        problem = json.loads(item.reference)
        found = self.find(text, problem["names"], problem["prompt"])
        if found is None:
            return None
        return Program(
            source=found[0],
            names=tuple(problem["names"]),
            tests=problem["tests"],
            context=problem["context"],
            is_cut=found[1] and finish_reason == "length",
        )

    def find(self, text: str, names: Sequence[str], prompt: str) -> tuple[str, bool] | None:
        """See `find_code`."""
        return find_code(text, names, prompt)

    def grade(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        """Of a text without a program."""
        cut = finish_reason == "length"
        none = tuple((metric, 0.0) for metric in self.metrics)
        return Grade(answer=None, outcome="truncated" if cut else "no_answer", metrics=none)


def reference(*, names: Sequence[str], tests: str, context: str = "", prompt: str = "") -> str:
    """See `CodeTask`."""
    parts = {"names": list(names), "tests": tests, "context": context, "prompt": prompt}
    return json.dumps(parts, ensure_ascii=False)
