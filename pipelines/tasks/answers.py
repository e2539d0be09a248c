r"""Numbers in replies: find the answer, make it canonical, compare it exactly.

The search, in order: the first `#### n`, the last `\boxed{n}`, the last "answer is n", the last
number. What isn't one single number (a range, a ratio, an unfinished sum) is no answer: nothing is
guessed. A percent sign, a currency and a unit are dropped: "50%" answers 50, as GSM8K's own gold
answers have it.
Source: Cobbe et al., Training Verifiers to Solve Math Word Problems, arXiv:2110.14168 (`####`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from actors.types import FinishReason
from pipelines.tasks.base import Grade
from pipelines.tasks.replies import final_part, last_boxed

Marker = Literal["hashes", "boxed", "phrase", "last"]

METRICS = ("accuracy", "accuracy_strict")
"""`accuracy` takes any marker; `accuracy_strict` takes an explicit `#### n` only."""

MAX_DIGITS = 100
"""A longer number is a run of digits, not an answer."""

_CURRENCY = "$€£¥₹"
_CHARACTERS = {
    **dict.fromkeys(map(ord, "−﹣-‒–"), "-"),
    **dict.fromkeys(map(ord, "\u00a0\u2009\u202f"), " "),
    **{ord("×"): "*", ord("÷"): "/", ord("½"): " 1/2", ord("¼"): " 1/4", ord("¾"): " 3/4"},
}
_THIN_GROUPS = re.compile("(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3}(?![0-9]))")
_FRACTION = re.compile(
    r"\\[dt]?frac\s*(?:\{\s*(-?[0-9.,]+)\s*\}\s*\{\s*([0-9.,]+)\s*\}|([0-9])([0-9]))"
)
_MARKUP = (
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\(?:times|cdot)(?![a-z])"), "*"),
    (re.compile(r"\\([%$])"), r"\1"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[,!;:]"), ""),
    (re.compile(r"\\[()\[\]]|\*\*|__|`"), " "),
    (re.compile(r"(?<=[A-Za-z])\^(?:[0-9]|\{[0-9]\})"), ""),
)

_NUMBER = re.compile(
    rf"""
    (?: (?<![\w)\]%]) (?P<minus>[-+]) )?
    (?: [{_CURRENCY}] [ ]? (?P<inner>-)? )?
    (?<! [\w.] )
    (?: (?P<whole>[0-9]{{1,9}}) [ ]+ (?=[0-9]+/[0-9]) )?
    (?P<number> (?: [0-9]{{1,3}} (?:,[0-9]{{2,3}}){{0,8}} ,[0-9]{{3}} | [0-9]+ ) (?:\.[0-9]+)?
              | \.[0-9]+ )
    (?! [0-9] )
    (?: [eE] (?P<power>[-+]?[0-9]{{1,2}}) (?![0-9A-Za-z]) )?
    (?: [ ]?/[ ]? (?P<under>[0-9]+(?:\.[0-9]+)?) )?
    (?! (?:st|nd|rd|th)\b )
    """,
    re.VERBOSE,
)
_LEAD = re.compile(
    rf"""
    [\s:=*_~≈"'(\[{{]*
    (?: (?:about|approximately|around|exactly|simply|just|therefore|thus|[A-Za-z][ ]?=) [\s:]* )?
    (?: (?:USD|US|EUR|GBP|INR|Rs\.?)(?=[ {_CURRENCY}]) [ ]* )?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HASHES = re.compile(r"####(?![ \t]*[0-9]{1,2}[.)][ \t]+[A-Za-z])")
_PHRASE = re.compile(r"\banswer\b[^.\n0-9=:]{0,40}?(?:\b(?:is|equals)\b|[:=])", re.IGNORECASE)

_UNIT = r"[%)]?(?:[ ]?[A-Za-z]{1,14})?"
_JOIN = r"(?:[ ]*(?:[-+*/^]|\bx\b|\bto\b|\bor\b)[ ]*|[:,])"
_OPENING = rf"[{_CURRENCY}({{]*"
_JOINED_AFTER = re.compile(rf"{_UNIT}(?:{_JOIN}{_OPENING}\.?[0-9]|\.[0-9])", re.IGNORECASE)
_JOINED_BEFORE = re.compile(
    rf"[0-9]{_UNIT}{_JOIN}{_OPENING}$|\bbetween[ ]\S{{1,15}}[ ]and[ ]{_OPENING}$", re.IGNORECASE
)
_MAY_GO_ON = ".,:/^eE+-"
"""After a number at the very end of a text that was cut, these don't prove that it was whole."""


@dataclass(frozen=True, slots=True)
class Found:
    """One number and what marked it as the answer: `Found(Fraction(29), "hashes")`."""

    value: Fraction
    marker: Marker


@dataclass(frozen=True, slots=True)
class _Reading:
    """A number where one was expected; `value` None: something there, but not one number."""

    value: Fraction | None
    rest: str


def find_number(text: str, *, cut: bool = False) -> Found | None:
    """Find the answer in the final part of a reply (see `replies.final_part`).

    Where the text was `cut` by a token limit, only an explicit marker counts, and only if its
    number was complete before the cut.
    """
    text = _plain(text)
    for marker, reading in _explicit(text):
        whole = marker == "boxed" or reading.rest.lstrip(_MAY_GO_ON) != ""
        if reading.value is None or (cut and not whole):
            return None
        return Found(reading.value, marker)
    value = None if cut else _last_number(text)
    return None if value is None else Found(value, "last")


def read_number(text: str) -> Fraction | None:
    """Read a text that starts with its number, such as a gold answer or a box's content."""
    reading = _read(_plain(text).rpartition("=")[2])
    return reading.value if reading else None


def canonical_number(value: Fraction) -> str:
    """Write a number in the one way that stands for all: "29", "-0.75", "1/3"."""
    under, places = value.denominator, 0
    while under % 10 == 0:
        under, places = under // 10, places + 1
    for prime in (2, 5):
        while under % prime == 0:
            under, places = under // prime, places + 1
    if under != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
    sign = "-" if value < 0 else ""
    if not places:
        return sign + digits
    return f"{sign}{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")


