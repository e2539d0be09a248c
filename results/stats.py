"""Intervals and tests for credits in [0, 1]: arrays in, numbers out, a seed as an argument.

    mean_intervals        means, each with its interval          one column per method and k
    paired_differences    the same items under two methods       difference, interval, p, flips
    approximate_interval, approximate_differences                the same from sums of a column
    unbounded_interval    values that are no credit              from sums of a column
    holm                  many p-values at once

Axes: `Q` item, `G` cluster of items, `C` column, `R` resample. NaN: this column has no value for
the item. Items that share a cluster (a passage, a template) are resampled, flipped and counted
together.

Sources: Clopper & Pearson 1934; Holm 1979; Efron & Tibshirani, An Introduction to the
Bootstrap, ch. 13 (percentile interval); Miller, "Adding Error Bars to Evals", arXiv 2411.00640
(clusters, paired differences).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from results.moments import Changes, Moments, changes, moments
from results.resampling import MAX_RESAMPLED, Floats, clusters, sign_flips, spread

NEAR_BOUND = 5.0
"""Below this much credit (or lack of it), resampling covers too little: Clopper-Pearson instead."""


@dataclass(frozen=True, slots=True)
class Interval:
    """`Interval(low=0.55, high=0.67, stderr=0.03)`, all in the units of the values."""

    low: float
    high: float
    stderr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Values minus baseline over the items that both have.

    Difference(value=0.04, low=0.01, high=0.07, stderr=0.015, p=0.008, gains=30, losses=14,
               items=400)
    """

    value: float
    low: float
    high: float
    stderr: float
    p: float
    """Two-sided, for no difference."""
    gains: int
    """Items where the value is above the baseline."""
    losses: int
    items: int


