"""How far several judges agree, beyond what chance would make of their verdicts.

    alpha, kappa = 1 - observed disagreement / disagreement of verdicts dealt out at random

1 is full agreement, 0 what chance gives, below 0 less than that. For alpha (Krippendorff) all
verdicts are dealt out from one heap; for kappa (Cohen) each judge's from a heap of their own, so a
judge who leans to one verdict is not held against the pair. Kappa is of verdicts that are names and
of two judges; of more, the mean over all pairs (Light). Disagreement of two verdicts is their
squared difference (`interval`) or whether they differ at all (`nominal`). Units on which fewer than
two judges have a verdict say nothing and take no part.
Sources: Krippendorff, Content Analysis, ch. 11; Hayes & Krippendorff 2007 (bootstrap); Cohen 1960;
Light 1971.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from results.moments import SAME
from results.resampling import Floats
from results.stats import clopper_pearson

Level = Literal["nominal", "interval"]

FEW = 500
"""Clusters that are resampled; of more, the spread between batches of them is read instead."""
NUM_RESAMPLES = 500
NUM_BATCHES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """`Agreement(value=0.61, low=0.52, high=0.7)`: 95 % interval over clusters."""

    value: float
    low: float
    high: float


def agreement(
    verdicts_UJ: Floats, level: Level, *, groups: Sequence[int], seed: int = 0
) -> Agreement | None:
    """Krippendorff's alpha. U: units, J: judges; NaN: no verdict. groups: the cluster of each unit.

    The interval is a percentile bootstrap over clusters, above 500 of them a normal one with the
    spread between 50 batches; a cluster alone tells nothing of it: [-1, 1]. Where all clusters
    are alike, it reaches as far as those would move alpha that may have gone unseen, at -1 or 1.
    None: undefined, where no unit has two verdicts or all verdicts are the same.
    """
    paired_U = np.isfinite(verdicts_UJ).sum(axis=1) > 1
    verdicts_UJ, clusters_U = verdicts_UJ[paired_U], np.asarray(groups)[paired_U]
    domain_V = np.unique(verdicts_UJ[np.isfinite(verdicts_UJ)])
    if len(domain_V) < 2:
        return None
    counts_UV = (verdicts_UJ[:, :, None] == domain_V).sum(axis=1)

    apart_VV = np.subtract.outer(domain_V, domain_V) ** 2
    apart_VV = apart_VV if level == "interval" else np.sign(apart_VV)

    def alpha(rows: NDArray[np.intp]) -> float:
        return _alpha(counts_UV[rows], apart_VV)

    return _with_interval(alpha, clusters_U, seed)


def kappa(verdicts_UJ: Floats, *, groups: Sequence[int], seed: int = 0) -> Agreement | None:
    """Cohen's kappa, of more than two judges Light's. U: units, J: judges; NaN: no verdict.

    The interval is made as that of `agreement`. None: undefined, where for some pair of judges no
    unit has two verdicts, or each of them gives the same one always.
    """
    paired_U = np.isfinite(verdicts_UJ).sum(axis=1) > 1
    verdicts_UJ = verdicts_UJ[paired_U]

    def of(rows: NDArray[np.intp]) -> float:
        return _kappa(verdicts_UJ[rows])

    if not len(verdicts_UJ) or np.isnan(of(np.arange(len(verdicts_UJ)))):
        return None
    return _with_interval(of, np.asarray(groups)[paired_U], seed)


def _with_interval(
    of: Callable[[NDArray[np.intp]], float], clusters_U: NDArray[np.int_], seed: int
) -> Agreement:
    """The statistic of all units, resampled by clusters. of: the statistic of some units."""
    codes_U = np.unique(clusters_U, return_inverse=True)[1]
    units_G = np.split(np.argsort(codes_U, kind="stable"), np.cumsum(np.bincount(codes_U))[:-1])
    value = of(np.arange(len(codes_U)))
    rng = np.random.default_rng(seed)
    num = len(units_G)
    if num == 1:
        return Agreement(value=value, low=-1.0, high=1.0)
    if num > FEW:
        batches = np.array_split(rng.permutation(num), NUM_BATCHES)
        low, high = _normal(value, np.array([of(_units(units_G, b)) for b in batches]))
    else:
        picks = rng.integers(num, size=(NUM_RESAMPLES, num))
        # A resample in which all verdicts are the same has no value.
        found = np.array([of(_units(units_G, pick)) for pick in picks])
        low, high = np.nanquantile(found, [0.025, 0.975]).tolist()
    if high - low < SAME:
        unseen = clopper_pearson(0.0, num).high
        low, high = value - unseen * (value + 1.0), value + unseen * (1.0 - value)
    return Agreement(value=value, low=min(low, value), high=max(high, value))


def _kappa(verdicts_UJ: Floats) -> float:
    """NaN where it is undefined for a pair of judges."""
    found = []
    for i, j in combinations(range(verdicts_UJ.shape[1]), 2):
        a_U, b_U = verdicts_UJ[np.isfinite(verdicts_UJ[:, [i, j]]).all(axis=1)][:, [i, j]].T
        values = np.unique([a_U, b_U])
        a_UV, b_UV = (np.equal.outer(side, values) for side in (a_U, b_U))
        num = len(a_U)
        chance = float(a_UV.sum(axis=0) @ b_UV.sum(axis=0)) / num**2 if num else 1.0
        if chance >= 1.0:
            return float("nan")
        found.append((float((a_U == b_U).mean()) - chance) / (1.0 - chance))
    return float(np.mean(found))


def _alpha(counts_UV: NDArray[np.int_], apart_VV: Floats) -> float:
    """From how often each unit was given each value, and how far values are apart. NaN where all
    verdicts are the same. Our own: krippendorff is under the GPL, and nltk, which the tests compare
    it with, is too slow to resample.
    """
    shares_UV = counts_UV / (counts_UV.sum(axis=1, keepdims=True) - 1.0)
    observed_VV = shares_UV.T @ counts_UV - np.diag(shares_UV.sum(axis=0))
    totals_V = observed_VV.sum(axis=1)
    by_chance_VV = np.outer(totals_V, totals_V) - np.diag(totals_V)
    chance = float((by_chance_VV * apart_VV).sum()) / (totals_V.sum() - 1.0)
    return 1.0 - float((observed_VV * apart_VV).sum()) / chance if chance else float("nan")


def _units(units_G: Sequence[NDArray[np.intp]], picks: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.concatenate([units_G[pick] for pick in picks])


def _normal(value: float, batches: Floats) -> tuple[float, float]:
    half = float(stats.norm.ppf(0.975) * np.nanstd(batches, ddof=1) / np.sqrt(len(batches)))
    return value - half, min(value + half, 1.0)
