"""Win rates at equal length: by alpaca_eval's fit."""

import sys
from array import array
from collections.abc import Sequence

import numpy as np
import pytest

from actors.types import ConfigError
from pipelines.length_control import _Column, _jackknife, _row, controlled_rate


def test_a_judge_who_sees_nothing_but_length_prefers_neither_at_equal_length() -> None:
    rng = np.random.default_rng(0)
    length, baseline = rng.normal(900, 300, 400), np.full(400, 600.0)
    preference = rng.random(400) < 1 / (1 + np.exp(-4 * np.tanh((length - baseline) / 300)))
    assert preference.mean() > 0.8
    found = controlled_rate(preference.astype(float), length, baseline)
    assert found == pytest.approx(0.5, abs=0.12)


def test_without_an_effect_of_length_the_rate_stays() -> None:
    rng = np.random.default_rng(1)
    length, baseline = rng.normal(900, 300, 400), np.full(400, 600.0)
    preference = (rng.random(400) < 0.3).astype(float)
    found = controlled_rate(preference, length, baseline)
    assert found == pytest.approx(preference.mean(), abs=0.06)


def test_without_the_package_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Python does where a package is missing.
    monkeypatch.setitem(sys.modules, "alpaca_eval.metrics.glm_winrate", None)
    with pytest.raises(ConfigError, match=r"pip install 'lilliput\[alpaca-eval\]'"):
        controlled_rate(np.array([1.0]), np.array([1.0]), np.array([2.0]))


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    rng = np.random.default_rng(2)
    values = rng.random(20)
    without = [float(np.delete(values, i).mean()) for i in range(20)]
    low, high = _jackknife(float(values.mean()), without)
    stderr = values.std(ddof=1) / np.sqrt(20)
    assert (high - low) / 2 == pytest.approx(2.093 * stderr, rel=1e-3)


def column(preference: Sequence[float], length: Sequence[int], groups: str = "") -> _Column:
    items = [str(number) for number in range(len(length))]
    return _Column(
        preference=array("d", preference),
        length=array("d", length),
        baseline=array("d", [100] * len(length)),
        groups=list(groups) or items,
        items={*items},
    )


@pytest.mark.parametrize(
    ("preference", "length"),
    [
        ([0.0] * 20, range(50, 150, 5)),
        ([1.0] * 20, range(50, 150, 5)),
        ([0.5] * 20, range(50, 150, 5)),
        ([1.0] + [0.0] * 19, range(50, 150, 5)),
        ([0.0, 1.0] * 10, [100] * 20),
        ([0.0, 1.0] * 10, [120] + [100] * 19),
        # So little that the penalty takes every term out.
        (
            [n / 100 for n in (50, 50, 51, 50, 49, 51, 53, 52, 49, 47)] * 2,
            range(50, 150, 5),
        ),
    ],
)
def test_verdicts_or_lengths_that_are_all_alike_have_no_rate_at_equal_length(
    preference: list[float], length: Sequence[int]
) -> None:
    found = _row("judge", "player", column(preference, length))
    assert (found.controlled, found.low, found.why_not) == (None, None, "too much alike")
    assert found.win_rate == pytest.approx(np.mean(preference))


def test_clusters_are_what_there_may_be_too_few_of_and_items_are_counted() -> None:
    few = _row("judge", "player", column([0.0, 1.0] * 10, range(50, 150, 5), "ab" * 10))
    assert (few.items, few.controlled, few.why_not) == (20, None, "too few items")
    one = _row("judge", "player", column([1.0], [50]))
    assert (one.items, one.why_not) == (1, "too few items")
    enough = _row("judge", "player", column([1.0, 1.0, 1.0, 0.0] * 5, range(50, 150, 5)))
    assert enough.controlled is not None
    assert enough.low is not None
    assert enough.low < enough.controlled < 1.0
    assert enough.why_not == ""
