"""Sums of clustered values that add up: what is left of a column of too many items to hold.

Beyond 5,000 clusters intervals and tests are normal approximations, which need no more than sums
over the clusters. Sums over disjoint sets of clusters add up, so records can be let go.

Axes: `Q` item, `G` cluster of items, `C` column. NaN: this column has no value there.
"""

from dataclasses import dataclass
from math import inf, sqrt
from typing import Self

import numpy as np

from results.resampling import MAX_RESAMPLED, Floats

SAME = 1e-12
"""Sums that differ by less are equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """One column's clusters G that have values: of each, S is the sum of its n values."""

    clusters: int = 0
    items: int = 0
    """Sum of n."""
    total: float = 0.0
    """Sum of S."""
    squares: float = 0.0
    """Sum of S**2."""
    products: float = 0.0
    """Sum of S * n."""
    sizes: float = 0.0
    """Sum of n**2."""
    low: float = inf
    """The smallest S / n."""
    high: float = -inf

    def __add__(self, other: Self) -> Self:
        return type(self)(
            clusters=self.clusters + other.clusters,
            items=self.items + other.items,
            total=self.total + other.total,
            squares=self.squares + other.squares,
            products=self.products + other.products,
            sizes=self.sizes + other.sizes,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
        )

    @property
    def mean(self) -> float:
        """Over items."""
        return self.total / self.items

    @property
    def constant(self) -> bool:
        """All clusters have the same mean."""
        return self.high - self.low < SAME

    @property
    def alone(self) -> bool:
        """Every item is a cluster of its own."""
        return self.clusters == self.items

    @property
    def stderr(self) -> float:
        """Of the mean, robust to clusters: a ratio of sums (Cochran, ch. 6). Needs two clusters."""
        mean = self.mean
        residual = self.squares - 2 * mean * self.products + mean**2 * self.sizes
        correction = self.clusters / (self.clusters - 1)
        return sqrt(correction * max(residual, 0.0)) / self.items


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """One column of differences."""

    moments: Moments
    gained: float
    """Sum of the items' gains."""
    gains: int
    """Items with a gain."""
    losses: int
    whole: bool
    """Every difference is -1, 0 or 1."""
    num_differing: int
    """Clusters whose sum isn't 0."""
    differing: Floats
    """Their sums, of the first 5,001."""

    def __add__(self, other: Self) -> Self:
        return type(self)(
            moments=self.moments + other.moments,
            gained=self.gained + other.gained,
            gains=self.gains + other.gains,
            losses=self.losses + other.losses,
            whole=self.whole and other.whole,
            num_differing=self.num_differing + other.num_differing,
            differing=np.concatenate([self.differing, other.differing])[: MAX_RESAMPLED + 1],
        )


def moments(sums_CG: Floats, counts_CG: Floats) -> list[Moments]:
    """Of each column, given the sum and the number of its values in each cluster."""
    return [_moments(*column) for column in zip(sums_CG, counts_CG, strict=True)]


def changes(delta_CQ: Floats, sums_CG: Floats, counts_CG: Floats) -> list[Changes]:
    """Of each column, given the difference of each item, in [-1, 1], and what `moments` takes."""
    columns = zip(delta_CQ, sums_CG, moments(sums_CG, counts_CG), strict=True)
    return [_changes(delta_Q[~np.isnan(delta_Q)], sums_G, of) for delta_Q, sums_G, of in columns]


def _moments(sums_G: Floats, counts_G: Floats) -> Moments:
    here = counts_G > 0
    sums, counts = sums_G[here], counts_G[here]
    means = sums / counts
    return Moments(
        clusters=len(sums),
        items=int(counts.sum()),
        total=float(sums.sum()),
        squares=float(sums @ sums),
        products=float(sums @ counts),
        sizes=float(counts @ counts),
        low=float(means.min(initial=inf)),
        high=float(means.max(initial=-inf)),
    )


def _changes(delta_Q: Floats, sums_G: Floats, of: Moments) -> Changes:
    differing = sums_G[np.abs(sums_G) > SAME]
    return Changes(
        moments=of,
        gained=float(np.maximum(delta_Q, 0.0).sum()),
        gains=int((delta_Q > SAME).sum()),
        losses=int((delta_Q < -SAME).sum()),
        whole=bool(np.isin(delta_Q, (-1.0, 0.0, 1.0)).all()),
        num_differing=len(differing),
        differing=differing[: MAX_RESAMPLED + 1],
    )
