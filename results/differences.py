"""Whether two methods or two runs differ: arrays in, numbers out, a seed as an argument.

    paired_differences       the same items under two methods      difference, interval, p, flips
    approximate_differences  the same from sums of a column
    unpaired_differences     other items under each                difference, interval, p
    mcnemar                  right-or-wrong pairs, exactly
    holm                     many p-values at once

Axes: `Q`, `P` item, `G` cluster of items, `C` column. NaN: this column has no value for the item.
Items that share a cluster are resampled, flipped and counted together.

Sources: Fisher 1935 (sign flips; the exact test of two shares); McNemar 1947; Welch 1947; Holm
1979; Newcombe 1998, Statistics in Medicine 17:873, method 10, and Zou & Donner 2008 (interval of a
difference from the intervals of its sides); Miller, arXiv 2411.00640 (paired differences).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, hypot
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from results.moments import Changes, Moments, changes, moments
from results.resampling import MAX_RESAMPLED, clusters, sign_flips, spread
from results.stats import (
    NEAR_BOUND,
    Interval,
    check_unit,
    clopper_pearson,
    filled_in,
    mean_intervals,
    normal_limits,
    quantile,
    still_open,
    wilson,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Values minus baseline: over the items that both have, or of unpaired ones over each's own.

    Difference(value=0.04, low=0.01, high=0.07, stderr=0.015, p=0.008, gains=30, losses=14,
               items=400)
    """

    value: float
    low: float
    high: float
    stderr: float
    p: float
    """Two-sided, for no difference."""
    gains: int | None
    """Items where the value is above the baseline; None, like `losses`, of unpaired ones."""
    losses: int | None
    items: int
    """Of unpaired ones, those of the side that has fewer."""


