r"""Cut a reply down to the part that holds its answer, before any task looks for that answer.

    reply -> without its reasoning -> without an invented next question -> the task's own extraction

Small models, base models above all, go on after their answer: they invent the next question and
answer that too.
"""

import re

from actors.types import cut_reasoning

_SPECIAL = r"<\|[a-z_]+\|>|</?s>|<(?:start|end)_of_turn>|\[/?INST\]"
_HEADING = (
    r"\n[#*_> \t]*(?:(?:next|new|another)[ ]+)?"
    r"(?:question|q|human|user|problem|instruction)[ ]*[0-9]{0,4}[*_]*[ ]?[:.]"
)
_RUN_ON = re.compile(rf"{_SPECIAL}|{_HEADING}", re.IGNORECASE)

_BRACES = re.compile(r"(?P<boxed>\\boxed\s*\{)|\\.|(?P<open>\{)|(?P<close>\})", re.DOTALL)


def final_part(text: str) -> str:
    """Return the text without its reasoning, up to an invented next question.

    Empty: the reasoning never ended. A part that was cut at a next question ended by itself, and
    is closed by a newline, so that a number at its end isn't taken for one that was cut short.
    """
    answer = cut_reasoning(text)
    part = cut_run_on(answer)
    return part if part == answer else f"{part}\n"


def cut_run_on(text: str) -> str:
    """Cut at the first end-of-turn token or heading such as `Question:` that follows other text.

    A reply may open by repeating its question, so a heading at the very start is left alone.
    """
    written = len(text) - len(text.lstrip())
    for match in _RUN_ON.finditer(text):
        if match.start() > written:
            return text[: match.start()]
    return text


def last_boxed(text: str) -> str | None:
    r"""Return the content of the last `\boxed{...}` whose braces balance, in linear time.

    Of nested boxes it is the innermost. None: there is no such box.
    """
    openings: list[int | None] = []
    best: tuple[int, str] | None = None
    for match in _BRACES.finditer(text):
        if match["boxed"]:
            openings.append(match.end())
        elif match["open"]:
            openings.append(None)
        elif match["close"] and openings:
            start = openings.pop()
            if start is not None and (best is None or start > best[0]):
                best = (start, text[start : match.start()])
    return best[1] if best else None
