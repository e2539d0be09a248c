"""Rankers by name: how each chooses among draws, and what its choice from k of them is worth.

answers, credits and scores of N draws --estimate--> expected credit over all k-subsets
                                       --pick--> the position of its choice from all N
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.methods import estimators, votes
from pipelines.methods.consensus import READS


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """The N draws of one item as a ranker sees them. All sequences have length N."""

    answers_N: Sequence[str | None]
    gold_N: Sequence[float]
    """Credit under the metric."""
    scores_N: Sequence[float | None]
    """Of the ranker's scorer; all None without one."""
    weights_N: Sequence[float | None]
    """The scores as positive voting weights; all None for a ranker that weighs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranker:
    """How a method chooses."""

    estimate: Callable[[Draws, int], estimators.Estimate]
    """Expected credit of its choice from a random k-subset."""
    pick: Callable[[Draws], int | None]
    """Position of its choice from all N; None: it has no answer."""
    scored: bool
    """It reads a scorer, named after the colon."""
    summary: str
    weighs: bool = False
    """It adds scores up, so they are made positive first."""
    more_helps: bool = True
    """False: it reads one draw however many there are, so its curve is the point k = 1."""


RANKERS: Mapping[str, Ranker] = {
    "first": Ranker(
        estimate=lambda d, k: estimators.Estimate(math.fsum(d.gold_N) / len(d.gold_N)),
        pick=lambda d: votes.first(d.answers_N),
        scored=False,
        more_helps=False,
        summary="the first draw: what one sample is worth",
    ),
    "majority": Ranker(
        estimate=lambda d, k: estimators.majority_at_k(d.answers_N, d.gold_N, k),
        pick=lambda d: votes.majority(d.answers_N),
        scored=False,
        summary="the most frequent answer; draws without an answer don't vote; ties are shared",
    ),
    "best_of": Ranker(
        estimate=lambda d, k: estimators.best_of_k(d.scores_N, d.gold_N, k),
        pick=lambda d: votes.best_of(d.scores_N),
        scored=True,
        summary="the draw with the highest score",
    ),
    "weighted": Ranker(
        estimate=lambda d, k: estimators.weighted_majority_at_k(
            d.answers_N, d.weights_N, d.gold_N, k
        ),
        pick=lambda d: votes.weighted(d.answers_N, d.weights_N),
        scored=True,
        weighs=True,
        summary="the answer with the largest sum of scores",
    ),
    "oracle": Ranker(
        estimate=lambda d, k: estimators.best_of_k(d.gold_N, d.gold_N, k),
        pick=lambda d: votes.oracle(d.gold_N),
        scored=False,
        summary="the best draw, known only to the grader: the room that a ranker has (pass@k)",
    ),
}


def names() -> list[str]:
    """How each ranker is written in a config."""
    own = [f"{name}:SCORER" if ranker.scored else name for name, ranker in RANKERS.items()]
    return [*own, *READS]


def ranker_of(name: str) -> Ranker:
    """How it chooses. The Consensus Game's rankers choose the highest of their own scores."""
    return RANKERS["best_of" if name in READS else name.partition(":")[0]]


def scorer_of(ranker: str) -> str | None:
    """The scorer that a ranker reads: `best_of:armo` reads `armo`, and `equilibrium:D` itself."""
    return ranker if ranker in READS else ranker.partition(":")[2] or None
