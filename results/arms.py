"""Arms of a run of conversations: who replied, what the scorers said on average, what it cost.

    records (one pass) --by arm--> efforts of each member, values of each scorer --> ArmRow

Prompt tokens are counted three ways: all that was sent; what the member had not met before in the
conversation (`fresh_tokens`: the prefill where its cache keeps the rest, to which a change of
members adds); and what the engine says it reused (`cached_tokens`), also of what other arms and
conversations had sent before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from results.costs import Member, expected_parameters, flops, total_parameters
from results.moments import moments
from results.resampling import clusters
from results.schema import ALONE, CandidateRecord, Record
from results.stats import unbounded_interval


@dataclass(slots=True, kw_only=True)
class Effort:
    """What one member did in one arm, over all conversations."""

    replies: int = 0
    tokens: int = 0
    """Written."""
    prompt_tokens: int = 0
    """Sent, whether cached or not."""
    fresh_tokens: int = 0
    """Of these, not met before in the conversation."""
    cached_tokens: int = 0
    """Of these, reused by the engine, as it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreMean:
    """A scorer's mean over conversations, in its own units."""

    value: float
    low: float | None
    """Of the 95 % interval (Student's t over clusters), like `high`; None for a single cluster."""
    high: float | None
    items: int
    """Conversations with a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """One arm over all of its conversations."""

    arm: str
    conversations: int
    efforts: dict[str, Effort]
    """By member that replied."""
    changes: int
    """Replies by another member than the one before."""
    cut: int
    """Replies whose prompt lacks the oldest turns."""
    scores: dict[str, ScoreMean]
    """By scorer; those without any verdict are not there."""
    parameters: float | None
    """Expected numbers in the weights that a token passes: 2 FLOPs for each."""
    memory: float | None
    """Numbers in the weights of all members that may reply."""
    flops: float | None
    """For all that was written and all fresh tokens."""


@dataclass(slots=True)
class _Arm:
    conversations: int = 0
    changes: int = 0
    cut: int = 0
    efforts: dict[str, Effort] = field(default_factory=dict)
    scores: dict[str, tuple[list[float], list[str]]] = field(default_factory=dict)
    """By scorer: values, and the group of each."""


class Arms:
    """`add` every record, then read `rows`. Candidates that are no conversation are passed over."""

    def __init__(self) -> None:
        self._arms: dict[str, _Arm] = {}

    def add(self, record: Record) -> None:
        """Take in one record."""
        for candidate in record.candidates:
            if candidate.replies:
                self._add(self._arms.setdefault(candidate.arm, _Arm()), candidate, record.group)

    def rows(self, members: Mapping[str, Member]) -> tuple[ArmRow, ...]:
        """In the order in which arms first came. members: all that may reply."""
        return tuple(_row(name, arm, members) for name, arm in self._arms.items())

    @staticmethod
    def _add(arm: _Arm, candidate: CandidateRecord, group: str) -> None:
        arm.conversations += 1
        arm.cut += sum(reply.cut > 0 for reply in candidate.replies)
        arm.changes += sum(a.member != b.member for a, b in pairwise(candidate.replies))
        for reply in candidate.replies:
            effort = arm.efforts.setdefault(reply.member, Effort())
            effort.replies += 1
            effort.tokens += reply.tokens or 0
            effort.prompt_tokens += reply.prompt_tokens
            effort.fresh_tokens += reply.fresh_tokens
            effort.cached_tokens += reply.cached_tokens
        for score in candidate.scores:
            if score.value is not None:
                values, groups = arm.scores.setdefault(score.scorer, ([], []))
                values.append(score.value)
                groups.append(group)


def _row(name: str, arm: _Arm, members: Mapping[str, Member]) -> ArmRow:
    alone = name.removesuffix(ALONE)
    able = {alone: members[alone]} if alone in members and alone != name else members
    spent = [
        flops(members[writer].parameters or 0.0, effort.tokens + effort.fresh_tokens)
        for writer, effort in arm.efforts.items()
        if writer in members and members[writer].parameters is not None
    ]
    return ArmRow(
        arm=name,
        conversations=arm.conversations,
        efforts=arm.efforts,
        changes=arm.changes,
        cut=arm.cut,
        scores={scorer: _mean(*both) for scorer, both in arm.scores.items()},
        parameters=expected_parameters(able) if able else None,
        memory=total_parameters(able) if able else None,
        flops=sum(spent) if len(spent) == len(arm.efforts) else None,
    )


def _mean(values: list[float], groups: list[Any]) -> ScoreMean:
    (column,) = moments(*clusters(np.array([values]), groups))
    found = unbounded_interval(column) if column.clusters > 1 else None
    return ScoreMean(
        value=column.mean,
        low=found.low if found else None,
        high=found.high if found else None,
        items=column.items,
    )
