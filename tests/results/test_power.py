"""Effects that can be shown and items that they need, against statsmodels and by simulation."""

from math import hypot, sqrt

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import NormalIndPower

from results.differences import paired_differences
from results.power import about, items_needed, minimum_detectable_effect, spread_of


def test_the_detectable_effect_has_the_power_it_says() -> None:
    effect = minimum_detectable_effect(0.02)
    assert effect == pytest.approx(0.02 * (1.959964 + 0.841621), rel=1e-5)
    assert stats.norm.sf(1.959964 - effect / 0.02) == pytest.approx(0.8, abs=1e-5)


@pytest.mark.parametrize("paired", [True, False])
def test_the_numbers_of_items_are_those_of_statsmodels(paired: bool) -> None:
    rng = np.random.default_rng(23)
    for _ in range(10):
        effect, level, power = rng.uniform([0.01, 0.9, 0.7], [0.2, 0.99, 0.95])
        sides = rng.uniform(0.2, 0.5, 2)
        spread = sides[0] if paired else hypot(*sides)
        # Theirs is in units of one side's spread, of two sides alike.
        unit = spread if paired else spread / sqrt(2)
        theirs = NormalIndPower().solve_power(
            effect / unit, alpha=1 - level, power=power, ratio=0 if paired else 1
        )
        found = items_needed(effect, spread, level=level, power=power)
        assert found == pytest.approx(theirs, rel=0.01, abs=1.01)


def test_that_many_items_detect_the_effect_and_fewer_do_not() -> None:
    needed = items_needed(-0.03, 0.4)
    assert needed is not None
    assert minimum_detectable_effect(0.4 / sqrt(needed)) <= 0.03
    assert minimum_detectable_effect(0.4 / sqrt(needed - 1)) > 0.03
    assert spread_of(0.4 / sqrt(needed), needed) == pytest.approx(0.4)


def test_no_number_of_items_shows_a_difference_that_is_not_there() -> None:
    assert items_needed(0.0, 0.4) is None


def test_a_simulated_comparison_of_that_size_finds_the_effect_as_often_as_asked() -> None:
    gain, loss = 0.15, 0.05
    needed = items_needed(gain - loss, sqrt(gain + loss - (gain - loss) ** 2))
    assert needed is not None
    draws = np.random.default_rng(24).random((300, needed))
    runs = paired_differences(draws < gain, draws > 1 - loss, num_resamples=2)
    assert 0.7 < np.mean([run.p < 0.05 for run in runs]) < 0.88


def test_numbers_of_items_are_told_in_two_digits_and_never_too_few() -> None:
    found = [about(items) for items in (7, 40, 483, 1678, 81604, 990001)]
    assert found == [
        *("about 7", "about 40", "about 490", "about 1,700", "about 82,000", "about 1,000,000")
    ]
