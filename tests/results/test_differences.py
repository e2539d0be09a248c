import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from results.differences import (
    holm,
    mcnemar,
    paired_difference,
    paired_differences,
    unpaired_differences,
)

RNG = np.random.default_rng(7)


def test_a_paired_difference_counts_flips_both_ways() -> None:
    values, baseline = [1.0] * 30 + [0.0] * 70, [0.0] * 20 + [1.0] * 15 + [0.0] * 65
    found = paired_difference(values, baseline)
    assert (found.gains, found.losses, found.items) == (20, 5, 100)
    assert found.value == pytest.approx(0.15)
    assert found.p == pytest.approx(stats.binomtest(5, 25).pvalue)
    assert found.low < 0.15 < found.high
    reverse = paired_difference(baseline, values)
    assert (reverse.gains, reverse.value) == (5, pytest.approx(-0.15))


def test_random_signs_agree_with_scipys_permutation_test() -> None:
    values = np.clip(RNG.random(60) + 0.08, 0, 1)
    baseline = RNG.random(60)
    theirs = stats.permutation_test(
        (values - baseline,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        n_resamples=9999,
        vectorized=True,
        rng=np.random.default_rng(3),
    )
    found = paired_difference(values, baseline)
    assert found.p == pytest.approx(theirs.pvalue, abs=0.02)
    normal = 2 * stats.norm.sf(
        abs((values - baseline).sum()) / np.sqrt(((values - baseline) ** 2).sum())
    )
    assert found.p == pytest.approx(normal, abs=0.03)


def test_with_few_differences_every_sign_pattern_is_tried() -> None:
    # Six differences of one sign: 2 of 64 patterns are as extreme.
    found = paired_difference([0.9] * 6 + [0.5] * 50, [0.4, 0.3, 0.2, 0.1, 0.5, 0.6] + [0.5] * 50)
    assert found.p == pytest.approx(2 / 64)


def test_clusters_flip_together() -> None:
    values, baseline = np.ones(40), np.zeros(40)
    groups = np.repeat(np.arange(4), 10).tolist()
    assert paired_difference(values, baseline, groups=groups).p == pytest.approx(2 / 16)
    assert paired_difference(values, baseline).p == pytest.approx(mcnemar(40, 0))


def test_no_observed_difference_still_says_how_large_one_might_be() -> None:
    small, large = (paired_difference([0.5] * n, [0.5] * n) for n in (20, 2000))
    assert small.value == 0
    assert small.p == 1
    assert small.low == -small.high < 0
    assert 0 < large.high < small.high / 20
    share = stats.binomtest(0, 20).proportion_ci(0.975, method="exact").high
    assert small.high == pytest.approx(share)


def test_a_difference_from_one_item_is_open_both_ways() -> None:
    found = paired_difference([1.0], [0.0])
    assert (found.low, found.high, found.p) == (-1, 1, 1)


def test_difference_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(13)
    for n, gain, loss in ((40, 0.05, 0.02), (150, 0.2, 0.1)):
        draws = rng.random((600, n))
        values, baseline = draws < 0.4 + gain, (draws >= loss) & (draws < 0.4)
        runs = paired_differences(values, baseline, num_resamples=500)
        assert np.mean([run.low <= gain + loss <= run.high for run in runs]) >= 0.92


def test_p_values_of_equal_methods_are_not_too_small() -> None:
    rng = np.random.default_rng(14)
    runs = [
        run
        for seed in range(8)  # The columns of one call share their random signs.
        for run in paired_differences(
            rng.random((1000, 40)), rng.random((1000, 40)), num_resamples=2, seed=seed
        )
    ]
    assert 0.04 < np.mean([run.p < 0.05 for run in runs]) < 0.06


def test_differences_are_over_common_items() -> None:
    found = paired_difference([1.0, float("nan"), 0.5, 1.0], [float("nan"), 1.0, 0.5, 0.0])
    assert (found.items, found.value) == (2, 0.5)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_mcnemar_and_holm_on_random_data_are_those_of_statsmodels() -> None:
    rng = np.random.default_rng(17)
    assert mcnemar(0, 0) == 1
    for gains, losses in rng.integers(0, 60, (20, 2)).tolist():
        theirs = their_mcnemar([[5, gains], [losses, 9]], exact=True).pvalue
        assert mcnemar(gains, losses) == pytest.approx(theirs)
    for num in (1, 2, 7, 40):
        p = rng.random(num) ** 3
        assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1].tolist())


