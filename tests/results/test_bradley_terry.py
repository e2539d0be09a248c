"""Ratings against closed forms, known strengths, and data that no finite rating fits."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from results.bradley_terry import ANCHOR, POINTS, expected, interval, ratings, resampled


def rated(wins: list[list[float]], anchor: int = 0) -> list[float]:
    found: list[float] = ratings(np.array(wins, dtype=np.float64), anchor).tolist()
    return found


@pytest.mark.parametrize(("won", "lost"), [(3.0, 1.0), (1.0, 1.0), (0.5, 99.5), (1e-3, 1e3)])
def test_two_players_are_the_log_odds_of_their_wins_apart(won: float, lost: float) -> None:
    _, second = rated([[0, lost], [won, 0]])
    assert second == pytest.approx(ANCHOR + 400 * math.log10(won / lost))
    assert expected(second) == pytest.approx(won / (won + lost))


def test_the_likelihood_has_its_maximum_there() -> None:
    rng = np.random.default_rng(3)
    wins_PP = rng.integers(1, 9, size=(5, 5)) * 0.5

    def loss(strength: np.ndarray) -> float:
        chance = expit(np.subtract.outer([0.0, *strength], [0.0, *strength]))
        np.fill_diagonal(chance, 1.0)
        return -float((wins_PP * np.log(chance)).sum())

    found = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    assert (ratings(wins_PP, 0)[1:] - ANCHOR) / POINTS == pytest.approx(found, abs=1e-5)


def simulated(true: np.ndarray, num: int, seed: int) -> np.ndarray:
    """Wins in each of `num` items in which everyone meets everyone once, [G, P, P]."""
    rng = np.random.default_rng(seed)
    chance = expit(np.subtract.outer(true, true))
    upper = np.triu(rng.random((num, len(true), len(true))) < chance, 1)
    lower = np.triu(np.ones_like(chance), 1) - upper
    return upper + lower.transpose(0, 2, 1)


def test_known_strengths_are_found_and_lie_in_their_intervals() -> None:
    true = np.array([0.0, 0.8, -0.5, 1.5])
    wanted = ANCHOR + POINTS * true
    wins_GPP = simulated(true, 4000, seed=1)
    assert ratings(wins_GPP.sum(0), 0) == pytest.approx(wanted, abs=20)
    covered = 0
    for seed in range(40):
        found = resampled(simulated(true, 100, seed), 0, num_resamples=100, seed=seed)
        bounds = [interval(found[:, player]) for player in range(1, 4)]
        covered += sum(lo <= w <= hi for (lo, hi), w in zip(bounds, wanted[1:], strict=True))
    assert 0.88 <= covered / 120 <= 1.0


def test_the_order_of_players_and_of_items_does_not_matter() -> None:
    wins_GPP = simulated(np.array([0.0, 0.3, 0.9]), 50, seed=2)
    one = ratings(wins_GPP.sum(0), 0)
    order = [2, 0, 1]
    other = ratings(wins_GPP[::-1][:, order][:, :, order].sum(0), order.index(0))
    assert other == pytest.approx(one[order])


def test_another_anchor_moves_all_ratings_alike() -> None:
    wins = [[0, 3, 1], [2, 0, 4], [5, 1, 0]]
    one, other = np.array(rated(wins)), np.array(rated(wins, 2))
    assert np.ptp(one - other) == pytest.approx(0.0, abs=1e-6)
    assert other[2] == ANCHOR


def test_one_who_always_wins_has_no_finite_rating_and_the_others_keep_theirs() -> None:
    first, second, best, worst = rated([[0, 3, 0, 2], [1, 0, 0, 2], [5, 5, 0, 5], [0, 0, 0, 0]])
    assert (best, worst) == (math.inf, -math.inf)
    assert (expected(best), expected(worst)) == (1.0, 0.0)
    assert [first, second] == pytest.approx(rated([[0, 3], [1, 0]]))


def test_players_whom_no_chain_of_bouts_tells_apart_have_no_rating() -> None:
    apart = rated([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 2], [0, 0, 1, 0]])
    assert apart[:2] == [ANCHOR, ANCHOR]
    assert all(map(math.isnan, apart[2:]))
    # Both beat the third, which tells nothing of these two.
    assert math.isnan(rated([[0, 0, 1], [0, 0, 1], [0, 0, 0]])[1])


def test_no_end_of_an_interval_hides_a_resample_without_a_finite_rating() -> None:
    wins_GPP = np.array([[[0, 1], [0, 0]], *[[[0, 0], [1, 0]]] * 4], dtype=np.float64)
    found = resampled(wins_GPP, 0, num_resamples=400, seed=0)[:, 1]
    low, high = interval(found)
    assert math.isfinite(ratings(wins_GPP.sum(0), 0)[1])
    assert low < ANCHOR + 400 * math.log10(4)
    assert high == math.inf
    unknown = np.where(np.isinf(found), math.nan, found)
    assert interval(unknown) == (-math.inf, math.inf)
