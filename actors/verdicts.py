"""What a judge has decided: from its reply to one verdict of a closed set, or to none.

    reply --without a thought--> lines and sentences --the last one with a verdict--> verdict

A verdict stands in a given form, such as `[[{verdict}]]` or `Score: {verdict}`; nothing else in the
reply is looked at. Where the form doesn't end by itself, the verdict must end its line or sentence.
Two different verdicts in one sentence are none, and so is one outside the set, and a line that
quotes (`>`). A reply that was cut loses its last sentence: `Score: 1` may have been the beginning
of `Score: 10`.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial

from actors.types import FinishReason, cut_reasoning

Reader = Callable[[str, FinishReason], float | None]
"""Reply, and how it ended -> verdict."""

MARKUP = r"[*_`\s]*"
"""May stand between the words of a form, and around a verdict."""
SENTENCE = re.compile(r"(?<=[.!?])\s+")
NUMBER = r"[-+]?\d+(?:[.,]\d+)*"


def labels(form: str, allowed: Sequence[str]) -> Reader:
    """Reads which of the labels is given, as its position; capitals don't matter."""
    known = {label.casefold(): float(place) for place, label in enumerate(allowed)}
    # The longest first: `A>>B` begins with an `A`. Any other word is a verdict outside the set.
    words = "|".join([*map(re.escape, sorted(allowed, key=len, reverse=True)), r"\w+"])
    return partial(_read, _pattern(form, words, tail=""), lambda word: known.get(word.casefold()))


def scale(form: str, low: float, high: float) -> Reader:
    """Reads a number from low to high, whole or not; `/ HIGH`, `out of HIGH` and `points` may
    follow.
    """
    tail = rf"(?:{MARKUP}(?:/|out of){MARKUP}{high:g})?(?:\s*points?)?"

    def value(number: str) -> float | None:
        try:
            found = float(number)
        except ValueError:
            return None
        return found if low <= found <= high else None

    return partial(_read, _pattern(form, NUMBER, tail), value)


def _pattern(form: str, verdict: str, tail: str) -> re.Pattern[str]:
    """Group 1 is the verdict; group 2 is there where it ends as the form says."""
    head, _, end = form.partition("{verdict}")
    closing = rf"{MARKUP}{_spaced(end)}" if end.strip() else r"[.!)*_`\s]*\Z"
    start = r"(?<!\w)" if head[:1].isalnum() else ""
    return re.compile(
        rf"{start}{_spaced(head)}{MARKUP}({verdict})({tail}{closing})?", re.IGNORECASE
    )


def _spaced(text: str) -> str:
    """Its words and signs, with markup between them."""
    return MARKUP.join(map(re.escape, re.findall(r"\w+|[^\w\s]", text)))


def _read(
    pattern: re.Pattern[str],
    value: Callable[[str], float | None],
    reply: str,
    finish_reason: FinishReason,
) -> float | None:
    sentences = [
        sentence
        for line in cut_reasoning(reply).splitlines()
        if not line.lstrip().startswith(">")
        for sentence in SENTENCE.split(line)
    ]
    if finish_reason == "length":
        sentences = sentences[:-1]
    for sentence in reversed(sentences):
        if found := list(pattern.finditer(sentence)):
            verdicts = {value(match[1]) for match in found}
            return verdicts.pop() if len(verdicts) == 1 and found[-1][2] is not None else None
    return None
