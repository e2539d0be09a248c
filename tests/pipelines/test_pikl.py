"""The game against worked numbers; those with six digits hold to 1e-5."""

import numpy as np
import pytest

from pipelines.methods.pikl import anchors, solve
from tests.pipelines.consensus_oracle import (
    FLAT,
    SYMMETRIC,
    A,
    B,
    both,
    first_policies,
    fixed_point,
    game,
    games,
    naive,
    near,
    one,
    potential,
    residuals,
    six,
)


def test_the_anchors_are_normalised_twice() -> None:
    generator, discriminator = first_policies(
        game([0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [0.8, 0.5, 0.2])
    )
    assert generator == near(np.array([[4, 3, 2], [2, 3, 4]]) / 9, abs=1e-15)
    assert discriminator[:, 0] == near(np.array([0.8, 0.5, 0.2]), abs=1e-15)
    generator, discriminator = first_policies(A)
    assert generator == near(np.array([[11 / 17, 6 / 17], [11 / 32, 21 / 32]]), abs=1e-15)
    assert discriminator[:, 0] == near(np.array([21 / 32, 6 / 17]), abs=1e-15)


def test_long_candidates_keep_their_contrast_and_nothing_is_ever_impossible() -> None:
    log_generator = np.array(
        [[[-300.0, -310.0, -5.0, -np.inf], [-302.0, -300.0, -np.inf, -np.inf]]]
    )
    log_discriminator = np.log(np.full((1, 4, 2), 0.5))
    generator, _ = first_policies((log_generator, log_discriminator))
    odds = generator[0] / generator[1]
    assert odds[0] / odds[1] == near(np.exp(12.0))
    assert odds[2] / odds[3] == near(np.exp(50.0))
    assert (generator > 0.0).all()
    impossible = anchors(log_generator[:, :, 3:], log_discriminator[:, 3:])
    assert impossible.generator_QVN.tolist() == [[[1.0], [1.0]]]
    never_correct = anchors(FLAT[0], np.array([[[-np.inf, 0.0]] * 2]))
    assert never_correct.discriminator_QNV.tolist() == [[[0.5, 0.5]] * 2]


def test_worked_steps_of_two_candidates() -> None:
    path = {1: 0.505254, 2: 0.506818, 3: 0.508390, 10: 0.519631, 100: 0.683368}
    found = [solve(*A, iterations=t).generator_QVN[0, 0, 0] for t in path]
    assert found == six(list(path.values()))
    hand = ((21 / 32 - 6 / 17) / 2 + 0.1 * np.log(11 / 6)) / 10.1
    assert found[0] == near(1 / (1 + np.exp(-hand)), abs=1e-12)
    regrets = {10: 0.0118, 100: 0.0255, 500: 0.0225, 1000: 0.0126, 5000: 0.00266}
    for t, regret in regrets.items():
        result = solve(*A, iterations=t)
        assert result.regret_generator_Q[0] == near(regret, abs=5e-5)
        assert result.regret_discriminator_Q[0] == near(regret, abs=5e-5)


@pytest.mark.parametrize(
    ("lam", "last", "says_correct", "fixed", "fixed_says", "residual", "regret"),
    [
        (0.1, 0.994755, [0.994958, 0.005245], 0.9962, 0.99635, 0.00139, 0.00266),
        (0.3, 0.839952, [0.845285, None], 0.859771, 0.864582, 0.0118, 0.00103),
        (1.0, 0.688744, [0.697340, None], 0.690085, 0.698678, None, 0.00029),
        (10.0, 0.650560, [None, None], 0.650594, None, None, 0.00012),
    ],
)
def test_worked_ends_of_two_candidates(
    lam: float,
    last: float,
    says_correct: list[float | None],
    fixed: float,
    fixed_says: float | None,
    residual: float | None,
    regret: float,
) -> None:
    result = solve(*A, **both(lam))
    assert result.generator_QVN[0, 0, 0] == six(last)
    for says, wanted in zip(result.discriminator_QNV[0, :, 0], says_correct, strict=True):
        assert wanted is None or says == six(wanted)
    at_rest = fixed_point(first_policies(A), (lam, lam))
    assert at_rest[0][0, 0] == near(fixed, abs=5e-5)
    assert fixed_says is None or at_rest[1][0, 0] == near(fixed_says, abs=5e-5)
    assert residual is None or result.residual_Q[0] == near(residual, abs=5e-5)
    assert result.residual_Q[0] == near(max(residuals(one(result), first_policies(A), lam)))
    assert result.regret_generator_Q[0] == near(regret, abs=5e-6)


def test_a_symmetric_game_has_a_closed_form() -> None:
    tau = first_policies(SYMMETRIC)
    assert [tau[0][0, 0], tau[1][0, 0]] == near([0.6, 0.7], abs=1e-15)
    rows = {
        1.0: ((0.6540260984, 0.7313188051), (0.652684, 0.730039)),
        0.3: ((0.8415476, 0.8792970), (0.820929, 0.860910)),
        0.1: ((0.9953919, 0.9969852), (0.993743, 0.995760)),
    }
    for lam, (closed, last) in rows.items():
        generator, discriminator = fixed_point(tau, (lam, lam))
        p, d = generator[0, 0], discriminator[0, 0]
        assert (p, d) == near(closed, abs=5e-8)
        assert np.log(p / (1 - p)) == near(np.log(1.5) + (2 * d - 1) / (2 * lam), abs=1e-9)
        assert np.log(d / (1 - d)) == near(np.log(7 / 3) + (2 * p - 1) / (2 * lam), abs=1e-9)
        result = solve(*SYMMETRIC, **both(lam))
        assert (result.generator_QVN[0, 0, 0], result.discriminator_QNV[0, 0, 0]) == six(last)
    long = solve(*SYMMETRIC, **both(1.0), iterations=200_000)
    assert (long.generator_QVN[0, 0, 0], long.discriminator_QNV[0, 0, 0]) == six(
        (0.653952, 0.731250)
    )


def test_worked_game_of_four_candidates_on_which_the_anchors_disagree_with_the_likelihood() -> None:
    tau = first_policies(B)
    assert tau[0][0] == six([0.266768, 0.312119, 0.247713, 0.173399])
    assert tau[0][1] == six([0.234485, 0.192525, 0.252116, 0.320874])
    assert tau[1][:, 0] == six([0.512594, 0.667526, 0.563452, 0.269417])
    product = tau[0][0] * tau[1][:, 0]
    assert product == six([0.136744, 0.208347, 0.139575, 0.046717])
    last, average = solve(*B), solve(*B, iterate="average")
    likelihood, mutual = B[0][0, 0], B[0][0, 0] + B[1][0, :, 0]
    assert np.exp(mutual) == six([0.22, 0.21, 0.12, 0.03])
    rankers = [likelihood, mutual, tau[0][0], tau[1][:, 0], product]
    rankers += [last.generator_QVN[0, 0], last.discriminator_QNV[0, :, 0]]
    assert [int(np.argmax(scores)) for scores in rankers] == [0, 0, 1, 1, 1, 1, 1]
    assert last.generator_QVN[0, 0] == six([0.109625, 0.732797, 0.152627, 0.004950])
    assert last.discriminator_QNV[0, :, 0] == six([0.591214, 0.978683, 0.689713, 0.006763])
    assert average.generator_QVN[0, 0] == six([0.141327, 0.664682, 0.175450, 0.018542])
    assert average.discriminator_QNV[0, :, 0] == six([0.580733, 0.936892, 0.663065, 0.034969])
    assert residuals(one(last), tau, 0.1) == near([0.028, 0.011], abs=5e-4)
    assert last.residual_Q[0] == near(max(residuals(one(last), tau, 0.1)))
    assert average.residual_Q[0] == near(max(residuals(one(average), tau, 0.1)))
    regrets = [last.regret_generator_Q[0], last.regret_discriminator_Q[0]]
    assert regrets == near([0.00327, 0.00268], abs=5e-6)
    assert potential(one(last), tau, 0.1) == near(0.7252, abs=5e-5)
    assert potential(tau, tau, 0.1) == near(0.5271, abs=5e-5)


def test_variants_and_other_pulls_of_the_worked_game() -> None:
    tau = first_policies(B)
    for seed in range(10):
        start = one(anchors(*games(seed, 1, 4)))
        generator, discriminator = fixed_point(tau, (0.1, 0.1), start)
        assert generator[0] == six([0.070661, 0.766320, 0.159935, 0.003084])
        assert discriminator[:, 0] == six([0.543765, 0.989104, 0.721960, 0.003565])
    uniform = solve(*B, first="uniform").generator_QVN[0, 0, 1]
    alternating = naive(tau, alternating=True)[-1][0][0, 1]
    assert [uniform, alternating] == six([0.732272, 0.732635])
    assert [uniform, alternating] == near([solve(*B).generator_QVN[0, 0, 1]] * 2, abs=1e-3)
    assert solve(*B, **both(1.0)).generator_QVN[0, 0, 1] == six(0.335045)
    assert fixed_point(tau, (1.0, 1.0))[0][0, 1] == six(0.335611)
    unequal = solve(*B, lambda_generator=0.01, lambda_discriminator=1.0)
    assert unequal.generator_QVN[0, 0, 1] == six(0.999465)


@pytest.mark.parametrize(
    ("lam", "wanted"),
    [
        (0.1, [0.992812, 0.5, 0.007188]),
        (0.24, [0.670415, 0.5, 0.329585]),
        (0.26, [0.5, 0.5, 0.5]),
    ],
)
def test_below_the_threshold_there_are_several_equilibria(lam: float, wanted: list[float]) -> None:
    flat = np.full((2, 2), 0.5)
    tilted = np.array([[0.99, 0.01], [0.01, 0.99]])
    starts = [tilted, flat, 1.0 - tilted]
    found = [fixed_point((flat, flat), (lam, lam), (s, s))[0][0, 0] for s in starts]
    assert found == six(wanted)
    result = solve(*FLAT, **both(lam))
    assert (result.generator_QVN == 0.5).all()
    assert (result.discriminator_QNV == 0.5).all()


def test_the_published_table_gives_its_own_improvement_column() -> None:
    # Accuracy of the generator and of the equilibrium discriminator, then the share of questions on
    # which the rankings disagree; 7B and 13B of MMLU, ARC-E, ARC-C, RACE-M, RACE-H, HHH.
    generator = [30.4, 41.7, 68.2, 71.2, 47.3, 51.9, 57.7, 60.1, 46.4, 47.9, 59.3, 60.2]
    equilibrium = [39.9, 45.1, 71.5, 76.4, 58.3, 61.4, 63.5, 68.6, 56.4, 62.8, 71.5, 61.1]
    disagree = [69.0, 60.6, 56.1, 46.1, 65.9, 59.1, 55.8, 53.2, 62.0, 58.8, 46.1, 38.0]
    printed = [31.3, 8.1, 4.8, 7.3, 23.2, 18.3, 10.0, 14.1, 21.5, 31.1, 20.5, 1.5]
    worked = [31.25, 8.15, 4.84, 7.30, 23.26, 18.30, 10.05, 14.14, 21.55, 31.11, 20.57, 1.50]
    improvement = 100.0 * (np.array(equilibrium) / np.array(generator) - 1.0)
    assert improvement == near(np.array(worked), abs=0.005)
    assert improvement == near(np.array(printed), abs=0.1)
    assert np.corrcoef(disagree, printed)[0, 1] == near(0.6432, abs=5e-5)
