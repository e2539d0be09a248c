"""Whether a difference keeps to what was demanded of it: pass, fail, or inconclusive and why.

    threshold   B minus A must lie above it: -0.01 allows a drop of less than a point, 0.02 demands
                an improvement of more than two
    pass        the whole interval lies above the threshold
    fail        the whole interval lies below it
    else        inconclusive, with the number of items that would decide

Items that lack a value in A or B are no evidence for either. What passes must also pass, and what
fails also fail, when all of them are filled in the other way: against B with 0 and for A with 1, or
the reverse (Manski 1990). Else these items could change the verdict.

A gate passes where every case passes, an intersection-union test, which is not weakened by many
cases (Berger 1982). It fails where any case does, which is: so a case fails by Holm's step-down
over all of them, at 1 - alpha / (number of cases still open).

Axes: `Q` item. NaN: no value.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from results.differences import Difference, paired_difference
from results.power import about, items_needed, spread_of
from results.resampling import Floats
from results.stats import quantile

Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One difference and what is demanded of it."""

    a_Q: Floats
    b_Q: Floats
    groups: Sequence[str]
    """[Q]: the cluster of each item."""
    threshold: float

    @property
    def missing(self) -> int:
        """Items that lack a value in A or B."""
        return int(np.isnan(self.a_Q + self.b_Q).sum())

    def difference(self, level: float) -> Difference:
        """B minus A over the items that have both."""
        return paired_difference(self.b_Q, self.a_Q, groups=self.groups, level=level)

    def filled(self, of_b: float, level: float) -> Difference:
        """Over all items, those missing being `of_b` in B and the opposite in A."""
        b_Q = np.where(np.isnan(self.b_Q), of_b, self.b_Q)
        a_Q = np.where(np.isnan(self.a_Q), 1.0 - of_b, self.a_Q)
        return paired_difference(b_Q, a_Q, groups=self.groups, level=level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What became of a case."""

    verdict: Verdict
    reason: str
    difference: Difference | None
    """None: no item has both values."""
    missing: int
    """Items that lack a value in A or B."""
    items_needed: int | None = None
    """That would decide an inconclusive case, were the difference the true one; None: it is
    decided, or more items would not help."""


def rule(
    cases: Sequence[Case], *, confidence: float, holm: bool, min_coverage: float
) -> list[Ruling]:
    """Of each case. min_coverage: the least share of its items that must have both values, for it
    to pass.
    """
    known = {i: case for i, case in enumerate(cases) if case.missing < len(case.a_Q)}
    failed, level = _failed(known, confidence, holm=holm)
    return [
        _ruling(case, confidence, failed.get(i), level, min_coverage)
        if i in known
        else _without_items(case)
        for i, case in enumerate(cases)
    ]


def _failed(
    cases: Mapping[int, Case], confidence: float, *, holm: bool
) -> tuple[dict[int, float], float]:
    """The cases whose interval lies below the threshold, with the level at which it does; and the
    level at which a further one would fail.
    """
    failed: dict[int, float] = {}
    level = confidence
    while left := [i for i in cases if i not in failed]:
        level = 1 - (1 - confidence) / len(left) if holm else confidence
        below = [i for i in left if cases[i].difference(level).high < cases[i].threshold]
        if not below:
            break
        failed |= dict.fromkeys(below, level)
    return failed, level


def _without_items(case: Case) -> Ruling:
    return Ruling(
        verdict="inconclusive",
        reason="no item has a value in both runs",
        difference=None,
        missing=case.missing,
    )


def _ruling(
    case: Case, confidence: float, failed_at: float | None, level: float, min_coverage: float
) -> Ruling:
    """failed_at: the level at which it fails, if it does. level: at which it would."""
    found = case.difference(confidence)
    verdict: Verdict = "inconclusive"
    needed = None
    could = f"the {case.missing:,} items that lack a value in A or B could change it: answer these"
    if failed_at is not None:
        if case.missing and case.filled(1.0, failed_at).high >= case.threshold:
            reason = f"fails on the {found.items:,} answered, but {could}"
        else:
            verdict, reason = "fail", f"the whole {failed_at:.4%} interval lies below"
    elif found.items < min_coverage * len(case.a_Q):
        reason = (
            f"{found.items:,} of {len(case.a_Q):,} items have a value in both runs, wanted at "
            f"least {min_coverage:.1%}: answer the others"
        )
    elif found.low > case.threshold:
        if case.missing and case.filled(0.0, confidence).low <= case.threshold:
            reason = f"passes on the {found.items:,} answered, but {could}"
        else:
            verdict, reason = "pass", "the whole interval lies above"
    else:
        needed, reason = _undecided(found, case.threshold, confidence, level)
    return Ruling(
        verdict=verdict,
        reason=reason,
        difference=found,
        missing=case.missing,
        items_needed=needed,
    )


def _undecided(
    found: Difference, threshold: float, confidence: float, level: float
) -> tuple[int | None, str]:
    """Items that would decide, and what is said of them."""
    if math.isclose(found.value, threshold, abs_tol=1e-12):
        return None, "the difference is the threshold itself: no number of items would decide"
    effect = found.value - threshold
    # Where differences are few, the interval is wider than its standard error says.
    half = found.value - found.low if effect > 0 else found.high - found.value
    stderr = max(found.stderr, half / quantile(confidence))
    # Among many cases a failure takes more than a pass: see the module's docstring.
    demanded = confidence if effect > 0 else level
    needed = items_needed(effect, spread_of(stderr, found.items), level=demanded)
    assert needed is not None, "there is an effect"
    side = "pass" if effect > 0 else "fail"
    return needed, (
        f"{about(needed)} items would decide, not {found.items:,}: {side}ing with 80 % "
        "probability, were this the true difference"
    )
