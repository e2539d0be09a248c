"""Krippendorff's alpha against nltk and values worked out by hand, and its interval; kappa."""

from typing import Any

import numpy as np
import pytest
from nltk.metrics.agreement import AnnotationTask
from nltk.metrics.distance import binary_distance, interval_distance
from statsmodels.stats.inter_rater import cohens_kappa

from results.agreement import FEW, Level, agreement, kappa

NAN = float("nan")
PUBLISHED = np.array(
    [
        [NAN, NAN, NAN, NAN, NAN, 3, 4, 1, 2, 1, 1, 3, 3, NAN, 3],
        [1, NAN, 2, 1, 3, 3, 4, 3, NAN, NAN, NAN, NAN, NAN, NAN, NAN],
        [NAN, NAN, 2, 1, 3, 4, 4, NAN, 2, 1, 1, 3, 3, NAN, 4],
    ]
).T
"""Three judges of 15 units, of which three have fewer than two verdicts."""


def noisy(num: int, noise: float, seed: int = 0) -> np.ndarray:
    """Two judges of one truth."""
    rng = np.random.default_rng(seed)
    return np.rint(rng.uniform(0, 5, (num, 1)) + rng.normal(0, noise, (num, 2)))


def test_nominal_alpha_by_hand() -> None:
    # 5 ones and 3 twos: 2 of 8 coincide with another value; at random 2*5*3 of 8*7 would.
    units = np.array([[1, 1], [2, 2], [1, 2], [1, 1.0]])
    found = agreement(units, "nominal", groups=range(4))
    assert found is not None
    assert found.value == pytest.approx(1 - (2 / 8) / (30 / 56))


def test_interval_alpha_by_hand() -> None:
    # Squared differences: 2*1 of 6 pairs; at random (6*31 - 13**2) * 2 of 6*5.
    units = np.array([[1, 2], [3, 3], [2, 2.0]])
    found = agreement(units, "interval", groups=range(3))
    assert found is not None
    assert found.value == pytest.approx(1 - (2 / 6) / (34 / 30))


@pytest.mark.parametrize(("level", "value"), [("nominal", 0.691), ("interval", 0.811)])
def test_missing_verdicts_are_left_out_as_published(level: str, value: float) -> None:
    found = agreement(PUBLISHED, level, groups=range(15))  # type: ignore[arg-type]
    assert found is not None
    assert found.value == pytest.approx(value, abs=5e-4)


def test_agreement_is_undefined_without_two_verdicts_or_two_values() -> None:
    assert agreement(np.array([[1, NAN], [NAN, 2.0]]), "interval", groups=[0, 1]) is None
    assert agreement(np.array([[3, 3], [3, 3.0]]), "interval", groups=[0, 1]) is None
    assert agreement(np.empty((0, 2)), "nominal", groups=[]) is None


def test_units_of_one_item_are_drawn_together() -> None:
    units = noisy(60, 1.0)
    alone = agreement(units, "interval", groups=range(60))
    together = agreement(np.repeat(units, 4, axis=0), "interval", groups=np.arange(240) // 4)
    once = agreement(np.repeat(units, 4, axis=0), "interval", groups=range(240))
    assert alone is not None
    assert together is not None
    assert once is not None
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.25)
    assert once.high - once.low < 0.7 * (together.high - together.low)


@pytest.mark.parametrize("num", [FEW, 2 * FEW])
def test_the_interval_narrows_with_the_number_of_items_however_it_is_made(num: int) -> None:
    found = agreement(noisy(num, 1.0), "interval", groups=range(num))
    few = agreement(noisy(num // 10, 1.0), "interval", groups=range(num // 10))
    assert found is not None
    assert few is not None
    assert found.low < found.value < found.high
    assert few.high - few.low > 1.5 * (found.high - found.low)
    # Truth has variance 25/12 + 1/12 once rounded, each judge a noise of 1 + 1/12.
    assert found.low < (26 / 12) / (26 / 12 + 1) < found.high


def test_full_agreement_of_a_few_items_may_be_chance() -> None:
    units = np.repeat(noisy(10, 1.0)[:, :1], 2, axis=1)
    few = agreement(units, "interval", groups=range(10))
    many = agreement(np.repeat(units, 10, axis=0), "interval", groups=range(100))
    assert few is not None
    assert many is not None
    assert (few.value, few.high) == (1.0, 1.0)
    unseen = 1 - 0.025 ** (1 / 10)
    assert few.low == pytest.approx(1 - 2 * unseen), "none of 10 disagree in full"
    assert few.low < many.low < 1.0


def test_one_item_says_nothing_of_the_spread() -> None:
    found = agreement(noisy(9, 1.0), "interval", groups=[4] * 9)
    assert found is not None
    assert (found.low, found.high) == (-1.0, 1.0)


@pytest.mark.parametrize("num_values", [2, 4])
def test_kappa_of_random_verdicts_is_cohens(num_values: int) -> None:
    rng = np.random.default_rng(num_values)
    for num in (20, 300):
        truth = rng.integers(0, num_values, num)
        units = np.stack(
            [np.where(rng.random(num) < 0.6, truth, rng.integers(0, num_values, num))] * 2, axis=1
        ).astype(float)
        units[:, 1] = np.where(rng.random(num) < 0.7, units[:, 1], rng.integers(0, num_values, num))
        counts = np.zeros((num_values, num_values))
        np.add.at(counts, tuple(units.T.astype(int)), 1)
        theirs = cohens_kappa(counts)
        found = kappa(units, groups=range(num))
        assert found is not None
        assert found.value == pytest.approx(theirs.kappa)
        assert (found.low, found.high) == pytest.approx(
            (theirs.kappa_low, theirs.kappa_upp), abs=0.1
        )


def test_kappa_of_three_judges_is_the_mean_over_pairs_of_units_with_two_verdicts() -> None:
    rng = np.random.default_rng(5)
    units = rng.integers(0, 2, (80, 3)).astype(float)
    pairs = [kappa(units[:, [i, j]], groups=range(80)) for i, j in ((0, 1), (0, 2), (1, 2))]
    found = kappa(units, groups=range(80))
    assert found is not None
    assert found.value == pytest.approx(np.mean([pair.value for pair in pairs if pair is not None]))
    with_gap = np.vstack([units[:, :2], [[1, NAN]], [[NAN, NAN]]])
    assert kappa(with_gap, groups=range(82)) == kappa(units[:, :2], groups=range(80))


def test_kappa_is_undefined_where_chance_explains_all_agreement() -> None:
    assert kappa(np.ones((9, 2)), groups=range(9)) is None
    assert kappa(np.array([[1, NAN], [NAN, 2.0]]), groups=[0, 1]) is None


@pytest.mark.parametrize(
    ("level", "distance"), [("nominal", binary_distance), ("interval", interval_distance)]
)
def test_alpha_on_random_data_with_gaps_is_nltks(level: Level, distance: Any) -> None:
    rng = np.random.default_rng(6)
    for num, judges in ((15, 3), (60, 5)):
        truth = rng.integers(1, 6, (num, 1))
        noise = rng.integers(0, 3, (num, judges))
        verdicts = np.where(rng.random((num, judges)) < 0.3, NAN, truth + noise)
        given = [(j, u, verdicts[u, j]) for u, j in np.argwhere(np.isfinite(verdicts))]
        found = agreement(verdicts, level, groups=range(num))
        assert found is not None
        theirs = AnnotationTask(given, distance=distance).alpha()
        assert found.value == pytest.approx(theirs, abs=1e-9)
