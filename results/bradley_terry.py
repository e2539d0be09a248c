"""Bradley-Terry strengths of players from their bouts, on the scale of Elo. Arrays in, arrays out.

    wins[i, j], how often i beat j  --maximum likelihood-->  rating R of each player
    P(i beats j) = 1 / (1 + 10^((R_j - R_i) / 400))

A tie is half a win for each; bouts may have weights. Ratings are relative to one player, the
anchor. They are finite between players that have each beaten the other, be it over others (Ford
1957). One that has only ever beaten has rating +inf, one that was only beaten -inf; one with no
chain of bouts that tells it from the anchor has NaN. Nothing is added to the data to make these
finite.

Axes: `P` player, `G` cluster of items, `R` resample.
Sources: Bradley & Terry 1952; Ford 1957 (when the maximum exists); Elo 1978 (base 10, 400 points).
"""

import math

import numpy as np
from scipy.special import expit, logit

from results.resampling import Floats

ANCHOR = 1000.0
"""The anchor's rating."""
POINTS = 400.0 / math.log(10.0)
"""Elo points of one unit of log odds."""
LONGEST_STEP = 1.0
"""Of Newton's method, in log odds: beyond it the curvature says too little."""
SETTLED = 1e-10


def ratings(wins_PP: Floats, anchor: int) -> Floats:
    """The rating of each player, [P]; the diagonal of wins is not looked at."""
    wins_PP = wins_PP - np.diag(np.diag(wins_PP))
    above_PP = _reach(wins_PP > 0)
    above, below = above_PP[:, anchor], above_PP[anchor]
    rating_P = np.select([above & below, above, below], [0.0, math.inf, -math.inf], math.nan)
    level = np.flatnonzero(above & below)
    strength = _fit(wins_PP[np.ix_(level, level)])
    rating_P[level] = ANCHOR + POINTS * (strength - strength[level.tolist().index(anchor)])
    return rating_P


def expected(rating: float) -> float:
    """How often a player of that rating beats the anchor; a tie is half a win."""
    return float(expit((rating - ANCHOR) / POINTS))


def rating_at(win_rate: float) -> float:
    """The rating of a player who beats the anchor that often: the inverse of `expected`."""
    return ANCHOR + POINTS * float(logit(win_rate))


def resampled(wins_GPP: Floats, anchor: int, *, num_resamples: int, seed: int) -> Floats:
    """The ratings under resamples of the clusters, [R, P]."""
    num, rng = len(wins_GPP), np.random.default_rng(seed)
    chance_G = np.full(num, 1.0 / num)
    # One resample at a time: all of them at once would be R x G numbers.
    found = []
    for _ in range(num_resamples):
        wins_PP: Floats = np.einsum("g,gij->ij", rng.multinomial(num, chance_G), wins_GPP)
        found.append(ratings(wins_PP, anchor))
    return np.array(found)


def interval(rating_R: Floats, level: float = 0.95) -> tuple[float, float]:
    """Percentiles of a player's resampled ratings. A resample that doesn't tell the player from the
    anchor counts as any rating: it widens both ends.
    """
    tail = (1.0 - level) / 2.0
    unknown_R = np.isnan(rating_R)
    low_R = np.sort(np.where(unknown_R, -math.inf, rating_R))
    high_R = np.sort(np.where(unknown_R, math.inf, rating_R))
    # Without interpolation, which infinities don't stand.
    last = len(rating_R) - 1
    return float(low_R[math.floor(tail * last)]), float(high_R[math.ceil((1.0 - tail) * last)])


def _reach(beaten_PP: np.ndarray) -> np.ndarray:
    """Who has beaten whom, be it over others; everyone reaches themselves."""
    reach = beaten_PP | np.eye(len(beaten_PP), dtype=np.bool_)
    for via in range(len(reach)):
        reach |= np.outer(reach[:, via], reach[via])
    return reach


def _fit(wins_PP: Floats) -> Floats:
    """Log strengths of players of whom each has beaten each other, be it over others; their sum is
    0. Newton's method on a concave likelihood.
    """
    num = len(wins_PP)
    bouts_PP = wins_PP + wins_PP.T
    strength_P = np.zeros(num)
    for _ in range(1000):
        chance_PP = expit(np.subtract.outer(strength_P, strength_P))
        slope_P = (wins_PP - bouts_PP * chance_PP).sum(axis=1)
        curve_PP = bouts_PP * chance_PP * (1.0 - chance_PP)
        # Only differences count: the added constant fixes the sum and makes the matrix regular.
        matrix = np.diag(curve_PP.sum(axis=1)) - curve_PP + 1.0 / num
        step_P = np.linalg.solve(matrix, slope_P)
        longest = float(np.abs(step_P).max())
        strength_P += step_P * min(1.0, LONGEST_STEP / max(longest, SETTLED))
        if longest < SETTLED:
            break
    return strength_P
