"""What each figure would be, were all that is missing as bad or as good as can be.

    records (one pass) --by method, metric, k--> sums of the least and the most credit --> Bound

Missing from a figure are the items that failed, those never committed, and those that came out but
have no such answer because something of theirs has no verdict: such an item counts 0 or 1. Where an
item has the answer, but its scorer gave no verdict on m of the N draws, a verdict could only change
what is chosen from subsets that hold such a draw: the credit moves by at most their share,

    1 - C(N - m, k) / C(N, k)

and where a score holds for all draws together by 1. Bounds, not intervals: they say nothing of the
spread over items. They need no assumption about why something is missing.

Source: Manski, "Nonparametric Bounds on Treatment Effects", 1990 (worst-case bounds).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scipy.special import comb

from results.columns import Key, scorer_of
from results.figure import Figure
from results.pools import PREFIX, Named, pool_of
from results.schema import UNBOUNDED, AnswerRecord, CandidateRecord, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Of one figure: `Bound(missing=12, lowest=0.604, highest=0.613)`."""

    missing: int
    """Items."""
    lowest: float
    highest: float


class Bounds:
    """`add` every record, then ask for the bound `of` a figure. Some numbers for each of these."""

    def __init__(self) -> None:
        self._asked = 0
        self._failed = 0
        self._gaps = 0
        """Items that came out, with something that has no verdict."""
        self._answered: Counter[Key] = Counter()
        self._answered_gaps: Counter[Key] = Counter()
        self._lowest: dict[Key, float] = {}
        self._highest: dict[Key, float] = {}

    def add(self, record: Record) -> None:
        """Take in one record."""
        self._asked += 1
        if record.outcome != "ok":
            self._failed += 1
            return
        has_gap = any(map(_lacks_verdict, record.candidates))
        self._gaps += has_gap
        draws = [candidate for candidate in record.candidates if candidate.decoding == "sample"]
        sizes = Counter(map(pool_of, draws))
        unscored = Counter(
            (pool_of(draw), s.scorer) for draw in draws for s in draw.scores if s.value is None
        )
        for answer in record.answers:
            key = (answer.method, answer.metric, answer.k)
            slack = _slack(answer, unscored, sizes) if unscored else 0.0
            self._answered[key] += 1
            self._answered_gaps[key] += has_gap
            low, high = max(answer.value - slack, 0.0), min(answer.value + slack, 1.0)
            self._lowest[key] = self._lowest.get(key, 0.0) + low
            self._highest[key] = self._highest.get(key, 0.0) + high

    def of(self, key: Key, asked: int | None = None) -> Bound | None:
        """Of a figure that some item has; None for a metric without bounds. asked: all items that
        the run was asked for, where those are more than there are records.
        """
        if key[1] in UNBOUNDED:
            return None
        uncommitted = max((asked or 0) - self._asked, 0)
        missing = uncommitted + self._failed + self._gaps - self._answered_gaps[key]
        total = self._answered[key] + missing
        return Bound(
            missing=missing,
            lowest=self._lowest[key] / total,
            highest=(self._highest[key] + missing) / total,
        )


class Bounded(Figure, Protocol):
    """A row of the summary."""

    @property
    def if_lowest(self) -> float | None: ...

    @property
    def if_highest(self) -> float | None: ...


def is_open(row: Bounded) -> bool:
    """Something is missing that could move the figure."""
    if row.if_lowest is None or row.if_highest is None:
        return False
    return row.if_highest - row.if_lowest > 1e-12


def range_of(row: Bounded) -> str:
    """`60.4% to 61.3%`."""
    return f"{row.if_lowest:.1%} to {row.if_highest:.1%}"


def open_figures(rows: Sequence[Bounded]) -> list[str]:
    """One line about the figures of one metric, each method's at its largest k; none where nothing
    is missing.
    """
    largest = {row.method: row for row in sorted(rows, key=lambda row: row.k)}
    found = [f"{row.method} {range_of(row)}" for row in largest.values() if is_open(row)]
    if not found:
        return []
    case = "were all that is missing as bad or as good as can be"
    return [f"{rows[0].metric}, {case}: {', '.join(found)}"]


def _lacks_verdict(candidate: CandidateRecord) -> bool:
    """Of the grader, or of a scorer."""
    return not candidate.grade or any(score.value is None for score in candidate.scores)


def _slack(answer: AnswerRecord, unscored: Counter[tuple[str, str]], sizes: Counter[str]) -> float:
    """How far the answer's credit may be from what it would be with all verdicts. unscored: by pool
    and scorer, of how many of its draws it gave none. sizes: draws, by pool.
    """
    named = Named.read(answer.method.removeprefix(PREFIX))
    without, num = unscored[named.pool, scorer_of(named.method)], sizes[named.pool]
    if not without or not answer.k:
        return 0.0
    # Of the first k draws, it isn't known here which have no verdict.
    if answer.k >= num or answer.method.startswith(PREFIX):
        return 1.0
    return 1.0 - float(comb(num - without, answer.k) / comb(num, answer.k))
