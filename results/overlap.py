"""How often two methods give the same answer, each choosing from all draws of the same pool.

Two methods of the same accuracy may be right on the same items or on others: how often they agree
tells which, and what could be gained by knowing whom to follow.
"""

from dataclasses import dataclass
from itertools import combinations

from results.pools import Named
from results.schema import WITHOUT, AnswerRecord, Record
from results.streams import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapRow:
    """Two methods on the items where both have chosen a candidate.

    OverlapRow(first="greedy", second="majority", value=0.74, low=0.7, high=0.78, items=412)
    """

    first: str
    second: str
    value: float
    """Share of the items on which their answers are the same, none being an answer too."""
    low: float
    """Of the 95 % interval, like `high`."""
    high: float
    items: int


class Overlap:
    """`add` every record, then read `rows`."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, str], Stream] = {}

    def add(self, record: Record) -> None:
        """Take in one record."""
        for picks in chosen(record).values():
            for first, second in combinations(picks, 2):
                if first.answer is None and first.correct is None:
                    # Of an open-ended reply nobody reads an answer.
                    continue
                stream = self._streams.setdefault((first.method, second.method), Stream())
                stream.add(record, 1, first.answer == second.answer)

    def rows(self) -> tuple[OverlapRow, ...]:
        """In the order in which the methods came."""
        rows = []
        for (first, second), stream in self._streams.items():
            value, interval, items = stream.mean()
            rows.append(
                OverlapRow(
                    first=first,
                    second=second,
                    value=value,
                    low=interval.low,
                    high=interval.high,
                    items=items,
                )
            )
        return tuple(rows)


def chosen(record: Record) -> dict[str, list[AnswerRecord]]:
    """The answers under the headline metric that came of a choice from all candidates, by what
    they were chosen from: of a study its pools, else all draws, under an empty name."""
    found: dict[str, dict[str, AnswerRecord]] = {}
    for answer in record.answers:
        is_headline = answer.metric == record.answers[0].metric
        if answer.candidate is not None and is_headline and WITHOUT not in answer.method:
            # Of several draw sizes the largest, which comes last.
            found.setdefault(Named.read(answer.method).pool, {})[answer.method] = answer
    return {pool: list(answers.values()) for pool, answers in found.items()}
