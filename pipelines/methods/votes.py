"""Which of all N candidates a method picks: the answer that a record shows.

    answers_N, scores_N or weights_N  -->  index of the chosen candidate, or None

Ties go to the candidate or the answer that occurs first, so a pick is reproducible. The expected
credit for k <= N draws shares ties instead and is in `estimators`.

Axes: N candidate.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

WeightKind = Literal["probability", "logprob", "sigmoid", "softmax"]

TIE = 1e-9
"""Sums of weights tie when they differ by less than this share of the larger one."""
ROUNDING = 1e-6
"""How far above 0 the rounding of a sum may put a log-probability (nats)."""


def first(answers_N: Sequence[str | None]) -> int | None:
    """Return index 0, whatever it answers; None if there are no candidates."""
    return 0 if answers_N else None


def majority(answers_N: Sequence[str | None]) -> int | None:
    """Return the first index of the commonest answer; of tied answers, the one that occurs first.

    answers_N: [N] canonical answers; None never votes. None is returned if nobody votes.
    Source: Wang et al. 2022 (arXiv 2203.11171).
    """
    return weighted(answers_N, [1.0] * len(answers_N))


def best_of(scores_N: Sequence[float | None]) -> int | None:
    """Return the lowest index with the highest score; None if no candidate has a score.

    scores_N: [N] higher is better, infinities allowed; None is no verdict and loses to every score.
    Raises ValueError for NaN.
    """
    _refuse_nan("scores", scores_N)
    scored = [(score, -index) for index, score in enumerate(scores_N) if score is not None]
    return -max(scored)[1] if scored else None


def weighted(answers_N: Sequence[str | None], weights_N: Sequence[float | None]) -> int | None:
    """Return the first voter for the answer with the largest sum of weights.

    Of tied answers, the one that is voted for first. Sums that differ by rounding alone tie.

    answers_N: [N] canonical answers; None never votes. None is returned if nobody votes.
    weights_N: [N] finite and >= 0; a candidate whose weight is None does not vote.
    Source: Li et al. 2022 (arXiv 2206.02336).
    Raises ValueError for negative or infinite weights, NaN and unequal lengths.
    """
    if len(answers_N) != len(weights_N):
        raise ValueError(
            f"wanted one weight per candidate, got {len(answers_N)} answers and "
            f"{len(weights_N)} weights"
        )
    votes: dict[str, list[float]] = {}
    leader: dict[str, int] = {}
    for index, (answer, weight) in enumerate(zip(answers_N, weights_N, strict=True)):
        if weight is not None and not 0.0 <= weight < math.inf:
            raise ValueError(f"wanted finite weights >= 0, got {weight}; use positive_weights")
        if answer is None or weight is None:
            continue
        # Scaled by a power of two, so that no sum overflows and equal sums stay equal.
        share = math.ldexp(weight, -len(answers_N).bit_length())
        votes.setdefault(answer, []).append(share)
        leader.setdefault(answer, index)
    total = {answer: math.fsum(shares) for answer, shares in votes.items()}
    top = max(total.values(), default=0.0)
    tied = (leader[answer] for answer in total if total[answer] >= top * (1.0 - TIE))
    return min(tied, default=None)


def oracle(gold_N: Sequence[float]) -> int | None:
    """Return the lowest index with the highest gold; None if there are no candidates.

    gold_N: [N] what each candidate is worth: a credit in [0, 1]. Raises ValueError for NaN.
    """
    _refuse_nan("gold", gold_N)
    return best_of(gold_N)


def positive_weights(scores_N: Sequence[float | None], kind: WeightKind) -> list[float | None]:
    """Turn scores into voting weights >= 0. [N]; None stays None.

    A vote adds weights up, so a raw score below 0 would make every further vote for an answer count
    against it.

    scores_N: [N] higher is better.
    kind: `probability`  used as they are; must lie in [0, 1].
        `logprob`      nats, at most 0: softmax over the N, the probability up to a factor.
        `sigmoid`      any number: 1 / (1 + exp(-score)), on a scale that is the same for all items.
        `softmax`      any number: exp(score) / sum over the N of exp(score).
    A softmax gives weight 0 to scores that are more than about 745 nats below the best.
    Raises ValueError for NaN, scores outside the range of the kind, and an unknown kind.
    """
    if kind not in WEIGHTS:
        raise ValueError(f"wanted a kind of weight from {', '.join(WEIGHTS)}, got {kind!r}")
    _refuse_nan("scores", scores_N)
    weights = iter(WEIGHTS[kind]([score for score in scores_N if score is not None]))
    return [None if score is None else next(weights) for score in scores_N]


def _probability(scores: Sequence[float]) -> list[float]:
    if any(not 0.0 <= score <= 1.0 for score in scores):
        raise ValueError(
            f"wanted probabilities in [0, 1], got {list(scores)}; for other scores use the kind "
            "logprob, sigmoid or softmax"
        )
    return list(scores)


def _logprob(scores: Sequence[float]) -> list[float]:
    if any(score > ROUNDING for score in scores):
        raise ValueError(
            f"wanted log-probabilities <= 0, got {list(scores)}; for unbounded scores use the "
            "kind sigmoid or softmax"
        )
    return _softmax(scores)


def _sigmoid(scores: Sequence[float]) -> list[float]:
    # Only exp of a number <= 0 is taken, so that nothing overflows.
    return [
        (1.0 if score >= 0.0 else math.exp(score)) / (1.0 + math.exp(-abs(score)))
        for score in scores
    ]


def _softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores, default=0.0)
    # An infinite top takes all: its difference to itself is not a number.
    odds = [1.0 if score == top else math.exp(score - top) for score in scores]
    total = math.fsum(odds)
    return [value / total for value in odds]


def _refuse_nan(name: str, values_N: Sequence[float | None]) -> None:
    if any(value is not None and math.isnan(value) for value in values_N):
        raise ValueError(f"wanted numbers, or None for no verdict, got {name} {list(values_N)}")


WEIGHTS: dict[str, Callable[[Sequence[float]], list[float]]] = {
    "probability": _probability,
    "logprob": _logprob,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
}
"""Every kind of weight by its name."""
