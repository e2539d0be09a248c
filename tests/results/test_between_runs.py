"""The spread of run scores: worked values, and samplers whose items are drawn apart or together."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.between_runs import Spread, std_interval, within_item


def spread_of(credits_QS: np.ndarray) -> Spread:
    """[Q, S] credits as the sums that a run keeps of them."""
    within = sum(within_item(credits_S) for credits_S in credits_QS)
    return Spread(credits_QS.sum(axis=0), len(credits_QS), within)


def scores(*values: float) -> Spread:
    return Spread(np.array(values), 1, 0.0)


def flat(num_items: int, mean: float = 0.5) -> Spread:
    """Any pool of that mean: the bound needs no more."""
    return Spread(np.full(4, mean * num_items), num_items, 0.0)


def test_run_scores_give_the_worked_figures() -> None:
    found = scores(60, 62, 64, 70)
    assert (found.mean, found.best, found.worst, found.delta) == (64, 70, 60, 10)
    assert found.std(0) == pytest.approx(3.741657, abs=1e-6)
    assert found.std(1) == pytest.approx(4.320494, abs=1e-6)
    assert math.isnan(scores(60).std(1))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_half_of_delta_is_never_below_the_published_std(values: list[float]) -> None:
    found = scores(*values)
    assert found.delta / 2 >= found.std(0) - 1e-12


@pytest.mark.parametrize(("items", "points"), [(164, 3.904), (1319, 1.3767), (3000, 0.9129)])
def test_independent_items_bound_the_std_by_their_number(items: int, points: float) -> None:
    assert 100 * flat(items).bound == pytest.approx(points, abs=5e-4)


@pytest.mark.parametrize(
    ("items", "mean", "published"),
    [(1319, 0.644, 2.50), (1319, 0.720, 1.74), (1319, 0.365, 3.20), (164, 0.364, 4.92)],
)
def test_published_stds_are_above_what_independent_items_allow(
    items: int, mean: float, published: float
) -> None:
    assert published > 100 * flat(items, mean).bound


def runs(shared: bool, num_items: int = 400, num_runs: int = 64) -> Spread:
    """Items of known difficulty; each run has one random number for all of them, or one for
    each."""
    rng = np.random.default_rng(5)
    chances_Q1 = rng.uniform(0.3, 0.7, size=(num_items, 1))
    numbers = rng.random((1 if shared else num_items, num_runs))
    return spread_of((numbers < chances_Q1).astype(float))


def test_items_drawn_apart_stay_below_the_bound_and_near_what_they_make_likely() -> None:
    found = runs(shared=False)
    assert found.std(1) < found.bound
    low, high = std_interval(found.std(1), found.runs, level=0.999) or (0, 0)
    assert low < found.independent < high
    assert found.independent < found.bound


def test_a_random_number_that_a_run_shares_puts_it_above_the_bound() -> None:
    found = runs(shared=True)
    low, _ = std_interval(found.std(1), found.runs, level=0.999) or (0, 0)
    assert low > found.bound
    # What each item varies by is the same either way: only together do they move too far.
    assert found.independent == pytest.approx(runs(shared=False).independent, rel=0.1)


def test_the_interval_of_a_std_holds_the_true_one_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    stds = rng.normal(0.5, 0.01, size=(4000, 8)).std(axis=1, ddof=1)
    ends = np.array([std_interval(std, 8) for std in stds])
    share = np.mean((ends[:, 0] < 0.01) & (ends[:, 1] > 0.01))
    assert share == pytest.approx(0.95, abs=0.015)


def test_the_interval_of_a_std_ends_where_scores_can_be_no_further_apart() -> None:
    low, high = std_interval(0.2357, 2) or (0.0, 0.0)
    assert low == pytest.approx(0.1052, abs=1e-4)
    assert high == pytest.approx(np.std([0.0, 1.0], ddof=1))


def test_equal_runs_and_a_single_one_have_no_interval() -> None:
    assert std_interval(0.0, 8) is None
    assert std_interval(0.1, 1) is None
