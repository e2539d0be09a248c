"""The game against the paper's update, what may not change it, its bounds, and what it refuses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.methods.pikl import CHUNK, Equilibrium, Policies, anchors, solve
from tests.pipelines.consensus_oracle import (
    SYMMETRIC,
    B,
    Floats,
    Pair,
    both,
    first_policies,
    games,
    kl,
    naive,
    naive_regrets,
    near,
    one,
    six,
)

# The first call warms caches, so a time limit for each call would be noise.
untimed = settings(deadline=None, max_examples=30)

LOGS = st.sampled_from([-np.inf, -80.0, -1.0, -0.5]) | st.floats(-30.0, 0.0)
RULES: Any = {"iterations": 60}


@pytest.mark.parametrize("first", ["anchor", "uniform"])
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize(
    ("lambdas", "etas"), [((0.1, 0.1), (0.1, 0.1)), ((0.01, 1.0), (10.0, 0.3)), ((1e-4, 0), (5, 9))]
)
def test_every_question_plays_the_papers_update(
    first: Any, size: int, lambdas: tuple[float, float], etas: tuple[float, float]
) -> None:
    log_games, num = games(size, 4, size), 400
    rules: dict[str, Any] = {
        "lambda_generator": lambdas[0],
        "lambda_discriminator": lambdas[1],
        "eta_generator": etas[0],
        "eta_discriminator": etas[1],
        "iterations": num,
        "first": first,
    }
    last, average = solve(*log_games, **rules), solve(*log_games, **rules, iterate="average")
    for q in range(4):
        tau = first_policies((log_games[0][q : q + 1], log_games[1][q : q + 1]))
        policies = naive(tau, lambdas, etas, num, uniform=first == "uniform")
        ends = [(last, policies[-1])]
        ends += [(average, tuple(np.mean(x, axis=0) for x in zip(*policies[:-1], strict=True)))]
        for found, wanted in ends:
            assert found.generator_QVN[q] == near(wanted[0], abs=1e-10)
            assert found.discriminator_QNV[q] == near(wanted[1], abs=1e-10)
            moved = [found.moved_generator_Q[q], found.moved_discriminator_Q[q]]
            assert moved == near([kl(x, a).max() for x, a in zip(wanted, tau, strict=True)])
        if all(lambdas):
            regrets = [last.regret_generator_Q[q], last.regret_discriminator_Q[q]]
            assert regrets == near(naive_regrets(policies[:-1], tau, lambdas), abs=1e-10)


def fields(found: Policies) -> dict[str, Floats]:
    return {name: getattr(found, name) for name in found.__slots__} | {
        "generator_QVN": found.generator_QVN,
        "discriminator_QNV": found.discriminator_QNV,
    }


def padded(log_games: list[Pair], size: int, filler: float) -> tuple[Floats, Floats, Any]:
    """Ragged questions in one batch, with `filler` where there is no candidate."""
    generator = np.full((len(log_games), 2, size), filler)
    discriminator = np.full((len(log_games), size, 2), filler)
    mask = np.zeros((len(log_games), size), dtype=bool)
    for q, (log_generator, log_discriminator) in enumerate(log_games):
        # Alternately at the front and at the back, as a mask may have holes anywhere.
        num = log_generator.shape[2]
        places = np.arange(num) if q % 2 else np.arange(size - num, size)
        generator[q][:, places], discriminator[q][places] = log_generator[0], log_discriminator[0]
        mask[q, places] = True
    return generator, discriminator, mask


@st.composite
def questions(draw: st.DrawFn) -> Pair:
    num = draw(st.sampled_from([1, 2, 3, 6, 12]))
    logs = np.array(draw(st.lists(LOGS, min_size=4 * num, max_size=4 * num)))
    return logs[: 2 * num].reshape(1, 2, num), logs[2 * num :].reshape(1, num, 2)


@untimed
@given(questions(), st.data())
def test_the_order_of_candidates_changes_no_bit(log_game: Pair, data: st.DataObject) -> None:
    size = log_game[0].shape[2]
    order = data.draw(st.permutations(range(size)))
    found, shuffled = (
        fields(solve(*pair, **RULES))
        for pair in (log_game, (log_game[0][:, :, order], log_game[1][:, order]))
    )
    assert (found.pop("generator_QVN")[:, :, order] == shuffled.pop("generator_QVN")).all()
    assert (found.pop("discriminator_QNV")[:, order] == shuffled.pop("discriminator_QNV")).all()
    assert found == shuffled
    assert len(found) == 5


@untimed
@given(st.lists(questions(), min_size=1, max_size=5), st.integers(12, 14), st.data())
def test_padding_and_the_rest_of_the_batch_change_no_bit(
    log_games: list[Pair], size: int, data: st.DataObject
) -> None:
    filler = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, 0.0]))
    generator, discriminator, mask = padded(log_games, size, filler)
    together = solve(generator, discriminator, mask_QN=mask, **RULES)
    start = anchors(generator, discriminator, mask_QN=mask)
    for q, log_game in enumerate(log_games):
        alone, at = solve(*log_game, **RULES), mask[q]
        assert (together.generator_QVN[q][:, at] == alone.generator_QVN[0]).all()
        assert (together.discriminator_QNV[q][at] == alone.discriminator_QNV[0]).all()
        assert (start.generator_QVN[q][:, at] == anchors(*log_game).generator_QVN[0]).all()
        for policy in (together, start):
            assert not policy.generator_QVN[q][:, ~at].any()
            assert not policy.discriminator_QNV[q][~at].any()
        figures = fields(together)
        for name, value in fields(alone).items():
            assert value.ndim > 1 or figures[name][q] == value[0]


def test_a_batch_of_many_chunks_plays_each_question_as_if_alone() -> None:
    log_games = games(0, 2 * CHUNK // 3 + 5, 3)
    together = solve(*log_games, iterations=5)
    for q in (0, CHUNK // 3 - 1, CHUNK // 3, CHUNK // 3 + 1, len(log_games[0]) - 1):
        alone = solve(log_games[0][q : q + 1], log_games[1][q : q + 1], iterations=5)
        for name, value in fields(alone).items():
            assert (value[0] == fields(together)[name][q]).all()


@untimed
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_what_both_prompts_share_cancels_and_so_does_a_bias_towards_a_verdict(
    seed: int, size: int
) -> None:
    log_generator, log_discriminator = games(seed, 1, size)
    rng = np.random.default_rng(seed)
    shared_N, bias_V = rng.normal(0.0, 3.0, size), rng.normal(0.0, 3.0, 2)
    generator, discriminator = first_policies((log_generator, log_discriminator))
    found = first_policies((log_generator + shared_N, log_discriminator + bias_V))
    assert found[0] == near(generator, rel=0, abs=1e-12)
    assert found[1] == near(discriminator, rel=0, abs=1e-12)


@untimed
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_swapped_verdicts_swap_both_policies(seed: int, size: int) -> None:
    log_generator, log_discriminator = games(seed, 1, size)
    found = solve(log_generator, log_discriminator, **RULES)
    swapped = solve(log_generator[:, ::-1], log_discriminator[:, :, ::-1], **RULES)
    assert swapped.generator_QVN[:, ::-1] == near(found.generator_QVN, rel=0, abs=1e-12)
    assert swapped.discriminator_QNV[:, :, ::-1] == near(found.discriminator_QNV, rel=0, abs=1e-12)


def test_a_constant_per_row_of_the_log_anchors_leaves_the_dynamics_as_they_are() -> None:
    tau = first_policies(B)
    scaled = (tau[0] * [[3.0], [0.2]], tau[1] * [[2.0], [0.1], [5.0], [0.7]])
    wanted = naive(scaled, num=300, uniform=True)[-1]
    found = one(solve(*B, iterations=300, first="uniform"))
    assert found[0] == near(wanted[0], abs=1e-12)
    assert found[1] == near(wanted[1], abs=1e-12)


def test_a_strong_pull_leaves_both_players_at_their_anchors() -> None:
    log_games = games(1, 20, 4)
    found, start = solve(*log_games, **both(1e6)), anchors(*log_games)
    assert found.generator_QVN == six(start.generator_QVN)
    assert found.discriminator_QNV == six(start.discriminator_QNV)
    assert found.moved_generator_Q == six(np.zeros(20))


def test_without_a_pull_the_game_is_hedge_and_the_players_agree_on_a_signal() -> None:
    result = solve(*SYMMETRIC, **both(0.0), eta_generator=10.0, eta_discriminator=10.0)
    assert result.generator_QVN[0] == near(np.eye(2), abs=1e-12)
    assert result.discriminator_QNV[0] == near(np.eye(2), abs=1e-12)
    assert result.residual_Q[0] == near(0.0, abs=1e-12)
    # Regret per iteration: all of it was lost before the signal was clear.
    assert 0.0 < result.regret_generator_Q[0] < 1e-3


@pytest.mark.parametrize("size", [2, 4, 10])
@pytest.mark.parametrize("lam", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("eta", [0.1, 1.0, 10.0])
def test_regret_stays_below_its_bound(size: int, lam: float, eta: float) -> None:
    log_games = games(size, 20, size)
    start = anchors(*log_games)
    spread = [
        -np.log(tau).mean(axis=-1) - np.log(num)
        for tau, num in ((start.generator_QVN, size), (start.discriminator_QNV, 2))
    ]
    for num in (1, 2, 10, 100, 1000):
        rules: Any = {"eta_generator": eta, "eta_discriminator": eta, "iterations": num}
        result = solve(*log_games, **both(lam), **rules)
        drift = (1.0 / (32.0 * (lam * np.arange(1, num + 1) + 1.0 / eta))).sum()
        generator = (drift + np.log(size) / eta + lam * spread[0]).sum(axis=1)
        discriminator = (drift + np.log(2.0) / eta + lam * spread[1]).sum(axis=1)
        assert (num * result.regret_generator_Q <= generator).all()
        assert (num * result.regret_discriminator_Q <= discriminator).all()


def test_regret_falls_and_no_policy_leaves_its_anchor_by_more_than_the_payoff_allows() -> None:
    for lam in (0.1, 0.3, 1.0):
        log_games = games(7, 70, 4)
        short, long = (solve(*log_games, **both(lam), iterations=t) for t in (500, 5000))
        assert (long.regret_generator_Q < short.regret_generator_Q).all()
        assert (long.regret_discriminator_Q < short.regret_discriminator_Q).all()
        for moved in (long.moved_generator_Q, long.moved_discriminator_Q):
            assert 0.0 < moved.max() <= 1.0 / (2.0 * lam)


def test_unusable_questions_are_refused_by_their_number() -> None:
    generator, discriminator = games(0, 3, 2)
    mask = np.ones((3, 2), dtype=bool)
    mask[1] = False
    with pytest.raises(ValueError, match="question 1: wanted a candidate, got none"):
        solve(generator, discriminator, mask_QN=mask)
    with pytest.raises(ValueError, match="question 0: wanted a candidate, got none"):
        anchors(np.zeros((2, 2, 0)), np.zeros((2, 0, 2)))
    for bad in (np.nan, np.inf):
        broken = generator.copy()
        broken[2, 1, 0] = bad
        with pytest.raises(ValueError, match="question 2: wanted log-probabilities"):
            anchors(broken, discriminator)
        broken = discriminator.copy()
        broken[1, 1, 0] = bad
        with pytest.raises(ValueError, match="question 1: wanted log-probabilities"):
            solve(generator, broken)


def test_other_shapes_and_settings_are_refused() -> None:
    generator, discriminator = games(0, 3, 4)
    shapes = [
        (generator, generator, None),
        (generator[0], discriminator[0], None),
        (generator[:2], discriminator, None),
        (generator[:, :1], discriminator, None),
        (generator[:, :, :3], discriminator, None),
        (generator, discriminator, np.ones((3, 3), dtype=bool)),
    ]
    for log_generator, log_discriminator, mask in shapes:
        with pytest.raises(ValueError, match=r"wanted log_generator \[Q, 2, N\]"):
            solve(log_generator, log_discriminator, mask_QN=mask)
    rules: list[dict[str, Any]] = [
        *({"iterations": 0}, {"iterate": "best"}, {"first": "zero"}),
        *({"lambda_generator": -0.1}, {"lambda_discriminator": np.nan}),
        *({"eta_generator": 0.0}, {"eta_discriminator": np.inf}),
    ]
    for rule in rules:
        with pytest.raises(ValueError, match="wanted"):
            solve(generator, discriminator, **rule)


def test_no_questions_give_no_policies() -> None:
    result = solve(np.zeros((0, 2, 4)), np.zeros((0, 4, 2)))
    assert isinstance(result, Equilibrium)
    assert (result.generator_QVN.shape, result.residual_Q.shape) == ((0, 2, 4), (0,))
