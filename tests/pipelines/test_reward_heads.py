"""The linear part of a reward head: what is planted is found again."""

import numpy as np
import pytest
from scipy import stats

from pipelines.methods.reward_heads import MOST_CORRELATION, centred, ridge, transform

RNG = np.random.default_rng(5)
NUM, WIDTH = 400, 12
FEATURES = RNG.normal(size=(NUM, WIDTH))
PLANTED = RNG.normal(size=WIDTH)
HELD = np.arange(NUM) % 5 == 0


def test_planted_weights_are_found_with_labels_missing():
    labels = FEATURES @ PLANTED + RNG.normal(0.0, 0.01, NUM)
    labels[RNG.random(NUM) < 0.4] = np.nan
    fit = ridge(FEATURES, labels, HELD)
    assert fit.weights_H == pytest.approx(PLANTED, abs=0.01)
    assert fit.held_mse < 0.001


def test_ridge_is_its_normal_equations():
    labels = FEATURES @ PLANTED + RNG.normal(0.0, 1.0, NUM)
    fit = ridge(FEATURES, labels, HELD, alphas=(3.0,))
    normal = FEATURES.T @ FEATURES + 3.0 * np.eye(WIDTH)
    assert fit.weights_H == pytest.approx(np.linalg.solve(normal, FEATURES.T @ labels), abs=1e-10)


def test_noise_asks_for_a_stronger_penalty_than_a_clean_label():
    clean = ridge(FEATURES, FEATURES @ PLANTED, HELD).alpha
    noise = ridge(FEATURES, RNG.normal(size=NUM), HELD).alpha
    assert noise > clean


def test_labels_on_one_side_only_are_refused():
    labels = np.where(HELD, 1.0, np.nan)
    with pytest.raises(ValueError, match="got 0 and 80"):
        ridge(FEATURES, labels, HELD)


def test_after_the_transform_no_objective_follows_verbosity_and_verbosity_counts_nothing():
    wordy = RNG.normal(size=NUM)
    rewards = np.column_stack([RNG.normal(size=NUM), RNG.normal(size=NUM) + 0.6 * wordy, wordy])
    matrix = transform(rewards, 2)
    adjusted = rewards @ matrix
    assert np.all(adjusted[:, 2] == 0.0)
    assert stats.spearmanr(rewards[:, 1], wordy).statistic > 0.3
    for i in range(2):
        assert stats.spearmanr(adjusted[:, i], wordy).statistic <= MOST_CORRELATION
    assert matrix[2, 1] == pytest.approx(-0.6, abs=0.1)
    assert np.all(matrix[:2, :2] == np.eye(2))
    # One that is verbosity many times over can't be rid of it.
    assert transform(np.column_stack([5.0 * wordy, wordy]), 1)[1, 0] == -1.0


def test_what_an_items_replies_share_is_taken_away():
    values = np.array([[1.0, 5.0], [3.0, np.nan], [10.0, 2.0], [14.0, 4.0]])
    items = [7, 7, 3, 3]
    found = centred(values, items)
    assert found[:, 0].tolist() == [-1.0, 1.0, -2.0, 2.0]
    assert found[0, 1] == 0.0
    assert np.isnan(found[1, 1])
    assert found[2:, 1].tolist() == [-1.0, 1.0]