def paired_difference(
    values: ArrayLike,
    baseline: ArrayLike,
    *,
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """`paired_differences` of one column: values [Q], baseline [Q], groups [Q]."""
    return paired_differences(
        np.asarray(values, dtype=np.float64)[None, :],
        np.asarray(baseline, dtype=np.float64),
        groups=groups,
        level=level,
        num_resamples=num_resamples,
        seed=seed,
    )[0]


def paired_differences(
    values_CQ: ArrayLike,
    baseline_CQ: ArrayLike,
    *,
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> list[Difference]:
    """Mean of values minus baseline over the items that have both; baseline is [C, Q] or [Q].

    Credits are in [0, 1]. The interval is that of `mean_intervals` on the differences; with fewer
    than 10 differing clusters it is made of two Clopper-Pearson intervals (share gained, share
    lost) at half the error each, so no observed difference still says how large one might be.

    p is McNemar's exact test where both are 0 or 1 and every item stands for itself, else a
    sign-flip permutation test over clusters (all patterns up to 13 differing clusters, 9,999 random
    ones up to 5,000, its normal limit beyond).

    Raises ValueError for a column without common items and for values outside [0, 1].
    """
    values_CQ = np.asarray(values_CQ, dtype=np.float64)
    baseline_CQ = np.broadcast_to(np.asarray(baseline_CQ, dtype=np.float64), values_CQ.shape)
    check_unit(values_CQ, (0.0, 1.0))
    check_unit(baseline_CQ, (0.0, 1.0))
    delta_CQ = values_CQ - baseline_CQ
    sums_CG, counts_CG = clusters(delta_CQ, groups)
    columns = changes(delta_CQ, sums_CG, counts_CG)
    if sums_CG.shape[1] > MAX_RESAMPLED:
        return approximate_differences(columns, level=level, seed=seed)
    edges = [_edge_difference(column, level) for column in columns]
    resampled = spread(*still_open(edges, sums_CG, counts_CG), level, num_resamples, seed)
    return _differences(columns, filled_in(edges, resampled, lowest=-1.0), seed)


def approximate_differences(
    columns: Sequence[Changes], *, level: float = 0.95, seed: int = 0
) -> list[Difference]:
    """`paired_differences` as it is above 5,000 clusters."""
    edges = [_edge_difference(column, level) for column in columns]
    both = zip(columns, edges, strict=True)
    rest = [normal_limits(column.moments, level) for column, edge in both if edge is None]
    return _differences(columns, filled_in(edges, rest, lowest=-1.0), seed)


def unpaired_differences(
    values_CQ: ArrayLike,
    baseline_CP: ArrayLike,
    *,
    groups: Sequence[Any] | None = None,
    baseline_groups: Sequence[Any] | None = None,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> list[Difference]:
    """Mean of values minus mean of baseline, of items drawn independently: [C, Q] and [C, P].

    Credits are in [0, 1]. The interval is made of those of the two means, l to u and l' to u', as
    d - hypot(m - l, u' - m') to d + hypot(u - m, m' - l'): Wilson's where all are 0 or 1 and every
    item stands for itself, which is Newcombe's interval, else those of `mean_intervals`.

    p is Fisher's exact test where all are 0 or 1 and every item stands for itself, else Welch's t
    on cluster-robust standard errors.

    Raises ValueError for a column without values and for values outside [0, 1].
    """
    a = _Side.of(values_CQ, groups, level, num_resamples, seed)
    b = _Side.of(baseline_CP, baseline_groups, level, num_resamples, seed)
    shares = [x and y for x, y in zip(a.is_share, b.is_share, strict=True)]
    found = []
    for c, is_share in enumerate(shares):
        x, y = a.columns[c], b.columns[c]
        i, j = (side.interval(c, level, is_share) for side in (a, b))
        value = x.mean - y.mean
        found.append(
            Difference(
                value=value,
                low=value - hypot(x.mean - i.low, j.high - y.mean),
                high=value + hypot(i.high - x.mean, y.mean - j.low),
                stderr=hypot(i.stderr, j.stderr),
                p=_fisher(x, y) if is_share else _welch(x, y),
                gains=None,
                losses=None,
                items=min(x.items, y.items),
            )
        )
    return found


def mcnemar(gains: int, losses: int) -> float:
    """Exact two-sided p of McNemar's test on the pairs that differ; 1 where none does."""
    if gains + losses == 0:
        return 1.0
    return float(stats.binomtest(gains, gains + losses, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: comparing each with 0.05 keeps the family's error below 5 %."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of an unpaired difference, by column."""

    columns: list[Moments]
    is_share: list[bool]
    """All values are 0 or 1, and every item stands for itself."""
    intervals: list[Interval]

    @classmethod
    def of(
        cls,
        values_CQ: ArrayLike,
        groups: Sequence[Any] | None,
        level: float,
        num_resamples: int,
        seed: int,
    ) -> "_Side":
        values_CQ = np.asarray(values_CQ, dtype=np.float64)
        intervals = mean_intervals(
            values_CQ, groups=groups, level=level, num_resamples=num_resamples, seed=seed
        )
        columns = moments(*clusters(values_CQ, groups))
        whole_C = (np.isin(values_CQ, (0.0, 1.0)) | np.isnan(values_CQ)).all(axis=1)
        is_share = [column.alone and bool(w) for column, w in zip(columns, whole_C, strict=True)]
        return cls(columns, is_share, intervals)

    def interval(self, column: int, level: float, is_share: bool) -> Interval:
        if not is_share:
            return self.intervals[column]
        return wilson(round(self.columns[column].total), self.columns[column].items, level)


def _fisher(a: Moments, b: Moments) -> float:
    table = [[round(side.total), side.items - round(side.total)] for side in (a, b)]
    return float(stats.fisher_exact(table).pvalue)


def _welch(a: Moments, b: Moments) -> float:
    """1 where the spread of either side is unknown, or no difference is there to be explained."""
    if min(a.clusters, b.clusters) < 2 or abs(a.mean - b.mean) < 1e-12:
        return 1.0
    errors = [side.stderr * np.sqrt(side.clusters) for side in (a, b)]
    if not any(errors):
        # Two constants: of all ways to deal the values out, two set them apart like this.
        return min(2 / comb(a.clusters + b.clusters, a.clusters), 1.0)
    found = stats.ttest_ind_from_stats(
        a.mean, errors[0], a.clusters, b.mean, errors[1], b.clusters, equal_var=False
    )
    return float(found.pvalue)


def _edge_difference(change: Changes, level: float) -> Interval | None:
    column = change.moments
    if column.clusters == 1:
        return Interval(-1.0, 1.0, 1.0)
    if change.num_differing >= 2 * NEAR_BOUND and not column.constant:
        return None
    per_item = column.clusters / column.items
    half = (1 + level) / 2
    up = clopper_pearson(change.gained * per_item, column.clusters, half)
    down = clopper_pearson((change.gained - column.total) * per_item, column.clusters, half)
    low, high = up.low - down.high, up.high - down.low
    return Interval(low, high, (high - low) / (2 * quantile(level)))


def _differences(
    columns: Sequence[Changes], intervals: Sequence[Interval], seed: int
) -> list[Difference]:
    few = [change for change in columns if change.num_differing <= MAX_RESAMPLED]
    flipped = iter(sign_flips([change.differing for change in few], seed))
    found = []
    for change, interval in zip(columns, intervals, strict=True):
        column = change.moments
        if change.num_differing <= MAX_RESAMPLED:
            p = next(flipped)
        else:
            p = float(2 * stats.norm.sf(abs(column.total) / np.sqrt(column.squares)))
        if column.alone and change.whole:
            p = mcnemar(change.gains, change.losses)
        found.append(
            Difference(
                value=column.mean,
                low=interval.low,
                high=interval.high,
                stderr=interval.stderr,
                p=p,
                gains=change.gains,
                losses=change.losses,
                items=column.items,
            )
        )
    return found
