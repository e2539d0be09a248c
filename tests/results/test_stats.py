import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from results.stats import clopper_pearson, mean_interval, mean_intervals, wilson

RNG = np.random.default_rng(7)


def test_the_interval_agrees_with_scipys_bootstrap() -> None:
    values = RNG.beta(2, 3, 200)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=9999, rng=np.random.default_rng(1)
    )
    ours = mean_interval(values, num_resamples=9999)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.002)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.002)
    assert ours.stderr == pytest.approx(theirs.standard_error, rel=0.03)


def test_a_large_run_uses_the_normal_formula_and_small_runs_agree_with_it() -> None:
    values = RNG.random(6000)
    found = mean_interval(values)
    stderr = values.std(ddof=1) / np.sqrt(len(values))
    assert found.stderr == pytest.approx(stderr)
    assert found.high == pytest.approx(values.mean() + 1.959964 * stderr)
    assert mean_interval(values[:5000]).stderr == pytest.approx(
        values[:5000].std() / np.sqrt(5000), rel=0.05
    )


@pytest.mark.parametrize("num_clusters", [200, 5500])
def test_copies_of_an_item_in_its_cluster_add_no_certainty(num_clusters: int) -> None:
    values = RNG.random(num_clusters)
    copied, groups = np.repeat(values, 4), np.repeat(np.arange(num_clusters), 4)
    alone = mean_interval(values)
    together = mean_interval(copied, groups=groups.tolist())
    assert together.stderr == pytest.approx(alone.stderr, rel=0.05)
    assert mean_interval(copied).stderr == pytest.approx(alone.stderr / 2, rel=0.1)


@pytest.mark.parametrize("right", [0, 1, 4, 96, 99, 100])
def test_near_the_bounds_the_interval_is_clopper_pearsons(right: int) -> None:
    found = mean_interval([1.0] * right + [0.0] * (100 - right))
    theirs = stats.binomtest(right, 100).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert found.stderr > 0


def test_credit_without_spread_still_has_a_width() -> None:
    found = mean_interval([0.5] * 40)
    assert found.low < 0.5 < found.high


def test_one_item_says_nothing() -> None:
    found = mean_interval([1.0], bounds=(0, 10))
    assert (found.low, found.high) == (0, 10)
    several = mean_interval([1.0, 1.0, 0.0], groups=["a", "a", "a"])
    assert (several.low, several.high) == (0, 1)


def test_missing_values_leave_only_their_own_column_shorter() -> None:
    values = RNG.random((2, 300))
    values[1, 100:] = np.nan
    whole, part = mean_intervals(values)
    assert part.low < values[1, :100].mean() < part.high
    alone = mean_interval(values[0])
    assert (whole.low, whole.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
    assert part.stderr == pytest.approx(mean_interval(values[1, :100]).stderr, rel=0.1)


def test_a_column_that_some_resamples_miss_has_an_interval() -> None:
    values = np.full((1, 2000), np.nan)
    values[0, :11] = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0.5]
    (found,) = mean_intervals(values, num_resamples=500)
    assert 0 < found.low < 0.5 < found.high < 1


@pytest.mark.parametrize("values", [[], [0.5, 1.5], [-0.5], [float("nan")]])
def test_values_that_are_no_credits_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="wanted"):
        mean_interval(values)


@pytest.mark.parametrize(("chance", "n"), [(0.02, 60), (0.5, 30), (0.9, 60), (0.6, 250)])
def test_intervals_cover_the_truth_about_as_often_as_they_say(chance: float, n: int) -> None:
    rng = np.random.default_rng(11)
    runs = mean_intervals(rng.random((800, n)) < chance, num_resamples=500)
    covered = np.mean([run.low <= chance <= run.high for run in runs])
    assert covered >= 0.92
    # Not by being absurdly wide: nowhere more than twice the ideal width on average.
    ideal = 2 * 1.96 * np.sqrt(chance * (1 - chance) / n)
    assert np.mean([run.high - run.low for run in runs]) < 2 * ideal


def test_intervals_of_partial_credit_near_the_bound_cover_too() -> None:
    rng = np.random.default_rng(12)
    draws = rng.beta(0.1, 1.9, (800, 50))
    runs = mean_intervals(draws, num_resamples=500)
    assert np.mean([run.low <= 0.05 <= run.high for run in runs]) >= 0.95


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_intervals_of_random_shares_are_those_of_statsmodels(level: float) -> None:
    rng = np.random.default_rng(15)
    for n in rng.integers(1, 2000, 40).tolist():
        right = int(rng.integers(0, n + 1))
        for ours, name in ((clopper_pearson, "beta"), (wilson, "wilson")):
            found = ours(right, n, level)
            theirs = proportion_confint(right, n, alpha=1 - level, method=name)
            assert (found.low, found.high) == pytest.approx(theirs, abs=1e-9)
            assert found.stderr > 0


def test_exact_intervals_take_credit_that_is_no_whole_number() -> None:
    assert clopper_pearson(0, 10).high == pytest.approx(1 - 0.025 ** (1 / 10))
    between = [clopper_pearson(credit, 10).low for credit in (2, 2.5, 3)]
    assert between == sorted(between)


def test_a_percentile_interval_of_a_mean_is_as_good_as_a_bca_one() -> None:
    values = np.random.default_rng(16).random(300) ** 3
    theirs = stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=9999, rng=np.random.default_rng(1)
    ).confidence_interval
    ours = mean_interval(values)
    width = theirs.high - theirs.low
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.06 * width)
