"""Intervals and tests for credits in [0, 1]: arrays in, numbers out, a seed as an argument.

    mean_intervals        means, each with its interval          one column per method and k
    paired_differences    the same items under two methods       difference, interval, p, flips
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

from results.resampling import Floats, clusters, sign_flips, spread

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
    pairs = zip(sums_CG, counts_CG, strict=True)
    found = [_edge_interval(sums_G, counts_G, level) for sums_G, counts_G in pairs]
    rest = [column for column, interval in enumerate(found) if interval is None]
    resampled = spread(sums_CG[rest], counts_CG[rest], level, num_resamples, seed)
    for column, (start, end, stderr) in zip(rest, resampled, strict=True):
        found[column] = Interval(max(start, 0.0), min(end, 1.0), stderr)
    return [
        Interval(low + i.low * (high - low), low + i.high * (high - low), i.stderr * (high - low))
        for i in found
        if i is not None
    ]


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
    gained_CG, _ = clusters(np.maximum(delta_CQ, 0.0), groups)
    found = [
        _edge_difference(sums_G, gained_G, counts_G, level)
        for sums_G, gained_G, counts_G in zip(sums_CG, gained_CG, counts_CG, strict=True)
    ]
    rest = [column for column, interval in enumerate(found) if interval is None]
    resampled = spread(sums_CG[rest], counts_CG[rest], level, num_resamples, seed)
    for column, (start, end, stderr) in zip(rest, resampled, strict=True):
        found[column] = Interval(max(start, -1.0), min(end, 1.0), stderr)
    p_C = sign_flips(sums_CG, seed)
    alone_C = counts_CG.max(axis=1) == 1
    return [
        _difference(delta_Q[~np.isnan(delta_Q)], interval, float(p), alone=bool(alone))
        for delta_Q, interval, p, alone in zip(delta_CQ, found, p_C, alone_C, strict=True)
        if interval is not None
    ]


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


def _edge_interval(sums_G: Floats, counts_G: Floats, level: float) -> Interval | None:
    """The interval where resampling can't be trusted; None where it can."""
    here = counts_G > 0
    num_clusters = int(here.sum())
    if num_clusters == 1:
        return Interval(0.0, 1.0, 0.5)
    # Clusters are what was drawn independently, so they are the trials, whatever they hold.
    credit = float(num_clusters * np.clip(sums_G.sum() / counts_G.sum(), 0, 1))
    constant = np.ptp(sums_G[here] / counts_G[here]) < 1e-12
    if constant or min(credit, num_clusters - credit) < NEAR_BOUND:
        return clopper_pearson(credit, num_clusters, level)
    return None


def _difference(delta_Q: Floats, interval: Interval, p: float, *, alone: bool) -> Difference:
    """`alone`: every item is a cluster of its own."""
    gains, losses = int((delta_Q > 0).sum()), int((delta_Q < 0).sum())
    whole = bool(np.isin(delta_Q, (-1.0, 0.0, 1.0)).all())
    return Difference(
        value=float(delta_Q.mean()),
        low=interval.low,
        high=interval.high,
        stderr=interval.stderr,
        p=mcnemar(gains, losses) if alone and whole else p,
        gains=gains,
        losses=losses,
        items=len(delta_Q),
    )


def _edge_difference(
    sums_G: Floats, gained_G: Floats, counts_G: Floats, level: float
) -> Interval | None:
    here = counts_G > 0
    num_clusters = int(here.sum())
    if num_clusters == 1:
        return Interval(-1.0, 1.0, 1.0)
    differing = int((np.abs(sums_G) > 1e-12).sum())
    constant = np.ptp(sums_G[here] / counts_G[here]) < 1e-12
    if differing >= 2 * NEAR_BOUND and not constant:
        return None
    per_item = num_clusters / counts_G.sum()
    gained = float(gained_G.sum() * per_item)
    lost = float((gained_G - sums_G).sum() * per_item)
    half = (1 + level) / 2
    up = clopper_pearson(gained, num_clusters, half)
    down = clopper_pearson(lost, num_clusters, half)
    low, high = up.low - down.high, up.high - down.low
    return Interval(low, high, (high - low) / (2 * _z(level)))
