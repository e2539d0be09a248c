"""What decoding does: of each pool the run scores and their spread, greedy against the draws, and
what the texts are like.

    records (one pass) --> sums of each run's credits, by pool, metric and category --> Spread
    Table (the same pass) --> means over items, paired differences, lengths          --> DecodingRow

greedy            the greedy candidate's mean credit
mean              of single draws, over items: also the mean of the run scores
std_ddof0         of the run scores, as published; descriptive
std               the same with ddof 1, with its interval by chi-square
best, worst       run; and delta, their difference. Descriptive: they grow with the number of runs
bound             the largest std that runs of independent items can have at this mean
independent_std   the std that independent items would have, by how much each item's credit varies
greedy_minus_mean paired by item
tokens, characters, truncated, duplicates
                  length of a reply, share cut by the token limit, share that repeats a draw before

Rows without `low` and `high` are descriptive. Memory: a number for each run, pool, metric and
category; items are let go.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from results.between_runs import Spread, std_interval, within_item
from results.columns import Key
from results.differences import Difference
from results.errors import ResultsError
from results.pools import ABOUT_TEXTS, Decoding, Named, pools
from results.resampling import Floats
from results.schema import Record
from results.table import Mean, Table

SURE = 0.999
"""Level at which a spread is said to be more than chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingRow:
    """One figure of one pool.

    DecodingRow(member="llama", decoding="t=1,p=1,r=1", temperature=1.0, top_p=1.0,
                repetition_penalty=1.0, category="", metric="accuracy", figure="std", value=0.011,
                low=0.0098, high=0.0126, items=1319, runs=128)
    """

    member: str
    decoding: str
    """`results.pools.Decoding`; also in its three parts."""
    temperature: float
    """0: greedy."""
    top_p: float
    repetition_penalty: float
    category: str
    """Empty: all items."""
    metric: str
    """Of the task; empty for figures about texts."""
    figure: str
    value: float
    low: float | None = None
    """Of the 95 % interval, like `high`; None: a descriptive figure."""
    high: float | None = None
    p: float | None = None
    """Of a difference."""
    items: int
    runs: int
    """Draws of each item; 1 for greedy."""
    above_bound: bool = False
    """Of a std: its whole interval is above what independent items allow."""


@dataclass(slots=True)
class _Sums:
    totals_S: Floats
    items: int = 0
    within: float = 0.0

    def add(self, credits_S: Floats) -> None:
        if len(credits_S) != len(self.totals_S):
            raise ResultsError(
                f"wanted {len(self.totals_S)} draws of every item in a pool, got {len(credits_S)}"
            )
        self.totals_S += credits_S
        self.items += 1
        self.within += within_item(credits_S)

    def spread(self) -> Spread:
        return Spread(self.totals_S, self.items, self.within)


class Decodings:
    """`add` every record, then read `rows`. Candidates in no pool are passed over."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], _Sums] = {}
        """By pool, metric and category."""
        self._any = False

    def add(self, record: Record) -> None:
        """Take in one record. As for the rankers, a draw without a verdict leaves its item out.

        Raises ResultsError where the draws of a pool are not equally many.
        """
        for name, pool in pools(record.candidates).items():
            self._any = True
            draws = [c for c in pool if c.decoding == "sample"]
            if not draws or not all(c.grade for c in draws):
                continue
            grades = [{g.metric: g.value for g in c.grade} for c in draws]
            for metric in grades[0]:
                credits_S = np.array([found[metric] for found in grades])
                for category in dict.fromkeys(("", record.category)):
                    empty = _Sums(np.zeros(len(draws)))
                    self._sums.setdefault((name, metric, category), empty).add(credits_S)

    def rows(self, table: Table, categories: Mapping[str, Table]) -> tuple[DecodingRow, ...]:
        """Of all items, then by category. table: of the same records, like those by category."""
        if not self._any:
            return ()
        every = {"": table, **categories}
        return tuple(row for name, one in every.items() for row in self._rows(name, one))

    def _rows(self, category: str, table: Table) -> Iterator[DecodingRow]:
        versus = table.differences("greedy", 0)
        for key, mean in table.means(_is_one_reply).items():
            method, metric, _ = key
            named = Named.read(method)
            pool, found = named.pool, self._sums
            sums = found.get((pool, metric, category)) if named.method == "first" else None
            # Figures about texts have no sums of their own; a pool's runs are as many in any.
            own = sums or next((s for k, s in found.items() if k[0] == pool), None)
            about = _about(named, category, mean, own.totals_S.size if own else 1)
            if metric in ABOUT_TEXTS:
                yield _measured(about, metric, mean)
                continue
            about["metric"] = metric
            yield _measured(about, "greedy" if sums is None else "mean", mean)
            if sums is not None:
                yield from _spread(about, sums.spread(), versus.get(key))


def doubts(rows: Iterable[DecodingRow]) -> list[str]:
    """One line for each pool whose runs, over all items and under the first metric, are surely (at
    SURE) further apart than independent items allow, or than its own items are if independent.
    """
    found: dict[tuple[str, str], dict[str, DecodingRow]] = {}
    for row in rows:
        if not row.category and row.metric:
            kept = found.setdefault((row.member, row.decoding), {})
            kept.setdefault(row.figure, row)
    return [line for figures in found.values() if (line := _doubt(figures))]


def _is_one_reply(key: Key) -> bool:
    named = Named.read(key[0])
    return bool(named.decoding) and named.method in ("greedy", "first")


def _about(named: Named, category: str, mean: Mean, runs: int) -> dict[str, Any]:
    """The fields that all rows of one column share."""
    return {
        "member": named.member,
        "decoding": named.decoding,
        **Decoding.read(named.decoding)._asdict(),
        "category": category,
        "metric": "",
        "items": mean.items,
        "runs": runs,
    }


def _measured(about: Mapping[str, Any], figure: str, mean: Mean) -> DecodingRow:
    interval = mean.interval
    return DecodingRow(
        **about, figure=figure, value=mean.value, low=interval.low, high=interval.high
    )


def _spread(
    about: Mapping[str, Any], spread: Spread, versus: Difference | None
) -> Iterator[DecodingRow]:
    figures = {"best": spread.best, "worst": spread.worst, "delta": spread.delta}
    if spread.runs > 1:
        std = spread.std(1)
        low, high = std_interval(std, spread.runs) or (None, None)
        yield DecodingRow(
            **about,
            figure="std",
            value=std,
            low=low,
            high=high,
            above_bound=low is not None and low > spread.bound,
        )
        figures |= {"std_ddof0": spread.std(0), "independent_std": spread.independent}
    for figure, value in {**figures, "bound": spread.bound}.items():
        yield DecodingRow(**about, figure=figure, value=value)
    if versus is not None:
        yield DecodingRow(
            **about,
            figure="greedy_minus_mean",
            value=-versus.value,
            low=-versus.high,
            high=-versus.low,
            p=versus.p,
        )


def _doubt(figures: Mapping[str, DecodingRow]) -> str:
    if (std := figures.get("std")) is None:
        return ""
    bound, expected = figures["bound"].value, figures["independent_std"].value
    surely = std_interval(std.value, std.runs, level=SURE)
    if surely is None or surely[0] <= min(bound, expected):
        return ""
    most = f"the {100 * bound:.2f} that independent items allow"
    if surely[0] <= bound:
        most = f"the {100 * expected:.2f} that its items have if they are independent"
    return (
        f"{std.member} at {std.decoding}: runs have a std of {100 * std.value:.2f} points, more "
        f"than {most}: the items of a run depend on each other, such as by one seed for all"
    )
