"""Estimators against published numbers, closed forms, and brute force over all subsets."""

import math
import pickle
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from itertools import combinations, pairwise
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.methods.estimators import (
    Estimate,
    best_of_k,
    majority_at_k,
    pass_at_k,
    weighted_majority_at_k,
)

Answers = list[str | None]
Optional = list[float | None]

CREDITS = st.sampled_from([0.0, 0.25, 0.5, 1.0])
SCORES = st.sampled_from([None, -math.inf, -1.0, 0.0, 0.5, 2.0, math.inf])
WEIGHTS = st.sampled_from([None, 0.0, 0.1, 0.2, 0.3, 1.0, 1000.0])
ANSWERS = st.sampled_from([None, "a", "b", "c", "d"])
AB: Answers = ["a", "b"]
POOLS = st.lists(st.tuples(ANSWERS, SCORES, WEIGHTS, CREDITS), min_size=1, max_size=7)

# The first call for a new N and k fills caches, so a time limit for each call would be noise.
untimed = settings(deadline=None)
near = partial(pytest.approx, abs=1e-12)


def brute_best(scores: Optional, gold: Sequence[float], k: int) -> float:
    def credit(subset: tuple[int, ...]) -> float:
        verdicts = [scores[i] for i in subset if scores[i] is not None]
        top = max(verdicts, default=None)
        return fmean(gold[i] for i in subset if scores[i] == top)

    return fmean(map(credit, combinations(range(len(scores)), k)))


def brute_vote(answers: Answers, weights: Optional, credits: Sequence[float], k: int) -> float:
    """The weighted vote in exact rational arithmetic on the decimal values of the weights."""

    def credit(subset: tuple[int, ...]) -> float:
        voters: dict[str | None, list[int]] = {}
        for i in subset:
            if answers[i] is not None and weights[i] is not None:
                voters.setdefault(answers[i], []).append(i)
        totals = {a: sum(Fraction(str(weights[i])) for i in v) for a, v in voters.items()}
        winners = [a for a, total in totals.items() if total == max(totals.values())]
        return fmean([fmean(credits[i] for i in voters[a]) for a in winners] or [0.0])

    return fmean(map(credit, combinations(range(len(answers)), k)))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_estimate_keeps_its_error_through_pickling(protocol: int) -> None:
    copy = pickle.loads(pickle.dumps(Estimate(0.25, mc_error=0.5), protocol))
    assert (type(copy), copy, copy.mc_error) == (Estimate, 0.25, 0.5)


def test_an_estimate_is_a_float_and_exact_unless_told_otherwise() -> None:
    assert Estimate(0.25) + 1 == 1.25
    assert Estimate(0.25).mc_error == 0.0


def test_pass_at_k_matches_worked_values() -> None:
    values = [pass_at_k(5, 2, 3), pass_at_k(10, 3, 5), pass_at_k(128, 41, 4)]
    assert values == pytest.approx([0.9, 0.916667, 0.791348], abs=5e-7)


@pytest.mark.parametrize("num", [1, 2, 7, 100, 1000])
def test_pass_at_k_at_its_ends(num: int) -> None:
    for k in {1, (num + 1) // 2, num}:
        assert pass_at_k(num, 0, k) == 0.0
        assert pass_at_k(num, num, k) == 1.0
        assert pass_at_k(num, num - k + 1, k) == 1.0
    for correct in range(num + 1):
        assert pass_at_k(num, correct, 1) == near(correct / num)


@untimed
@given(st.integers(1, 300), st.data())
def test_pass_at_k_is_the_ratio_of_binomials(num: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, num))
    correct = data.draw(st.integers(0, num))
    exact = 1 - Fraction(math.comb(num - correct, k), math.comb(num, k))
    assert pass_at_k(num, correct, k) == near(float(exact))