def mean_interval(
    values: ArrayLike,
    *,
    groups: Sequence[Any] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """`mean_intervals` of one column: values [Q], groups [Q]."""
    column_CQ = np.asarray(values, dtype=np.float64)[None, :]
    return mean_intervals(
        column_CQ, groups=groups, bounds=bounds, level=level, num_resamples=num_resamples, seed=seed
    )[0]


def mean_intervals(
    values_CQ: ArrayLike,
    *,
    groups: Sequence[Any] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> list[Interval]:
    """Interval of each column's mean over items: never of zero width, never outside `bounds`.

    - Percentile bootstrap over clusters; all columns share the resamples, so their curves move
      together.
    - Above 5,000 clusters: mean +- z * stderr with the cluster-robust stderr of a ratio of sums.
    - With less than 5 clusters' worth of credit, or of missing credit, or with no spread at all:
      Clopper-Pearson on (clusters * mean, clusters), the sum being real-valued. Credit in [0, 1]
      varies at most as much as a right-or-wrong answer of the same mean, so that interval errs on
      the wide side.
    - One cluster alone says nothing about the spread: the interval is all of `bounds`.

    Raises ValueError for a column without values, and for values outside `bounds`.
    """
    low, high = bounds
    credit_CQ = (np.asarray(values_CQ, dtype=np.float64) - low) / (high - low)
    _check_unit(credit_CQ, bounds)
    sums_CG, counts_CG = clusters(credit_CQ, groups)
    columns = moments(sums_CG, counts_CG)
    if sums_CG.shape[1] > MAX_RESAMPLED:
        found = [approximate_interval(column, level=level) for column in columns]
    else:
        edges = [_edge_interval(column, level) for column in columns]
        resampled = spread(*_open(edges, sums_CG, counts_CG), level, num_resamples, seed)
        found = _filled(edges, resampled, lowest=0.0)
    return [
        Interval(low + i.low * (high - low), low + i.high * (high - low), i.stderr * (high - low))
        for i in found
    ]


def approximate_interval(column: Moments, *, level: float = 0.95) -> Interval:
    """`mean_intervals` as it is above 5,000 clusters, of credits in [0, 1]."""
    edge = _edge_interval(column, level)
    return _filled([edge], [] if edge else [_normal(column, level)], lowest=0.0)[0]


def unbounded_interval(column: Moments, *, level: float = 0.95) -> Interval:
    """Of the mean of values without bounds: Student's t on the cluster-robust stderr. Raises
    ValueError for one cluster, which says nothing about the spread.
    """
    if column.clusters < 2:
        raise ValueError("wanted two clusters or more, got one")
    half = float(stats.t.ppf((1 + level) / 2, column.clusters - 1)) * column.stderr
    return Interval(column.mean - half, column.mean + half, column.stderr)


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
    _check_unit(values_CQ, (0.0, 1.0))
    _check_unit(baseline_CQ, (0.0, 1.0))
    delta_CQ = values_CQ - baseline_CQ
    sums_CG, counts_CG = clusters(delta_CQ, groups)
    columns = changes(delta_CQ, sums_CG, counts_CG)
    if sums_CG.shape[1] > MAX_RESAMPLED:
        return approximate_differences(columns, level=level, seed=seed)
    edges = [_edge_difference(column, level) for column in columns]
    resampled = spread(*_open(edges, sums_CG, counts_CG), level, num_resamples, seed)
    return _differences(columns, _filled(edges, resampled, lowest=-1.0), seed)


def approximate_differences(
    columns: Sequence[Changes], *, level: float = 0.95, seed: int = 0
) -> list[Difference]:
    """`paired_differences` as it is above 5,000 clusters."""
    edges = [_edge_difference(column, level) for column in columns]
    rest = [_normal(c.moments, level) for c, edge in zip(columns, edges, strict=True) if not edge]
    return _differences(columns, _filled(edges, rest, lowest=-1.0), seed)


def mcnemar(gains: int, losses: int) -> float:
    """Exact two-sided p of McNemar's test on the pairs that differ; 1 where none does."""
    if gains + losses == 0:
        return 1.0
    return float(stats.binomtest(gains, gains + losses, 0.5).pvalue)


def clopper_pearson(credit: float, n: float, level: float = 0.95) -> Interval:
    """Interval for a share from `credit` out of n trials, by beta quantiles.

    Both may be real numbers; it is exact for whole ones. `stderr` is the half-width over z, since
    the data's own may be 0.
    """
    tail = (1 - level) / 2
    low = 0.0 if credit <= 0 else float(stats.beta.ppf(tail, credit, n - credit + 1))
    high = 1.0 if credit >= n else float(stats.beta.ppf(1 - tail, credit + 1, n - credit))
    return Interval(low, high, (high - low) / (2 * _z(level)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: comparing each with 0.05 keeps the family's error below 5 %."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def minimum_detectable_effect(stderr: float, *, level: float = 0.95, power: float = 0.8) -> float:
    """Smallest true difference that a two-sided test at `level` finds with probability `power`."""
    return float((_z(level) + stats.norm.ppf(power)) * stderr)


def _z(level: float) -> float:
    return float(stats.norm.ppf((1 + level) / 2))


def _check_unit(credit: Floats, bounds: tuple[float, float]) -> None:
    if np.isnan(credit).all(axis=-1).any():
        raise ValueError("wanted at least one value per column, got a column without any")
    if np.nanmin(credit) < -1e-9 or np.nanmax(credit) > 1 + 1e-9:
        raise ValueError(f"wanted values in {bounds}, got some outside")


def _open(
    edges: Sequence[Interval | None], sums_CG: Floats, counts_CG: Floats
) -> tuple[Floats, Floats]:
    """Of the columns that have no interval yet."""
    rest = [column for column, edge in enumerate(edges) if edge is None]
    return sums_CG[rest], counts_CG[rest]


def _filled(
    edges: Sequence[Interval | None], rest: Sequence[tuple[float, float, float]], *, lowest: float
) -> list[Interval]:
    """The edges, and in place of each None the next low, high, stderr of the rest."""
    others = iter(rest)
    found = []
    for edge in edges:
        if edge is None:
            low, high, stderr = next(others)
            edge = Interval(max(low, lowest), min(high, 1.0), stderr)
        found.append(edge)
    return found


def _normal(column: Moments, level: float) -> tuple[float, float, float]:
    half = _z(level) * column.stderr
    return column.mean - half, column.mean + half, column.stderr


def _edge_interval(column: Moments, level: float) -> Interval | None:
    """The interval where neither resampling nor the normal can be trusted; None where they can."""
    if column.clusters == 1:
        return Interval(0.0, 1.0, 0.5)
    # Clusters are what was drawn independently, so they are the trials, whatever they hold.
    credit = float(column.clusters * np.clip(column.mean, 0, 1))
    if column.constant or min(credit, column.clusters - credit) < NEAR_BOUND:
        return clopper_pearson(credit, column.clusters, level)
    return None


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
    return Interval(low, high, (high - low) / (2 * _z(level)))


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
