"""What became of the candidates of each member and decoding."""

from collections import Counter
from dataclasses import dataclass

from results.pools import pool_of
from results.schema import OUTCOMES, CandidateRecord, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """`OutcomeRow(member="small", decoding="greedy", outcomes={"correct": 61, "wrong": 39})`."""

    member: str
    decoding: str
    outcomes: dict[str, int]
    """All of `OUTCOMES`; they add up to the candidates."""


class Outcomes:
    """`add` every record, then read `rows`."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Counter[str]] = {}

    def add(self, record: Record) -> None:
        """Take in one record."""
        for candidate in record.candidates:
            self._counts.setdefault(whose(candidate), Counter())[candidate.outcome] += 1

    def rows(self) -> tuple[OutcomeRow, ...]:
        """By member and decoding."""
        return tuple(
            OutcomeRow(
                member=member,
                decoding=decoding,
                outcomes={outcome: counts[outcome] for outcome in OUTCOMES},
            )
            for (member, decoding), counts in sorted(self._counts.items())
        )


def whose(candidate: CandidateRecord) -> tuple[str, str]:
    """Member and decoding; of a conversation, which several members write, the arm."""
    if pool_of(candidate):
        return candidate.member, candidate.arm
    return candidate.arm or candidate.member, candidate.decoding
