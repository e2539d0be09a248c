"""Krippendorff's alpha against values worked out by hand, and its interval."""

import numpy as np
import pytest

from results.agreement import FEW, agreement

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
