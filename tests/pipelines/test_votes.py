"""Picks from all N candidates: worked values, ties, abstentions, and agreement with estimators."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.methods.estimators import best_of_k, majority_at_k, weighted_majority_at_k
from pipelines.methods.votes import (
    WEIGHTS,
    best_of,
    first,
    majority,
    oracle,
    positive_weights,
    weighted,
)

ANSWERS = st.sampled_from([None, "a", "b", "c"])
SCORES = st.one_of(st.none(), st.floats(-30, 30))
POOLS = st.lists(st.tuples(ANSWERS, SCORES), min_size=1, max_size=9)
ABBC: list[str | None] = ["a", "b", "b", "c"]

untimed = settings(deadline=None)


def test_the_three_votes_differ_on_the_worked_pool() -> None:
    scores = [0.9, 0.3, 0.5, 0.2]
    assert best_of(scores) == 0
    assert majority(ABBC) == 1
    assert weighted(ABBC, scores) == 0
    assert weighted(ABBC, [0.9, 0.5, 0.5, 0.2]) == 1


def test_a_tie_goes_to_the_answer_that_occurs_first() -> None:
    assert majority(["a", "b"]) == 0
    assert majority(["c", "b", "a", "a", "b"]) == 1
    assert weighted(["c", "b", "a"], [0.2, 0.5, 0.5]) == 1
    assert weighted(["b", "a", "a", "a"], [0.3, 0.1, 0.1, 0.1]) == 0
    assert weighted(["a", "b", "a", "a"], [0.1, 0.3, 0.1, 0.1]) == 0
    assert best_of([0.2, 0.7, 0.7]) == 1
    assert oracle([0.0, 1.0, 1.0]) == 1


def test_sums_that_differ_by_more_than_rounding_do_not_tie() -> None:
    assert weighted(["a", "b"], [1e-12, 2e-12]) == 1
    assert weighted(["a", "b"], [1.0, 1.000001]) == 1


def test_no_valid_answer_gives_no_pick() -> None:
    assert majority([None, None]) is None
    assert weighted([None, None], [1.0, 1.0]) is None
    assert weighted(["a", "b"], [None, None]) is None
    assert best_of([None, None]) is None
    assert [first([]), majority([]), weighted([], []), best_of([]), oracle([])] == [None] * 5


def test_invalid_answers_do_not_outvote_a_valid_one() -> None:
    assert majority([None, None, "a"]) == 2
    assert weighted([None, "a"], [9.0, 0.1]) == 1


def test_a_candidate_without_a_weight_does_not_vote() -> None:
    assert weighted(["b", "a", "a", "b"], [None, 0.2, 0.2, 0.3]) == 1
    assert weighted(["b", "a", "b"], [None, 0.2, 0.3]) == 2


def test_weights_of_zero_are_votes_that_tie() -> None:
    assert weighted([None, "a", "b"], [0.0, 0.0, 0.0]) == 1


def test_huge_weights_are_compared_without_overflow() -> None:
    assert weighted(["b", "b", "a", "a"], [1e308, 1e308, 1.7e308, 1.7e308]) == 2


def test_the_first_pick_is_the_first_candidate_even_without_an_answer() -> None:
    assert first([None, "a"]) == 0


def test_no_verdict_loses_to_every_score() -> None:
    assert best_of([None, -math.inf, None]) == 1
    assert best_of([0.0, math.inf, None]) == 1
    assert best_of([-3.0, -1.0, -2.0]) == 1


@untimed
@given(POOLS)
def test_each_pick_earns_what_the_estimator_says_for_all_draws(pool: list) -> None:
    """Wherever the estimator shares no tie: with one right answer its credit is then 0 or 1."""
    answers, scores = map(list, zip(*pool, strict=True))
    weights = positive_weights(scores, "softmax")
    for right in "abc":
        correct = [float(answer == right) for answer in answers]
        for pick, estimate in [
            (majority(answers), majority_at_k(answers, correct, len(pool))),
            (
                weighted(answers, weights),
                weighted_majority_at_k(answers, weights, correct, len(pool)),
            ),
            (oracle(correct), best_of_k(correct, correct, len(pool))),
        ]:
            earned = 0.0 if pick is None else correct[pick]
            assert earned == pytest.approx(estimate) or 0.0 < estimate < 1.0


@untimed
@given(POOLS, st.data())
def test_the_weight_of_the_pick_does_not_depend_on_the_order(
    pool: list, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(pool))

    def best_total(rows: list) -> float | None:
        answers, scores = map(list, zip(*rows, strict=True))
        weights = positive_weights(scores, "sigmoid")
        pick = weighted(answers, weights)
        if pick is None:
            return None
        votes = zip(answers, weights, strict=True)
        return math.fsum(w for a, w in votes if a == answers[pick] and w is not None)

    assert best_total(shuffled) == pytest.approx(best_total(pool))


def test_probabilities_are_used_as_they_are() -> None:
    assert positive_weights([0.0, None, 0.25, 1.0], "probability") == [0.0, None, 0.25, 1.0]


def test_log_probabilities_become_probabilities_up_to_a_factor() -> None:
    logprobs = [math.log(0.1), None, math.log(0.3), -math.inf]
    assert positive_weights(logprobs, "logprob") == pytest.approx([0.25, None, 0.75, 0.0])


def test_a_sigmoid_looks_at_one_score_and_a_softmax_at_all() -> None:
    scores = [0.0, math.log(3), -math.log(3), None]
    assert positive_weights(scores, "sigmoid") == pytest.approx([0.5, 0.75, 0.25, None])
    assert positive_weights([5.0, 5.0 + math.log(3), None], "softmax") == pytest.approx(
        [0.25, 0.75, None]
    )


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_extreme_scores_neither_overflow_nor_turn_into_nan(kind: str) -> None:
    assert positive_weights([1e4, -1e4], kind) == [1.0, 0.0]
    assert positive_weights([math.inf, -math.inf], kind) == [1.0, 0.0]


def test_equal_infinite_scores_share_a_softmax() -> None:
    assert positive_weights([math.inf, 3.0, math.inf], "softmax") == [0.5, 0.0, 0.5]
    assert positive_weights([-math.inf, -math.inf], "logprob") == [0.5, 0.5]


def test_negative_scores_no_longer_count_against_a_large_group() -> None:
    """Raw sums are a: -3, b: -4, so the smaller group would win by being small."""
    for kind in ("sigmoid", "softmax"):
        assert weighted(["a", "b", "b"], positive_weights([-3.0, -2.0, -2.0], kind)) == 1


@given(st.lists(SCORES), st.sampled_from(["sigmoid", "softmax"]))
def test_weights_are_positive_and_keep_the_order_of_the_scores(
    scores: list[float | None], kind: str
) -> None:
    weights = positive_weights(scores, kind)
    assert [w is None for w in weights] == [s is None for s in scores]
    scored = sorted((s, w) for s, w in zip(scores, weights, strict=True) if s is not None)
    ordered = [w for _, w in scored]
    assert ordered == sorted(ordered)
    assert all(0.0 < w <= 1.0 for w in ordered)
    assert kind == "sigmoid" or not ordered or math.fsum(ordered) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", WEIGHTS)
def test_no_verdicts_stay_no_verdicts(kind: str) -> None:
    assert positive_weights([None, None], kind) == [None, None]
    assert positive_weights([], kind) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_of([0.1, math.nan]), "got scores .*nan"),
        (lambda: oracle([0.1, math.nan]), "got gold .*nan"),
        (lambda: weighted(["a", "b"], [1.0]), "2 answers and 1 weights"),
        (lambda: weighted(["a"], [-0.1]), "finite weights >= 0, got -0.1"),
        (lambda: weighted(["a"], [math.inf]), "finite weights >= 0, got inf"),
        (lambda: weighted(["a"], [math.nan]), "finite weights >= 0, got nan"),
        (lambda: weighted([None], [-0.1]), "finite weights >= 0, got -0.1"),
        (lambda: positive_weights([1.1], "probability"), "logprob, sigmoid or softmax"),
        (lambda: positive_weights([-0.1], "probability"), r"in \[0, 1\]"),
        (lambda: positive_weights([0.1], "logprob"), "log-probabilities <= 0"),
        (lambda: positive_weights([math.nan], "softmax"), "got scores .*nan"),
        (lambda: positive_weights([0.1], "logit"), "probability, logprob, sigmoid, softmax"),
    ],
)
def test_what_cannot_vote_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
