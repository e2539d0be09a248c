"""A gate: what a policy in YAML demands of the differences between two runs, and what came of it.

    policy --check by check, task by task--> cases (results.gate) --> one verdict

An example with all of its keys is configs/gates/no_worse.yaml.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from actors.config import StrictConfig, parse
from actors.types import ConfigError
from pipelines.config import found_in, merge, read_yaml, shipped_gates
from results.columns import Key
from results.gate import Case, Ruling, Verdict, rule
from results.pairs import Pair
from results.pools import Named


class Check(StrictConfig):
    """What is demanded of one difference, B minus A."""

    method: str
    """Of a study, with its pool or for every pool that has it."""
    metric: str | None = None
    """None: the task's headline metric."""
    k: int | None = Field(None, ge=0)
    """Draws; None: the most that both runs have."""
    task: str | None = None
    """None: every task."""
    max_drop: float | None = Field(None, gt=0.0, lt=1.0)
    """Non-inferiority margin, in credit: 0.01 is a point."""
    min_improvement: float | None = Field(None, ge=0.0, lt=1.0)
    """Demanded improvement; 0: any."""

    @model_validator(mode="after")
    def _one_demand(self) -> "Check":
        if (self.max_drop is None) == (self.min_improvement is None):
            raise ValueError("wanted one of max_drop and min_improvement")
        return self

    @property
    def threshold(self) -> float:
        """That the difference must lie above."""
        if self.max_drop is not None:
            return -self.max_drop
        assert self.min_improvement is not None, "a check has one of the two"
        return self.min_improvement

    @property
    def demand(self) -> str:
        """In words."""
        if self.max_drop is not None:
            return f"drop below {100 * self.max_drop:g}"
        return f"gain above {100 * self.threshold:g}"


class Policy(StrictConfig):
    """A gate's YAML file."""

    checks: tuple[Check, ...] = Field(min_length=1)
    confidence: float = Field(0.95, gt=0.5, lt=1.0)
    """Of the two-sided intervals."""
    correction: Literal["holm", "none"] = "holm"
    """For many checks, of failing; passing all of them needs none (`results.gate`)."""
    min_coverage: float = Field(0.0, ge=0.0, le=1.0)
    """Least share of the items that must have an answer in both runs for a check to pass."""
    limited: bool = False
    """Judge runs over a subset of their data set too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One check under one task."""

    task: str
    method: str
    metric: str
    k: int
    demand: str
    threshold: float
    ruling: Ruling


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a policy came to."""

    confidence: float
    checks: tuple[Checked, ...]

    @property
    def verdict(self) -> Verdict:
        """Fails where a check fails, passes where all pass."""
        verdicts = {check.ruling.verdict for check in self.checks}
        if "fail" in verdicts:
            return "fail"
        return "inconclusive" if "inconclusive" in verdicts else "pass"


def load_policy(name: str) -> Policy:
    """By path, or by the name of a shipped one. Raises ConfigError."""
    path = found_in(shipped_gates(), name, "gate policy")
    return parse(Policy, merge(read_yaml(path), (), str(path)))


def judge(policy: Policy, pairs: Sequence[Pair]) -> Gate:
    """Every check under every task that it is for.

    Raises ConfigError for a check that no task, method, metric or k answers to, and for limited
    runs that the policy doesn't allow.
    """
    for pair in pairs:
        for name, limited in zip(pair.names, pair.limited, strict=True):
            if limited and not policy.limited:
                raise ConfigError(
                    f"wanted runs over whole data sets, got {name}, which is limited to a subset; "
                    "the policy allows that with `limited: true`"
                )
    found = [
        (check, pair, _key(check, pair))
        for named in policy.checks
        for check, pair in _concerned(named, pairs)
    ]
    rulings = rule(
        [_case(pair, key, check.threshold) for check, pair, key in found],
        confidence=policy.confidence,
        holm=policy.correction == "holm",
        min_coverage=policy.min_coverage,
    )
    return Gate(
        confidence=policy.confidence,
        checks=tuple(
            Checked(
                task=pair.task,
                method=key[0],
                metric=key[1],
                k=key[2],
                demand=check.demand,
                threshold=check.threshold,
                ruling=ruling,
            )
            for (check, pair, key), ruling in zip(found, rulings, strict=True)
        ),
    )


def _concerned(check: Check, pairs: Sequence[Pair]) -> list[tuple[Check, Pair]]:
    """Of its task, those of which a run has the method, since one that only A has must not go
    unseen; of a study one for each pool.
    """
    if check.task is not None:
        _known("task", check.task, [pair.task for pair in pairs])
        pairs = [pair for pair in pairs if pair.task == check.task]
    found = [
        (check.model_copy(update={"method": name}), pair)
        for pair in pairs
        for name in _names(check.method, pair)
    ]
    if not found:
        there = chain.from_iterable((*pair.a.keys(), *pair.b.keys()) for pair in pairs)
        _known("method", check.method, [method for method, _, _ in there])
    return found


def _names(method: str, pair: Pair) -> list[str]:
    """What a method is called in a pair of runs: as it is, or by each pool that has it."""
    names = dict.fromkeys(key[0] for key in (*pair.a.keys(), *pair.b.keys()))
    pools = [name for name in names if Named.read(name).method == method]
    return [method] if method in names else pools


def _key(check: Check, pair: Pair) -> Key:
    """The figure that a check is about."""
    keys = pair.keys()
    _known("method", check.method, [method for method, _, _ in keys])
    metric = check.metric or keys[0][1]
    keys = [key for key in keys if key[0] == check.method]
    _known("metric", metric, [key[1] for key in keys])
    sizes = [key[2] for key in keys if key[1] == metric]
    if check.k is not None:
        _known("k", str(check.k), [str(k) for k in sizes])
    return check.method, metric, max(sizes) if check.k is None else check.k


def _known(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = (
            f"did you mean {near[0]!r}?"
            if near
            else f"there are: {', '.join(dict.fromkeys(known))}"
        )
        raise ConfigError(f"checks: no {what} {name!r} in both runs; {hint}")


def _case(pair: Pair, key: Key, threshold: float) -> Case:
    """With a row without values for each item that came out in neither run."""
    a_CQ, b_CQ = pair.values([key])
    lacking = pair.asked - pair.num
    return Case(
        a_Q=np.append(a_CQ[0], np.full(lacking, np.nan)),
        b_Q=np.append(b_CQ[0], np.full(lacking, np.nan)),
        groups=[*pair.groups, *(f"missing:{number}" for number in range(lacking))],
        threshold=threshold,
    )
