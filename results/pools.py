"""Pools of a study: the candidates of one member under one decoding, and what they are called.

    `best_of:armo of llama t=0.7,p=0.9,r=1`      method, member, decoding (temperature, top-p,
                                                 repetition penalty); `t=0` is greedy

A run that draws one pool per item, such as of pipeline `rank`, has no such names.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol, Self

from results.schema import CandidateRecord

OF = " of "
"""Between a method and the pool that it is shown."""
PREFIX = "prefix "
"""In front of a method that is shown the first k draws, not every k-subset of them."""

TOKENS, CHARACTERS, TRUNCATED, DUPLICATES = "tokens", "characters", "truncated", "duplicates"
LENGTHS = frozenset({TOKENS, CHARACTERS})
"""Metrics that are no credit: the length of a reply, in the member's own tokens and in
characters."""
ABOUT_TEXTS = LENGTHS | {TRUNCATED, DUPLICATES}
"""Metrics that say nothing of what is right: of a pool's replies to an item the mean length, the
share that the token limit cut, and the share that repeats an earlier draw's text."""


class Decoding(NamedTuple):
    """How replies are decoded: `Decoding(0.7, 0.9, 1.0)`, written `t=0.7,p=0.9,r=1`."""

    temperature: float = 1.0
    """0: greedy."""
    top_p: float = 1.0
    repetition_penalty: float = 1.0

    def __str__(self) -> str:
        # As many digits as a float has for certain: what differs is called differently.
        numbers = zip("tpr", self, strict=True)
        return ",".join(f"{name}={number:.15g}" for name, number in numbers)

    @classmethod
    def read(cls, text: str) -> Self:
        """From what `str` makes of one."""
        return cls(*(float(part.partition("=")[2]) for part in text.split(",")))

    @property
    def greedy(self) -> Self:
        """The greedy decoding that it is compared with: of the same penalty."""
        return type(self)(0.0, 1.0, self.repetition_penalty)


class Named(NamedTuple):
    """A name of a method or a role, taken apart."""

    method: str
    member: str = ""
    decoding: str = ""

    def __str__(self) -> str:
        return f"{self.method}{self.behind}"

    @property
    def behind(self) -> str:
        """What its pool puts behind it."""
        return f"{OF}{self.member} {self.decoding}" if self.decoding else ""

    @property
    def pool(self) -> str:
        """As `pool_of` says it."""
        return self.behind.removeprefix(OF)

    @classmethod
    def read(cls, text: str) -> Self:
        """From what `str` makes of one. Without a pool it is all method."""
        method, _, pool = text.partition(OF)
        member, _, decoding = pool.rpartition(" ")
        # Any other text behind OF is part of somebody's name for a model or a scorer.
        return cls(method, member, decoding) if decoding.startswith("t=") else cls(text)


class Drawn(Protocol):
    """A candidate, as far as its pool goes."""

    @property
    def member(self) -> str: ...

    @property
    def decoding(self) -> str: ...

    @property
    def arm(self) -> str: ...


def pool_of(candidate: Drawn) -> str:
    """What stands behind OF for its pool; empty: it is in none."""
    studied = candidate.arm and candidate.decoding in ("greedy", "sample")
    return f"{candidate.member} {candidate.arm}" if studied else ""


def pools(candidates: Iterable[CandidateRecord]) -> dict[str, list[CandidateRecord]]:
    """By name, in the order in which they first came; candidates in none are passed over."""
    found: dict[str, list[CandidateRecord]] = {}
    for candidate in candidates:
        if name := pool_of(candidate):
            found.setdefault(name, []).append(candidate)
    return found
