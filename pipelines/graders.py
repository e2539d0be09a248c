"""Graders: scorers whose verdict on a candidate is its credit, where the task doesn't know any.

    candidates --roles.graders--> scores, kept like all others --their range--> credit in [0, 1]

Every grader is a metric of its own name, so methods choose, curves are drawn and intervals computed
as for any other metric: a judge's win rate against a baseline, a mark on a scale. A candidate of
which a grader has no verdict has no grade. Graders see all candidates, greedy ones too; what they
read and write is no part of what a method costs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from actors.role_config import RolesConfig
from actors.roles import Model, Scorer
from actors.scorer_table import make_scorer
from actors.types import ConfigError, Item
from pipelines.base import Solution
from pipelines.tasks.base import Task
from results.pools import ABOUT_TEXTS
from results.schema import UNBOUNDED, CandidateRecord, GradeRecord

KINDS = ("judge", "judge_versus", "recorded")
"""Scorers whose values have ends, and hold for a candidate whatever the others are."""
VOTES = ("majority", "weighted")
"""Rankers that count equal answers, which open-ended replies don't have."""

RESERVED = UNBOUNDED | ABOUT_TEXTS
"""Metrics that the summary takes for no credit, whoever gave them."""
ROUNDING = 1e-9
"""By which a mean of verdicts may lie beyond the ends of their scale."""

Ranges = Mapping[str, tuple[float, float]]
"""By grader: the scores that are worth 0 and 1."""


def check(
    roles: RolesConfig, task: Task, pipeline: str, rankers: Sequence[str], *, draws: bool
) -> None:
    """Refuse graders that can't grade this task, and draws without grades. Raises ConfigError.

    rankers: those that will rank, named in the config or not.
    """
    if not task.metrics and not roles.graders and draws:
        raise ConfigError(
            f"task {task.name}: nothing tells right from wrong there, so pipeline "
            f"{pipeline} can't grade its draws; add a judge that can: roles.graders: "
            "{win: {kind: judge_versus, model: NAME}}; or compare conversations by their scores "
            "with pipeline chat"
        )
    if task.metrics and roles.graders:
        raise ConfigError(
            f"roles.graders: task {task.name} knows what is right ({', '.join(task.metrics)}); "
            "take them out, or let them score: roles.scorers"
        )
    for name, grader in roles.graders.items():
        if grader.kind not in KINDS:
            raise ConfigError(
                f"roles.graders.{name}: wanted a kind whose scores are credit ({', '.join(KINDS)}),"
                f" got {grader.kind!r}; it can score: roles.scorers.{name}"
            )
        if name in RESERVED:
            raise ConfigError(
                f"roles.graders.{name}: the summary has another metric of that name; rename it"
            )
        if name in roles.scorers:
            raise ConfigError(f"roles.graders.{name}: a scorer has that name too; rename one")
        if grader.kind == "judge_versus" and not any(item.reference for item in task.items()):
            raise ConfigError(
                f"roles.graders.{name}: task {task.name} has nothing to compare replies with; name "
                "a file of a baseline's: task.baseline=FILE"
            )
    voting = [ranker for ranker in rankers if ranker.partition(":")[0] in VOTES]
    if roles.graders and draws and voting:
        raise ConfigError(
            f"pipeline.rankers: {voting[0]!r} counts equal answers, and open-ended replies have "
            "none; name others, such as first, best_of:SCORER and oracle"
        )


def ranges(roles: RolesConfig, judges: Mapping[str, Mapping[str, Any]]) -> Ranges:
    """Of a run whose identity says that about its judges."""
    return {
        name: (judges[name]["low"], judges[name]["high"]) if name in judges else (0.0, 1.0)
        for name in roles.graders
    }


def bind(roles: RolesConfig, models: Mapping[str, Model], *, seed: int) -> dict[str, Scorer]:
    """The graders, made of hosted models. seed: the run's."""
    found = roles.graders.items()
    return {name: make_scorer(name, grader, models, seed=seed) for name, grader in found}


async def graded(item: Item, solution: Solution, graders: Mapping[str, Scorer]) -> Solution:
    """The solution with every grader's scores of all of its candidates. Errors rise."""
    scores = {
        name: tuple(await grader.score(item, solution.candidates))
        for name, grader in graders.items()
    }
    return replace(solution, scores={**solution.scores, **scores}) if scores else solution


def credited(candidate: CandidateRecord, ranges: Ranges) -> CandidateRecord:
    """The candidate with its graders' credit. Raises ConfigError for a score out of range."""
    if not ranges:
        return candidate
    values = {score.scorer: score.value for score in candidate.scores}
    grades = []
    for name, (low, high) in ranges.items():
        value = values.get(name)
        if value is None:
            failed = candidate.outcome == "ungraded"
            return replace(
                candidate, grade=(), outcome="judge_failed" if failed else candidate.outcome
            )
        credit = (value - low) / (high - low)
        if not -ROUNDING <= credit <= 1.0 + ROUNDING:
            raise ConfigError(
                f"roles.graders.{name}: wanted scores from {low:g} to {high:g}, got {value:g}"
            )
        grades.append(GradeRecord(metric=name, value=min(max(credit, 0.0), 1.0)))
    return replace(candidate, grade=tuple(grades))