def grade_number(gold: str, text: str, finish_reason: FinishReason) -> Grade:
    """Grade one reply against a canonical number under METRICS."""
    cut = finish_reason == "length"
    found = find_number(final_part(text), cut=cut)
    if found is None:
        credit = tuple((name, 0.0) for name in METRICS)
        return Grade(answer=None, outcome="truncated" if cut else "no_answer", metrics=credit)
    correct = found.value == Fraction(gold)
    strict = correct and found.marker == "hashes"
    return Grade(
        answer=canonical_number(found.value),
        outcome="correct" if correct else "wrong",
        metrics=tuple(zip(METRICS, (float(correct), float(strict)), strict=True)),
    )


def _plain(text: str) -> str:
    """Undo markup and typography, so that the patterns meet plain digits and signs."""
    text = _FRACTION.sub(_plain_fraction, _THIN_GROUPS.sub("", text).translate(_CHARACTERS))
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return text


def _plain_fraction(match: re.Match[str]) -> str:
    over, under = match[1] or match[3], match[2] or match[4]
    after_digit = match.start() and match.string[match.start() - 1].isdigit()
    return f"{' ' if after_digit else ''}{over}/{under}"


def _explicit(text: str) -> Iterator[tuple[Marker, _Reading]]:
    """Yield what stands at explicit markers, the most trusted first."""
    for match in _HASHES.finditer(text):
        line = text[match.end() :].partition("\n")
        if reading := _read(line[0]):
            yield "hashes", _Reading(reading.value, reading.rest + line[1])
    boxed = last_boxed(text)
    if boxed is not None:
        # A box without a number is an answer too, and not one that a later number may replace.
        yield "boxed", _read(boxed.rpartition("=")[2]) or _Reading(None, "")
    for match in reversed(list(_PHRASE.finditer(text))):
        if reading := _read(text[match.end() :]):
            yield "phrase", reading


def _read(text: str) -> _Reading | None:
    """Read the number at the start of a text, or the result of the sum that starts there."""
    lead = _LEAD.match(text)
    match = _NUMBER.match(text, lead.end() if lead else 0)
    if not match:
        return None
    if not _JOINED_AFTER.match(text, match.end()):
        return _Reading(_value(match), text[match.end() :])
    line, newline, _ = text[match.end() :].partition("\n")
    _, equals, result = line.rpartition("=")
    reading = _read(result + newline) if equals else None
    return reading or _Reading(None, "")


def _last_number(text: str) -> Fraction | None:
    last = None
    for last in _NUMBER.finditer(text):  # noqa: B007  the last one is what is wanted
        pass
    if last is None or _JOINED_AFTER.match(text, last.end()):
        return None
    # Enough to see a number, its unit and what joins it to the last one.
    before = text[max(0, last.start() - 60) : last.start()]
    return None if _JOINED_BEFORE.search(before) else _value(last)


def _value(match: re.Match[str]) -> Fraction | None:
    if len(match[0]) > MAX_DIGITS:
        return None
    value = Fraction(match["number"].replace(",", "")) * Fraction(10) ** int(match["power"] or 0)
    under = Fraction(match["under"] or 1)
    if under == 0:
        return None
    value = value / under + int(match["whole"] or 0)
    return -value if "-" in (match["minus"], match["inner"]) else value
