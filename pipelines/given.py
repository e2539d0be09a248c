"""Given: candidates come with the item; scorers score them, rankers choose among them.

    item's candidates --scorers--> scores[S][N] --> | graded by the task | --> rankers

Nothing is generated. What is chosen counts where the task knows the right candidate; equal scores
share the credit. Without that, the chosen candidate's own score is the figure. An item of which a
scorer has no verdict on some candidate has no answer by that scorer; coverage says how many.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from actors.config import StrictConfig
from actors.roles import Scorer
from actors.types import Candidate, Item, ItemError, Message, Score
from pipelines.base import Solution
from pipelines.methods import estimators, votes
from pipelines.methods.votes import WeightKind
from results.schema import AnswerRecord, CandidateRecord

SCORE, MARGIN = "score", "margin"
"""Metrics beside the task's: the chosen candidate's score; by how much the right one is above the
best of the others."""


class Config(StrictConfig):
    """Under `pipeline:` with `name: given`. Every scorer of roles.scorers ranks."""


async def solve(item: Item, config: Config, *, scorers: Mapping[str, Scorer]) -> Solution:
    """Score one item's candidates. Errors rise to the runner, which records them on the item.

    Raises ItemError for an item without candidates, and as the scorers do.
    """
    if not item.choices:
        problem = item.problem or "the data has a null where one belongs"
        raise ItemError("error", f"no reply to score: {problem}")
    candidates = [
        Candidate(
            index=index,
            member="",
            decoding="given",
            text=text,
            finish_reason="stop",
            prompt_tokens=0,
            tokens=None,
            logprob=None,
            seed=None,
            seconds=0.0,
        )
        for index, text in enumerate(item.choices)
    ]
    scores: dict[str, tuple[Score | None, ...]] = {
        name: tuple(await scorer.score(item, candidates)) for name, scorer in scorers.items()
    }
    return Solution(candidates=tuple(candidates), scores=scores)


def prompt(item: Item) -> tuple[Message, ...]:
    """What the candidates reply to."""
    return item.messages


def sends(config: Config) -> int:
    """How often each item's prompt is sent: once, however many candidates reply to it."""
    return 1


def requests(config: Config, num_items: int) -> str:
    """Of all items."""
    return f"every candidate of {num_items:,} items, by each scorer"


def answers(
    pools: Sequence[Sequence[CandidateRecord]],
    config: Config,
    *,
    scales: Mapping[str, WeightKind],
) -> list[tuple[AnswerRecord, ...]]:
    """Of each item, what the highest score of each scorer chooses, and the figures beside it."""
    return [tuple(row for name in scales for row in _chosen(pool, name)) for pool in pools]


def _chosen(pool: Sequence[CandidateRecord], scorer: str) -> list[AnswerRecord]:
    scores_N = [{s.scorer: s.value for s in c.scores}.get(scorer) for c in pool]
    known_N = [value for value in scores_N if value is not None]
    method = f"best_of:{scorer}" if len(pool) > 1 else scorer
    position = votes.best_of(scores_N)
    if len(known_N) < len(scores_N) or position is None:
        return []
    rows: list[AnswerRecord] = []
    best = pool[position]
    picked: dict[str, Any] = {
        "candidate": best.index,
        "answer": best.answer,
        "correct": best.correct,
    }
    gold = [{g.metric: g.value for g in c.grade} for c in pool]
    for metric in gold[0]:
        gold_N = [found[metric] for found in gold]
        value = float(estimators.best_of_k(scores_N, gold_N, len(pool)))
        rows.append(AnswerRecord(method=method, metric=metric, k=0, value=value, **picked))
    rows.append(AnswerRecord(method=method, metric=SCORE, k=0, value=known_N[position], **picked))
    right = [value for value, c in zip(known_N, pool, strict=True) if c.correct]
    others = [value for value, c in zip(known_N, pool, strict=True) if c.correct is False]
    if right and others:
        margin = max(right) - max(others)
        rows.append(AnswerRecord(method=method, metric=MARGIN, k=0, value=margin))
    return rows
