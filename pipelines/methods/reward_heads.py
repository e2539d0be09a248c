"""Fitting the linear part of an ArmoRM head: a regression for each objective, and what each has in
common with verbosity taken out of it.

Axes: `N` reply, `H` hidden state, `J` objective. NaN: a reply without a label of the objective.
Source: Wang et al. 2024 (arXiv 2406.12845), section 3, and the released training script.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]

ALPHAS = tuple(10.0**power for power in range(-4, 5))
PENALTIES = (0.0, 0.01, *(round(0.025 * i, 3) for i in range(1, 39)))
"""What may be taken off of an objective for each unit of verbosity: 0 to 0.95."""
MOST_CORRELATION = 0.03


@dataclass(frozen=True, slots=True)
class Fit:
    """One objective."""

    weights_H: Floats
    alpha: float
    held_mse: float
    """Over the replies that were held out to choose alpha."""


def centred(values_NX: ArrayLike, items_N: ArrayLike) -> Floats:
    """Each value less the mean of its item's: what an item's replies have in common says nothing of
    which is better. A NaN stays one and takes no part.
    """
    values_NX = np.asarray(values_NX, dtype=np.float64)
    found = np.full_like(values_NX, np.nan)
    items_N = np.asarray(items_N)
    order_N = np.argsort(items_N, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(items_N[order_N]) != 0])
    for rows in np.split(order_N, starts[1:]):
        known = values_NX[rows]
        there = ~np.isnan(known).all(axis=0)
        mean = np.zeros(known.shape[1:])
        mean[there] = np.nanmean(known[:, there], axis=0) if known.ndim > 1 else np.nanmean(known)
        found[rows] = known - mean
    return found


def ridge(
    features_NH: ArrayLike,
    labels_N: ArrayLike,
    held_N: ArrayLike,
    alphas: tuple[float, ...] = ALPHAS,
) -> Fit:
    """Least squares without an intercept, the penalty alpha |w|^2 chosen on the held-out replies,
    then fitted again on all that have a label.

    Raises ValueError where either part has no label.
    """
    features_NH = np.asarray(features_NH, dtype=np.float64)
    labels_N, held_N = np.asarray(labels_N, np.float64), np.asarray(held_N, np.bool_)
    known_N = ~np.isnan(labels_N)
    train, held = known_N & ~held_N, known_N & held_N
    if not train.any() or not held.any():
        raise ValueError(
            f"wanted labels to fit on and held-out ones, got {train.sum()} and {held.sum()}"
        )
    found = _solved(features_NH[train], labels_N[train], alphas)
    errors = [np.mean((features_NH[held] @ w - labels_N[held]) ** 2) for w in found]
    best = int(np.argmin(errors))
    (weights_H,) = _solved(features_NH[known_N], labels_N[known_N], (alphas[best],))
    return Fit(weights_H, alphas[best], float(errors[best]))


def _solved(features_NH: Floats, labels_N: Floats, alphas: tuple[float, ...]) -> list[Floats]:
    """The weights for each alpha, from one decomposition."""
    left, singular, right_H = np.linalg.svd(features_NH, full_matrices=False)
    projected = left.T @ labels_N
    return [right_H.T @ (singular / (singular**2 + alpha) * projected) for alpha in alphas]


def transform(rewards_NJ: ArrayLike, verbosity: int) -> Floats:
    """The matrix that takes verbosity out: adjusted = rewards @ T. [J][J]

    Of every other objective i the smallest penalty p of PENALTIES with Spearman correlation of
    R_i - p R_v and R_v at most MOST_CORRELATION, or 1 where none reaches that; T[v, i] = -p, and
    verbosity itself counts nothing.
    """
    rewards_NJ = np.asarray(rewards_NJ, dtype=np.float64)
    num = rewards_NJ.shape[1]
    matrix_JJ = np.eye(num)
    wordy_N = rewards_NJ[:, verbosity]
    for i in range(num):
        matrix_JJ[verbosity, i] -= _penalty(rewards_NJ[:, i], wordy_N) if i != verbosity else 1.0
    return matrix_JJ


def _penalty(reward_N: Floats, wordy_N: Floats) -> float:
    for penalty in PENALTIES:
        correlation = stats.spearmanr(reward_N - penalty * wordy_N, wordy_N).statistic
        if correlation <= MOST_CORRELATION:
            return penalty
    return 1.0
