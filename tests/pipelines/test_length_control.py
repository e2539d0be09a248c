"""Win rates at equal length: by alpaca_eval's fit."""

import sys
from pathlib import Path

import numpy as np
import pytest

from actors.types import ConfigError
from pipelines.length_control import _jackknife, controlled_rate


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


def test_the_jackknife_of_a_mean_is_its_standard_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    values = rng.random(20)
    without = [float(np.delete(values, i).mean()) for i in range(20)]
    low, high = _jackknife(float(values.mean()), without)
    stderr = values.std(ddof=1) / np.sqrt(20)
    assert (high - low) / 2 == pytest.approx(2.093 * stderr, rel=1e-3)
