"""How run scores spread: a run is one draw of every item, and its score the mean credit of those.

    credits of I items x N runs --sums--> Spread: N run scores, variance within items

Sources: Song et al. 2024 (arXiv 2407.10457), section 3 and table 2: mean, standard deviation, best,
worst and Delta = best - worst over runs, not over items. What independent items allow is derived:
with items drawn independently of each other, Var(score) = sum over items of Var_i / I**2, and the
variance of a credit in [0, 1] with mean p is at most p (1 - p) (Bhatia & Davis 2000); by concavity
that sum is at most p (1 - p) / I for the mean p over items.

Axes: `S` run. Pure; descriptive but for `std_interval`, since best, worst and Delta describe these
N runs and grow apart with N.
"""

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from scipy import stats

from results.resampling import Floats


@dataclass(frozen=True, slots=True)
class Spread:
    """Sums over the items of one pool, under one metric."""

    totals_S: Floats
    """Of each run, the sum of its credits."""
    items: int
    within: float
    """Sum over items of the variance of an item's credits between its runs (ddof 1)."""

    @property
    def runs(self) -> int:
        return len(self.totals_S)

    @property
    def scores(self) -> Floats:
        """Of each run."""
        return self.totals_S / self.items

    @property
    def mean(self) -> float:
        return float(self.scores.mean())

    def std(self, ddof: int) -> float:
        """Between run scores; ddof 0 as published, 1 unbiased (in its square). NaN for too few."""
        return float(self.scores.std(ddof=ddof)) if self.runs > ddof else nan

    @property
    def best(self) -> float:
        return float(self.scores.max())

    @property
    def worst(self) -> float:
        return float(self.scores.min())

    @property
    def delta(self) -> float:
        """Best minus worst, which is at least twice the std of ddof 0 (Popoviciu)."""
        return self.best - self.worst

    @property
    def bound(self) -> float:
        """The largest std that runs of independent items can have at this mean."""
        return sqrt(max(self.mean * (1 - self.mean), 0.0) / self.items)

    @property
    def independent(self) -> float:
        """The std that runs would have if their items were independent, from how much the credit of
        each item varies. What it estimates is at most `bound`, and mostly far below it. NaN for a
        single run."""
        return sqrt(self.within) / self.items if self.runs > 1 else nan


def std_interval(std: float, runs: int, *, level: float = 0.95) -> tuple[float, float] | None:
    """Interval for a std (ddof 1) of `runs` scores, by chi-square: scores are means over many
    items, so near normal. None: fewer than 2 runs, or all scores are equal, which doesn't tell how
    far they could be apart.
    """
    if runs < 2 or std <= 0:
        return None
    low, high = stats.chi2.ppf([(1 - level) / 2, (1 + level) / 2], runs - 1)
    # Of scores from 0 to 1, half of them at each end.
    most = 0.5 * sqrt(runs / (runs - 1))
    return std * sqrt((runs - 1) / high), max(std, min(std * sqrt((runs - 1) / low), most))


def within_item(credits_S: Floats) -> float:
    """Variance of one item's credits between runs (ddof 1); 0 for a single run."""
    return float(np.var(credits_S, ddof=1)) if len(credits_S) > 1 else 0.0
