"""Checks of how a reply is written, where no gold answer says what is in it.

    checks:
      - {kind: words, at_least: 50, at_most: 100}
      - {kind: contains, text: "{keyword}"}          # once or more
      - {kind: contains, text: ",", at_most: 0}
      - {kind: json}

Every kind counts something in the reply, and the check is met where that is within its bounds.

Source: Zhou et al., Instruction-Following Evaluation, arXiv:2311.07911 (verifiable instructions;
strict accuracy by prompt and by instruction).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import regex
from pydantic import Field, model_validator

from actors.config import StrictConfig

PATTERN_SECONDS = 2.0
"""That a pattern may take in a reply: some take for ever."""
_SENTENCE_END = re.compile(r"[.!?]+(?=\s|\Z)")
_FENCED = re.compile(r"\A```\w*\n(.*)```\Z", re.DOTALL)


def _is_json(reply: str, text: str) -> int:
    fenced = _FENCED.match(reply)
    try:
        json.loads(fenced[1] if fenced else reply, parse_int=str, parse_constant=_refused)
    except (ValueError, RecursionError):
        return 0
    return 1


def _refused(name: str) -> None:
    raise ValueError(f"{name} is Python's, not JSON's")


def _sentences(reply: str, text: str) -> int:
    return sum(1 for part in _SENTENCE_END.split(reply) if part.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a check of a kind counts in a reply, given the check's text."""

    count: Callable[[str, str], int]
    reads: bool = False
    """It needs a text."""
    is_number: bool = False
    """It is there in any reply, so one of both bounds must be said."""
    is_fact: bool = False
    """It is so, 1, or it isn't, 0: the only bound that says something is `at_most: 0`."""


KINDS: Mapping[str, Kind] = {
    "contains": Kind(count=lambda r, t: r.casefold().count(t.casefold()), reads=True),
    "pattern": Kind(
        count=lambda r, t: sum(
            1 for _ in regex.finditer(t, r, regex.MULTILINE, timeout=PATTERN_SECONDS)
        ),
        reads=True,
    ),
    "starts_with": Kind(
        count=lambda r, t: r.casefold().startswith(t.casefold()), reads=True, is_fact=True
    ),
    "ends_with": Kind(
        count=lambda r, t: r.casefold().endswith(t.casefold()), reads=True, is_fact=True
    ),
    "json": Kind(count=_is_json, is_fact=True),
    "lowercase": Kind(count=lambda r, t: r.islower(), is_fact=True),
    "uppercase": Kind(count=lambda r, t: r.isupper(), is_fact=True),
    "characters": Kind(count=lambda r, t: len(r), is_number=True),
    "words": Kind(count=lambda r, t: len(re.findall(r"\w+", r)), is_number=True),
    "sentences": Kind(count=_sentences, is_number=True),
    "lines": Kind(
        count=lambda r, t: sum(1 for line in r.splitlines() if line.strip()), is_number=True
    ),
    "paragraphs": Kind(
        count=lambda r, t: sum(1 for part in re.split(r"\n\s*\n", r) if part.strip()),
        is_number=True,
    ),
}
"""Texts are compared without regard to capitals, but for patterns, whose `^` and `$` are those of
lines. Lines, sentences and paragraphs are counted where there is something in them."""


class Check(StrictConfig):
    """One check, as a config or a row has it."""

    kind: Literal[
        "contains", "pattern", "starts_with", "ends_with", "json", "lowercase", "uppercase",
        "characters", "words", "sentences", "lines", "paragraphs",
    ]  # fmt: skip
    text: str | None = Field(None, min_length=1)
    """Of `contains`, `starts_with` and `ends_with`; of `pattern` the regular expression."""
    at_least: int | None = Field(None, ge=0)
    """1 where neither bound is given."""
    at_most: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        spec = KINDS[self.kind]
        if spec.reads != (self.text is not None):
            wanted = "wanted a text" if spec.reads else "wanted no text"
            raise ValueError(f"{self.kind}: {wanted}, got {self.text!r}")
        bounds = (self.at_least, self.at_most)
        if spec.is_number and bounds == (None, None):
            raise ValueError(f"{self.kind}: wanted at_least or at_most, got neither")
        if spec.is_fact and bounds not in ((None, None), (None, 0)):
            raise ValueError(f"{self.kind}: wanted at_most: 0 for its opposite, or no bounds")
        if spec.is_number and self.at_most == 0:
            raise ValueError(f"{self.kind}: at_most 0 is never met, no reply has none")
        if bounds == (0, None):
            raise ValueError(f"{self.kind}: at_least 0 is always met, every reply has at least 0")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"{self.kind}: at_least {self.at_least} is above {self.at_most}")
        if self.kind == "pattern":
            try:
                regex.compile(self.text or "")
            except regex.error as error:
                raise ValueError(f"pattern isn't a regular expression: {error}") from None
        return self

    def holds(self, reply: str) -> bool:
        """Whether a reply meets it. An empty one meets nothing. Raises TimeoutError for a pattern
        that takes too long.
        """
        reply = reply.strip()
        number = KINDS[self.kind].count(reply, self.text or "")
        least = self.at_least if self.at_least is not None else int(self.at_most is None)
        return bool(reply) and least <= number and (self.at_most is None or number <= self.at_most)


def plain(checks: Sequence[Check]) -> str:
    """As an item's reference keeps them."""
    return json.dumps([check.model_dump(exclude_none=True) for check in checks])


def read(reference: str) -> list[Check]:
    """From what `plain` makes of them."""
    found: list[Any] = json.loads(reference)
    return [Check(**one) for one in found]
