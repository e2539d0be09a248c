"""Resampling and sign flips of clustered values, for every column at once. Pure: seed in, same out.

Axes: `Q` item, `G` cluster of items, `C` column, `R` resample. NaN: this column has no value there.

Sources: Efron & Tibshirani, An Introduction to the Bootstrap, ch. 13 (percentile interval);
Cochran, Sampling Techniques, ch. 6 (standard error of a ratio of sums); Fisher 1935 (sign flips).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

MAX_RESAMPLED = 5000
"""Clusters beyond which the normal approximation, as good there, replaces resampling."""
MAX_EXACT = 13
"""Up to this many differing clusters, every pattern of signs is tried."""
NUM_FLIPS = 9999
"""Random patterns of signs beyond that: p is at least 1/10000."""
_BATCH = 2_000_000


def clusters(values_CQ: Floats, groups: Sequence[Any] | None) -> tuple[Floats, Floats]:
    """Sum and number of the values in each cluster, [C, G] each."""
    present_CQ = ~np.isnan(values_CQ)
    filled_CQ = np.where(present_CQ, values_CQ, 0.0)
    if groups is None:
        return filled_CQ, present_CQ.astype(np.float64)
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    return (
        np.array([np.bincount(codes, row) for row in filled_CQ]),
        np.array([np.bincount(codes, row) for row in present_CQ]),
    )


def have_common(a_CQ: Floats, b_CQ: Floats) -> NDArray[np.bool_]:
    """Which columns have an item with a value in both, [C]."""
    return np.asarray(np.isfinite(a_CQ + b_CQ).any(axis=1))


def spread(
    sums_CG: Floats, counts_CG: Floats, level: float, num_resamples: int, seed: int
) -> list[tuple[float, float, float]]:
    """Low, high, stderr of each mean: percentile bootstrap; beyond 5,000 clusters, normal."""
    if not len(sums_CG):
        return []
    z, tail = stats.norm.ppf((1 + level) / 2), (1 - level) / 2
    means_C = sums_CG.sum(1) / counts_CG.sum(1)
    if sums_CG.shape[1] > MAX_RESAMPLED:
        residual_CG = sums_CG - means_C[:, None] * counts_CG
        clusters_C = (counts_CG > 0).sum(1)
        correction_C = clusters_C / (clusters_C - 1)
        stderr_C = np.sqrt(correction_C * (residual_CG**2).sum(1)) / counts_CG.sum(1)
        low_C, high_C = means_C - z * stderr_C, means_C + z * stderr_C
    else:
        means_CR = np.concatenate(
            list(_resampled_means(sums_CG, counts_CG, num_resamples, seed)), axis=1
        )
        stderr_C = means_CR.std(axis=1, ddof=1)
        low_C, high_C = np.quantile(means_CR, [tail, 1 - tail], axis=1)
    return list(zip(low_C.tolist(), high_C.tolist(), stderr_C.tolist(), strict=True))


def _resampled_means(
    sums_CG: Floats, counts_CG: Floats, num_resamples: int, seed: int
) -> Iterator[Floats]:
    """Means of each column under the same resamples of clusters, [C, batch] at a time.

    One matrix of weights serves every column; scipy.stats.bootstrap gathers the data for each.
    """
    rng = np.random.default_rng(seed)
    num_clusters = sums_CG.shape[1]
    means_C = sums_CG.sum(1) / counts_CG.sum(1)
    batch = max(1, _BATCH // num_clusters)
    for start in range(0, num_resamples, batch):
        size = min(batch, num_resamples - start)
        picks_RG = rng.integers(num_clusters, size=(size, num_clusters))
        picks_RG += np.arange(size)[:, None] * num_clusters
        weights = np.bincount(picks_RG.ravel(), minlength=size * num_clusters)
        weights_GR = weights.reshape(size, num_clusters).T.astype(np.float64)
        totals_CR, counts_CR = sums_CG @ weights_GR, counts_CG @ weights_GR
        # A column with few values may miss a resample altogether: it says nothing new.
        unmoved_CR = np.repeat(means_C[:, None], size, axis=1)
        yield np.divide(totals_CR, counts_CR, out=unmoved_CR, where=counts_CR > 0)


def sign_flips(sums_CG: Floats, seed: int) -> Floats:
    """Two-sided p of each column's total when the sign of each cluster's sum is a coin's."""
    observed_C = np.abs(sums_CG.sum(1))
    differing_C = (np.abs(sums_CG) > 1e-12).sum(1)
    spread_C = np.sqrt((sums_CG**2).sum(1))
    share_C = np.divide(observed_C, spread_C, out=np.zeros_like(spread_C), where=spread_C > 0)
    p_C: Floats = 2 * stats.norm.sf(share_C)
    for column in np.flatnonzero(differing_C <= MAX_EXACT):
        p_C[column] = _all_signs(sums_CG[column])
    middle = np.flatnonzero((differing_C > MAX_EXACT) & (differing_C <= MAX_RESAMPLED))
    if not len(middle):
        return p_C
    rng = np.random.default_rng(seed)
    hits = np.zeros(len(middle))
    batch = max(1, _BATCH // sums_CG.shape[1])
    for start in range(0, NUM_FLIPS, batch):
        shape = (sums_CG.shape[1], min(batch, NUM_FLIPS - start))
        signs_GR = 1.0 - 2.0 * rng.integers(2, size=shape, dtype=np.int8)
        totals_CR = np.abs(sums_CG[middle] @ signs_GR)
        hits += (totals_CR >= observed_C[middle, None] - 1e-9).sum(axis=1)
    p_C[middle] = (hits + 1) / (NUM_FLIPS + 1)
    return p_C


def _all_signs(sums_G: Floats) -> float:
    differing_G = sums_G[np.abs(sums_G) > 1e-12]
    if len(differing_G) < 2:
        return 1.0
    found = stats.permutation_test(
        (differing_G,),
        lambda flipped, axis: flipped.sum(axis=axis),
        permutation_type="samples",
        n_resamples=2**MAX_EXACT,
        vectorized=True,
    )
    return float(found.pvalue)