def test_clustered_differences_have_the_sandwich_error_of_statsmodels() -> None:
    rng = np.random.default_rng(18)
    groups = rng.integers(0, 6000, 20000)
    shared = rng.normal(0, 0.1, 6000)[groups]
    delta = np.clip(shared + rng.normal(0.02, 0.1, 20000), -1, 1)
    found = paired_difference(np.maximum(delta, 0), np.maximum(-delta, 0), groups=groups.tolist())
    theirs = OLS(delta, np.ones(20000)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert found.value == pytest.approx(theirs.params[0])
    assert found.stderr == pytest.approx(theirs.bse[0], rel=1e-4)


def test_unpaired_shares_have_newcombes_interval_and_fishers_p() -> None:
    rng = np.random.default_rng(19)
    for n, m in ((12, 40), (300, 200)):
        for chance in (0.0, 0.1, 0.6):
            a, b = rng.random(n) < chance + 0.1, rng.random(m) < chance
            (found,) = unpaired_differences(a[None], b[None])
            theirs = confint_proportions_2indep(
                a.sum(), n, b.sum(), m, method="newcomb", compare="diff"
            )
            assert (found.low, found.high) == pytest.approx(theirs)
            table = [[a.sum(), n - a.sum()], [b.sum(), m - b.sum()]]
            assert found.p == pytest.approx(stats.fisher_exact(table).pvalue)
            assert (found.items, found.gains, found.losses) == (min(n, m), None, None)


def test_unpaired_credits_agree_with_welch() -> None:
    rng = np.random.default_rng(20)
    a, b = rng.beta(2, 2, 400), rng.beta(2, 3, 250)
    (found,) = unpaired_differences(a[None], b[None])
    theirs = CompareMeans(DescrStatsW(a), DescrStatsW(b))
    assert found.p == pytest.approx(theirs.ttest_ind(usevar="unequal")[1])
    wanted = theirs.tconfint_diff(usevar="unequal")
    assert (found.low, found.high) == pytest.approx(wanted, abs=0.004)
    assert found.value == pytest.approx(a.mean() - b.mean())


def test_copies_of_unpaired_items_in_their_clusters_add_no_certainty() -> None:
    rng = np.random.default_rng(21)
    a, b = (rng.random(80) < 0.6).astype(float), (rng.random(90) < 0.4).astype(float)
    alone = unpaired_differences(a[None], b[None])[0]
    together = unpaired_differences(
        np.repeat(a, 4)[None],
        np.repeat(b, 4)[None],
        groups=np.repeat(np.arange(80), 4).tolist(),
        baseline_groups=np.repeat(np.arange(90), 4).tolist(),
    )[0]
    assert together.stderr == pytest.approx(alone.stderr, rel=0.1)
    assert together.value == pytest.approx(alone.value)
    assert together.p < 0.1
    assert together.p > alone.p / 20


def test_unpaired_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(22)
    for chance, other, n, m in ((0.05, 0.02, 60, 60), (0.5, 0.3, 40, 120)):
        runs = unpaired_differences(
            (rng.random((200, n)) < chance).astype(float),
            (rng.random((200, m)) < other).astype(float),
            num_resamples=2,
        )
        assert np.mean([run.low <= chance - other <= run.high for run in runs]) >= 0.92


def test_two_unpaired_constants_are_told_apart_as_far_as_chance_allows() -> None:
    (apart,) = unpaired_differences([[0.5] * 3], [[0.7] * 3])
    (same,) = unpaired_differences([[0.5] * 3], [[0.5] * 3])
    (single,) = unpaired_differences([[0.5]], [[0.7] * 9])
    assert (apart.p, same.p, single.p) == (pytest.approx(2 / 20), 1.0, 1.0)