def test_best_of_k_by_the_reward_itself_matches_worked_values() -> None:
    assert [best_of_k([1, 2, 3, 4], [1, 2, 3, 4], k) for k in (1, 2, 4)] == near([2.5, 10 / 3, 4])
    rewards = [0.3, 1.7, -2.0, 5.0, 0.1, 2.2]
    curve = [best_of_k(rewards, rewards, k) for k in range(1, 7)]
    worked = [1.216667, 2.64, 3.43, 4.033333, 4.533333, 5.0]
    assert curve == pytest.approx(worked, abs=5e-7)


def test_a_bad_proxy_gets_worse_with_more_draws() -> None:
    curve = [best_of_k([0.1, 0.9, 0.5, 0.7], [1, 0, 0, 1], k) for k in (1, 2, 3, 4)]
    assert curve == near([0.5, 1 / 3, 0.25, 0.0])


@pytest.mark.parametrize("num", [1, 2, 3, 8, 33])
def test_each_rank_wins_its_share_of_subsets_and_the_shares_add_up_to_one(num: int) -> None:
    for k in range(1, num + 1):
        golds = [[i == rank for i in range(num)] for rank in range(num)]
        shares = [best_of_k(range(num), gold, k) for gold in golds]
        worked = [math.comb(rank, k - 1) / math.comb(num, k) for rank in range(num)]
        assert shares == near(worked)
        assert math.fsum(shares) == near(1.0)


@untimed
@given(POOLS, st.data())
def test_best_of_k_is_the_mean_over_all_subsets(pool: list, data: st.DataObject) -> None:
    _, scores, _, gold = map(list, zip(*pool, strict=True))
    k = data.draw(st.integers(1, len(pool)))
    assert best_of_k(scores, gold, k) == near(brute_best(scores, gold, k))
    shuffled = data.draw(st.permutations(list(zip(scores, gold, strict=True))))
    assert best_of_k(*map(list, zip(*shuffled, strict=True)), k) == near(best_of_k(scores, gold, k))


@untimed
@given(st.lists(CREDITS, min_size=1, max_size=40))
def test_the_oracle_never_loses_by_drawing_more(gold: list[float]) -> None:
    curve = [best_of_k(gold, gold, k) for k in range(1, len(gold) + 1)]
    assert all(less <= more + 1e-12 for less, more in pairwise(curve))
    assert curve[0] == near(sum(gold) / len(gold))
    assert curve[-1] == max(gold)


@untimed
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.data())
def test_the_oracle_of_binary_gold_is_pass_at_k(gold: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(gold)))
    assert best_of_k(gold, gold, k) == near(pass_at_k(len(gold), sum(gold), k))


def test_minus_infinity_still_beats_no_verdict() -> None:
    assert best_of_k([None, -math.inf], [0.0, 1.0], 2) == 1.0
    assert best_of_k([None, None], [0.0, 1.0], 2) == 0.5


def test_majority_at_k_matches_worked_values() -> None:
    curve = [majority_at_k(list("aabbbc"), [1, 1, 0, 0, 0, 0], k) for k in range(1, 7)]
    assert curve == near([1 / 3, 1 / 3, 0.3, 0.3, 0.25, 0.0])


@untimed
@given(POOLS, st.data())
def test_majority_at_k_is_the_mean_over_all_subsets(pool: list, data: st.DataObject) -> None:
    answers, _, _, credits = map(list, zip(*pool, strict=True))
    k = data.draw(st.integers(1, len(pool)))
    value = majority_at_k(answers, credits, k)
    assert value == near(brute_vote(answers, [1.0] * len(pool), credits, k))
    shuffled = data.draw(st.permutations(list(zip(answers, credits, strict=True))))
    assert majority_at_k(*map(list, zip(*shuffled, strict=True)), k) == near(value)


