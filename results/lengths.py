"""How long candidates are, and how often those of a length are right.

Lengths are put into classes whose bounds grow by the square root of 2, so that a class is some 40 %
wide wherever it lies, and memory doesn't grow with the records.
"""

from dataclasses import dataclass
from math import ceil, log2

from results.outcomes import whose
from results.schema import Record
from results.streams import Stream

GIVEN = ("choice", "given", "conversation")
"""Decodings of what a model didn't write as its one reply to the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthRow:
    """Candidates of one length, of one member and decoding.

    LengthRow(member="small", decoding="sample", unit="tokens", shortest=23, longest=31,
              value=0.41, low=0.36, high=0.46, candidates=812)
    """

    member: str
    decoding: str
    unit: str
    """`tokens`, or `characters` where the engine counted none."""
    shortest: int
    longest: int
    value: float
    """Share of them that is right."""
    low: float
    """Of the 95 % interval, like `high`."""
    high: float
    candidates: int


class Lengths:
    """`add` every record, then read `rows`. Candidates without a verdict are passed over."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, str, str, int], Stream] = {}

    def add(self, record: Record) -> None:
        """Take in one record."""
        sums: dict[tuple[str, str, str, int], list[int]] = {}
        for candidate in record.candidates:
            if candidate.correct is None or candidate.decoding in GIVEN:
                continue
            known = candidate.tokens is not None
            length = candidate.tokens if candidate.tokens is not None else len(candidate.text)
            unit = "tokens" if known else "characters"
            key = (*whose(candidate), unit, _class(length))
            both = sums.setdefault(key, [0, 0])
            both[0] += 1
            both[1] += candidate.correct
        for key, (number, right) in sums.items():
            self._streams.setdefault(key, Stream()).add(record, number, right)

    def rows(self) -> tuple[LengthRow, ...]:
        """By member, decoding and length."""
        rows = []
        for member, decoding, unit, number in sorted(self._streams):
            value, interval, count = self._streams[member, decoding, unit, number].mean()
            rows.append(
                LengthRow(
                    member=member,
                    decoding=decoding,
                    unit=unit,
                    shortest=_bound(number) if number else 0,
                    longest=_bound(number + 1) - 1,
                    value=value,
                    low=interval.low,
                    high=interval.high,
                    candidates=count,
                )
            )
        return tuple(rows)


def _class(length: int) -> int:
    """The number of the class; the first holds 0 and 1."""
    return int(2 * log2(max(length, 1)))


def _bound(number: int) -> int:
    """The smallest length in a class."""
    return ceil(2 ** (number / 2))
