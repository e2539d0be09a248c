"""How sure a mean or a share is: arrays in, numbers out, a seed as an argument.

    mean_intervals        means of credits, each with its interval     one column per method and k
    approximate_interval  the same from sums of a column
    unbounded_interval    values that are no credit                    from sums of a column
    clopper_pearson       shares near 0 and 1, and what is not a whole number of successes
    wilson                shares of right answers in a comparison of two runs

Bootstrap intervals are percentile intervals over items: for means of credits they differ from BCa
ones by less than their own Monte Carlo error, but need no jackknife and let all columns share the
resamples. Differences are in `results.differences`, numbers of items in `results.power`.

Axes: `Q` item, `G` cluster of items, `C` column, `R` resample. NaN: this column has no value for
the item. Items that share a cluster (a passage, a template) are resampled and counted together.

Sources: Wilson 1927; Clopper & Pearson 1934; Efron & Tibshirani, An Introduction to the Bootstrap,
ch. 13 (percentile interval); Miller, "Adding Error Bars to Evals", arXiv 2411.00640 (clusters).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from results.moments import Moments, moments
from results.resampling import MAX_RESAMPLED, Floats, clusters, spread

NEAR_BOUND = 5.0
"""Below this much credit (or lack of it), resampling covers too little: Clopper-Pearson instead."""


@dataclass(frozen=True, slots=True)
class Interval:
    """`Interval(low=0.55, high=0.67, stderr=0.03)`, all in the units of the values."""

    low: float
    high: float
    stderr: float


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
    check_unit(credit_CQ, bounds)
    sums_CG, counts_CG = clusters(credit_CQ, groups)
    columns = moments(sums_CG, counts_CG)
    if sums_CG.shape[1] > MAX_RESAMPLED:
        found = [approximate_interval(column, level=level) for column in columns]
    else:
        edges = [_edge_interval(column, level) for column in columns]
        open_CG = still_open(edges, sums_CG, counts_CG)
        found = filled_in(edges, spread(*open_CG, level, num_resamples, seed), lowest=0.0)
    return [
        Interval(low + i.low * (high - low), low + i.high * (high - low), i.stderr * (high - low))
        for i in found
    ]


def approximate_interval(column: Moments, *, level: float = 0.95) -> Interval:
    """`mean_intervals` as it is above 5,000 clusters, of credits in [0, 1]."""
    edge = _edge_interval(column, level)
    return filled_in([edge], [] if edge else [normal_limits(column, level)], lowest=0.0)[0]


def unbounded_interval(column: Moments, *, level: float = 0.95) -> Interval:
    """Of the mean of values without bounds: Student's t on the cluster-robust stderr. Raises
    ValueError for one cluster, which says nothing about the spread.
    """
    if column.clusters < 2:
        raise ValueError("wanted two clusters or more, got one")
    half = float(stats.t.ppf((1 + level) / 2, column.clusters - 1)) * column.stderr
    return Interval(column.mean - half, column.mean + half, column.stderr)


def clopper_pearson(credit: float, n: float, level: float = 0.95) -> Interval:
    """Interval for a share from `credit` out of n trials, by beta quantiles.

    Both may be real numbers; it is exact for whole ones. `stderr` is the half-width over z, since
    the data's own may be 0.
    """
    tail = (1 - level) / 2
    low = 0.0 if credit <= 0 else float(stats.beta.ppf(tail, credit, n - credit + 1))
    high = 1.0 if credit >= n else float(stats.beta.ppf(1 - tail, credit + 1, n - credit))
    return Interval(low, high, (high - low) / (2 * quantile(level)))


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Score interval for the share of `successes` among n independent trials, n at least 1.

    On average over shares it covers what it says, where `clopper_pearson` covers at least that.
    `stderr` is the half-width over z. Source: Wilson 1927.
    """
    found = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    low, high = float(found.low), float(found.high)
    return Interval(low, high, (high - low) / (2 * quantile(level)))


def quantile(level: float) -> float:
    """z of a two-sided interval: 1.96 for 0.95."""
    return float(stats.norm.ppf((1 + level) / 2))


def check_unit(credit: Floats, bounds: tuple[float, float]) -> None:
    """Raises ValueError for a column without values, and for credit outside [0, 1]."""
    if np.isnan(credit).all(axis=-1).any():
        raise ValueError("wanted at least one value per column, got a column without any")
    if np.nanmin(credit) < -1e-9 or np.nanmax(credit) > 1 + 1e-9:
        raise ValueError(f"wanted values in {bounds}, got some outside")


def still_open(
    edges: Sequence[Interval | None], sums_CG: Floats, counts_CG: Floats
) -> tuple[Floats, Floats]:
    """Of the columns that have no interval yet."""
    rest = [column for column, edge in enumerate(edges) if edge is None]
    return sums_CG[rest], counts_CG[rest]


def filled_in(
    edges: Sequence[Interval | None], rest: Sequence[tuple[float, float, float]], *, lowest: float
) -> list[Interval]:
    """The edges, and in place of each None the next low, high, stderr of the rest, cut to
    [lowest, 1].
    """
    others = iter(rest)
    found = []
    for edge in edges:
        if edge is None:
            low, high, stderr = next(others)
            edge = Interval(max(low, lowest), min(high, 1.0), stderr)
        found.append(edge)
    return found


def normal_limits(column: Moments, level: float) -> tuple[float, float, float]:
    """Low, high, stderr of a mean by its cluster-robust standard error."""
    half = quantile(level) * column.stderr
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