@pytest.mark.parametrize(("num", "right"), [(64, 30), (256, 127)])
def test_majority_of_two_answers_is_hypergeometric_for_large_pools(num: int, right: int) -> None:
    answers: Answers = ["a"] * right + ["b"] * (num - right)
    correct = [1.0] * right + [0.0] * (num - right)
    for k in (1, 2, 33, num // 2, num - 1, num):
        drawn = [math.comb(right, i) * math.comb(num - right, k - i) for i in range(k + 1)]
        wins = sum(drawn[k // 2 + 1 :]) + (Fraction(drawn[k // 2], 2) if k % 2 == 0 else 0)
        exact = float(Fraction(wins) / math.comb(num, k))
        assert majority_at_k(answers, correct, k) == near(exact)


@pytest.mark.parametrize(("num", "k"), [(256, 1), (256, 2), (256, 128), (256, 256), (1100, 550)])
def test_one_repeated_answer_among_many_single_ones(num: int, k: int) -> None:
    """It wins alone when drawn twice, and ties with all the others when drawn once."""
    size = 6
    answers: Answers = ["a"] * size + [f"other-{i}" for i in range(num - size)]
    drawn = [math.comb(size, i) * math.comb(num - size, k - i) for i in range(min(size, k) + 1)]
    exact = float((Fraction(drawn[1], k) + sum(drawn[2:])) / Fraction(math.comb(num, k)))
    assert majority_at_k(answers, [1.0] * size + [0.0] * (num - size), k) == near(exact)


def test_an_invalid_answer_uses_up_its_draw_but_never_wins() -> None:
    assert majority_at_k([None, None, "a"], [1.0, 1.0, 1.0], 1) == near(1 / 3)
    assert majority_at_k([None, None, "a"], [1.0, 1.0, 1.0], 3) == 1.0
    assert majority_at_k([None, None], [1.0, 1.0], 2) == 0.0


def test_weighted_majority_of_all_draws_matches_worked_values() -> None:
    answers, is_a, is_b = list("abbc"), [1, 0, 0, 0], [0, 1, 1, 0]
    assert best_of_k([0.9, 0.3, 0.5, 0.2], is_a, 4) == 1.0
    assert majority_at_k(answers, is_b, 4) == 1.0
    assert weighted_majority_at_k(answers, [0.9, 0.3, 0.5, 0.2], is_a, 4) == 1.0
    assert weighted_majority_at_k(answers, [0.9, 0.5, 0.5, 0.2], is_b, 4) == 1.0
    assert weighted_majority_at_k([None, None], [0.9, 0.5], [1, 1], 2) == 0.0


@untimed
@given(POOLS, st.data())
def test_weighted_majority_is_the_mean_over_all_subsets(pool: list, data: st.DataObject) -> None:
    answers, _, weights, credits = map(list, zip(*pool, strict=True))
    k = data.draw(st.integers(1, len(pool)))
    value = weighted_majority_at_k(answers, weights, credits, k)
    assert value == near(brute_vote(answers, weights, credits, k))
    assert value.mc_error == 0.0
    shuffled = data.draw(st.permutations(list(zip(answers, weights, credits, strict=True))))
    columns = map(list, zip(*shuffled, strict=True))
    assert weighted_majority_at_k(*columns, k) == near(value)


@untimed
@given(st.lists(st.tuples(ANSWERS, CREDITS), min_size=14, max_size=16), st.data())
def test_votes_of_equal_weight_are_the_majority(pool: list, data: st.DataObject) -> None:
    answers, credits = map(list, zip(*pool, strict=True))
    k = data.draw(st.integers(1, len(pool)))
    enumerated = weighted_majority_at_k(answers, [0.3] * len(pool), credits, k)
    assert majority_at_k(answers, credits, k) == near(enumerated)


def test_weights_tie_up_to_rounding_and_only_then() -> None:
    answers: Answers = ["a", "a", "a", "b"]
    assert weighted_majority_at_k(answers, [0.1, 0.1, 0.1, 0.3], [1, 1, 1, 0], 4) == 0.5
    assert weighted_majority_at_k(answers, [0.1, 0.1, 0.1, 0.301], [1, 1, 1, 0], 4) == 0.0
    assert weighted_majority_at_k(["a", "b"], [2e-12, 1e-12], [1, 0], 2) == 1.0


def test_huge_weights_do_not_overflow() -> None:
    weights = [1.7e308, 1.7e308, 1e308, 1e308]
    assert weighted_majority_at_k(list("aabb"), weights, [1, 1, 0, 0], 4) == 1.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [2, 8, 16, 32, 63])
def test_monte_carlo_of_equal_weights_is_near_the_exact_majority(k: int, seed: int) -> None:
    answers: Answers = [None, *"aaaaaaaaaaaaabbbbbbbbbbbbcccccccc", *map(str, range(30))]
    correct = [float(answer == "a") for answer in answers]
    exact = majority_at_k(answers, correct, k)
    drawn = weighted_majority_at_k(answers, [2.5] * 64, correct, k, seed=seed, max_subsets=1)
    assert 0.0 < drawn.mc_error <= 0.5 / math.sqrt(4095)
    assert abs(drawn - exact) < 5 * drawn.mc_error


@pytest.mark.parametrize("k", [1, 3, 6, 9])
def test_monte_carlo_of_unequal_weights_is_near_the_enumeration(k: int) -> None:
    answers: Answers = list("aaabbbbccd")
    weights = [0.9, 0.1, 0.4, 0.2, 0.3, 0.3, 0.2, 0.8, 0.1, 0.7]
    correct = [float(answer == "a") for answer in answers]
    vote = partial(weighted_majority_at_k, answers, weights, correct, k)
    exact = vote()
    drawn, again, other = (vote(max_subsets=0, num_subsets=2000, seed=seed) for seed in (0, 0, 1))
    assert abs(drawn - exact) < 5 * drawn.mc_error
    assert (drawn, drawn.mc_error) == (again, again.mc_error)
    assert drawn != other


def test_enumeration_stops_at_max_subsets() -> None:
    weights, correct = [0.3, 0.6, 0.2, 0.4, 0.1, 0.5], [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    vote = partial(weighted_majority_at_k, list("aabbbc"), weights, correct)
    assert vote(3, max_subsets=20).mc_error == 0.0
    assert vote(3, max_subsets=19).mc_error > 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pass_at_k(5, 2, 6), "wanted 1 <= k <= N=5 draws, got k=6"),
        (lambda: pass_at_k(5, 2, 0), "got k=0"),
        (lambda: pass_at_k(5, 6, 1), "got num_correct=6"),
        (lambda: best_of_k([], [], 1), "N=0 draws"),
        (lambda: best_of_k([1.0, 2.0], [1], 1), "'scores': 2, 'gold': 1"),
        (lambda: best_of_k([1.0, math.nan], [0, 1], 1), "got scores .*nan"),
        (lambda: best_of_k([1.0, 2.0], [0, math.nan], 1), "wanted finite gold"),
        (lambda: majority_at_k(AB, [0, 1], 0), "got k=0"),
        (lambda: majority_at_k(AB, [0, 1, 1], 1), "'answers': 2, 'correct': 3"),
        (lambda: majority_at_k(AB, [0, 1.5], 1), r"wanted credits in \[0, 1\]"),
        (lambda: majority_at_k(AB, [0, -0.5], 1), r"wanted credits in \[0, 1\]"),
        (lambda: weighted_majority_at_k(AB, [1, 1], [0, 1], 3), "got k=3"),
        (lambda: weighted_majority_at_k(AB, [1], [0, 1], 1), "'weights': 1"),
        (lambda: weighted_majority_at_k(AB, [1, -1], [0, 1], 1), "wanted weights >= 0"),
        (lambda: weighted_majority_at_k(AB, [1, math.inf], [0, 1], 1), "wanted finite weights"),
        (lambda: weighted_majority_at_k(AB, [1, 1], [0, 2], 1), "wanted credits"),
        (lambda: weighted_majority_at_k(AB, [1, 1], [0, 1], 1, num_subsets=1), "num_subsets >= 2"),
    ],
)
def test_what_cannot_be_estimated_is_refused(call: Callable[[], float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
