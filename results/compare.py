"""Two runs of one task, item by item: what changed from A to B, and could that be chance?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from results.columns import Key
from results.differences import Difference, holm, paired_differences, unpaired_differences
from results.directories import Where
from results.errors import ResultsError
from results.manifest import first_difference
from results.moments import SAME
from results.pairs import Pair, read_pair
from results.pools import PREFIX, Named
from results.power import items_needed, minimum_detectable_effect, spread_of
from results.resampling import Floats

ALPHA = 0.05
DIGITS = 10
"""Of figures that are compared with each other."""
UNDECIDED = "not told apart"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One method, metric and k that both runs have, over the items that both answered.

    ComparisonRow(method="majority", metric="accuracy", k=8, a=0.57, b=0.61, difference=0.04,
                  low=0.01, high=0.07, p=0.004, p_holm=0.03, gains=2, losses=1, items=400,
                  detectable=0.042, detectable_unpaired=0.097, items_needed=440,
                  gained=("gsm8k-7", "gsm8k-31"), lost=("gsm8k-12",))
    """

    method: str
    metric: str
    k: int
    a: float
    b: float
    difference: float
    """B minus A."""
    low: float
    """Of the 95 % interval, like `high`."""
    high: float
    p: float
    p_holm: float
    """Adjusted over all hypotheses of all tasks that are compared at once."""
    gains: int | None
    """Items where B is above A; None, like `losses`, of an unpaired comparison."""
    losses: int | None
    items: int
    """Of an unpaired comparison, those of the run that has fewer."""
    detectable: float
    """The smallest true difference that as many items find with 80 % probability at p < 0.05,
    before Holm's adjustment."""
    detectable_unpaired: float
    """The same, were the items of the two runs different ones."""
    items_needed: int | None
    """To find the difference, were it the true one, with 80 % probability at p < 0.05; None for
    no difference."""
    gained: tuple[str, ...] = ()
    """Ids of the items where B is above A."""
    lost: tuple[str, ...] = ()

    @property
    def worse(self) -> bool:
        """B is below A, and `p_holm` is below 0.05."""
        return self.difference < 0 and self.p_holm < ALPHA

    @property
    def better(self) -> bool:
        """B is above A, and `p_holm` is below 0.05."""
        return self.difference > 0 and self.p_holm < ALPHA

    @property
    def verdict(self) -> str:
        """In words."""
        return "worse" if self.worse else "better" if self.better else UNDECIDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What `compare` found."""

    task: str
    rows: tuple[ComparisonRow, ...]
    paired: bool
    """Every figure is over the items that both answered, else over all that each answered."""
    items: int
    """Answered in both runs."""
    only_a: int
    """Answered in A alone: it failed, or wasn't asked, in B."""
    only_b: int
    limited: bool
    """At least one of the runs is over a subset of its data set."""
    mixed: bool
    """One of the runs is limited and the other is not."""
    setting: tuple[str, Any, Any] | None = None
    """The first setting in which the runs differ: its name, A's value, B's value."""

    @property
    def worse(self) -> bool:
        """B is significantly worse in some row."""
        return any(row.worse for row in self.rows)


def compare(run_a: Where, run_b: Where, *, paired: bool = True) -> Comparison:
    """`compare_all` of two runs. Raises ResultsError as that and `read_pair` do."""
    return compare_all([read_pair(run_a, run_b)], paired=paired)[0]


def compare_all(pairs: Sequence[Pair], *, paired: bool = True) -> list[Comparison]:
    """Compare B with A under each task, clustered by group: item by item where both answered, or
    `paired=False` as runs over different items of one data set.

    Prompts, models and settings may differ: that is what is compared. Raises ResultsError for runs
    that share no item, unpaired for one without any.
    """
    found = [_compared(pair, paired) for pair in pairs]
    rows = [(number, row) for number, one in enumerate(found) for row in one.rows]
    family: dict[tuple[object, ...], float] = {}
    for number, row in rows:
        name = _hypothesis(number, row)
        family[name] = max(row.p, family.get(name, 0.0))
    adjusted = dict(zip(family, holm([*family.values()]), strict=True))
    return [
        replace(
            comparison,
            rows=tuple(
                replace(row, p_holm=adjusted[_hypothesis(number, row)]) for row in comparison.rows
            ),
        )
        for number, comparison in enumerate(found)
    ]


def _hypothesis(number: int, row: ComparisonRow) -> tuple[object, ...]:
    """What a row tests. From a single draw no method has a choice, so all are one hypothesis where
    their figures are the same, too: a method may lack an answer to some items.
    """
    named = Named.read(row.method)
    is_prefix = named.method.startswith(PREFIX)
    method = named.method if row.k != 1 else PREFIX if is_prefix else ""
    # Sums in another order differ in their last digits.
    figures = (round(row.a, DIGITS), round(row.b, DIGITS))
    return (number, row.metric, row.k, method, named.pool, *figures, row.items)


def _compared(pair: Pair, paired: bool) -> Comparison:
    shared = int(pair.in_both.sum())
    if not (shared if paired else len(pair.a) and len(pair.b)):
        runs = f"{len(pair.a)} in {pair.names[0]} and {len(pair.b)} in {pair.names[1]}"
        raise ResultsError(
            f"wanted items that both runs answered, got none of {runs}; compare runs over the "
            "same items, or with --unpaired any runs that answered some"
        )
    return Comparison(
        task=pair.task,
        rows=tuple(_paired_rows(pair) if paired else _unpaired_rows(pair)),
        paired=paired,
        items=shared,
        only_a=len(pair.a) - shared,
        only_b=len(pair.b) - shared,
        limited=any(pair.limited),
        mixed=pair.limited[0] != pair.limited[1],
        setting=first_difference(pair.manifests[0].identity, pair.manifests[1].identity),
    )


def _paired_rows(pair: Pair) -> list[ComparisonRow]:
    keys, a_CQ, b_CQ = _with_values(pair, lambda a_CQ, b_CQ: np.isfinite(a_CQ + b_CQ).any(axis=1))
    both_CQ = np.isfinite(a_CQ + b_CQ)
    groups = pair.groups
    found = paired_differences(b_CQ, a_CQ, groups=groups)
    a_CQ, b_CQ = np.where(both_CQ, a_CQ, np.nan), np.where(both_CQ, b_CQ, np.nan)
    apart = unpaired_differences(b_CQ, a_CQ, groups=groups, baseline_groups=groups)
    ids = np.array(pair.item_ids, dtype=object)
    return [
        replace(
            _row(key, a_Q, b_Q, change, alone),
            gained=tuple(ids[b_Q > a_Q + SAME].tolist()),
            lost=tuple(ids[b_Q < a_Q - SAME].tolist()),
        )
        for key, a_Q, b_Q, change, alone in zip(keys, a_CQ, b_CQ, found, apart, strict=True)
    ]


def _unpaired_rows(pair: Pair) -> list[ComparisonRow]:
    keys, a_CQ, b_CQ = _with_values(
        pair, lambda a_CQ, b_CQ: np.isfinite(a_CQ).any(axis=1) & np.isfinite(b_CQ).any(axis=1)
    )
    groups = pair.groups
    found = unpaired_differences(b_CQ, a_CQ, groups=groups, baseline_groups=groups)
    return [
        _row(key, a_Q, b_Q, change, change)
        for key, a_Q, b_Q, change in zip(keys, a_CQ, b_CQ, found, strict=True)
    ]


def _with_values(
    pair: Pair, wanted: Callable[[Floats, Floats], Any]
) -> tuple[list[Key], Floats, Floats]:
    """The columns that have what it takes, and their values in A and B."""
    keys = pair.keys()
    a_CQ, b_CQ = pair.values(keys)
    wanted_C = wanted(a_CQ, b_CQ)
    kept = [key for key, here in zip(keys, wanted_C.tolist(), strict=True) if here]
    return kept, a_CQ[wanted_C], b_CQ[wanted_C]


def _row(
    key: Key, a_Q: Floats, b_Q: Floats, change: Difference, apart: Difference
) -> ComparisonRow:
    """apart: the difference, were the items of the two runs different ones."""
    method, metric, k = key
    return ComparisonRow(
        method=method,
        metric=metric,
        k=k,
        a=float(np.nanmean(a_Q)),
        b=float(np.nanmean(b_Q)),
        difference=change.value,
        low=change.low,
        high=change.high,
        p=change.p,
        p_holm=change.p,
        gains=change.gains,
        losses=change.losses,
        items=change.items,
        detectable=minimum_detectable_effect(change.stderr),
        detectable_unpaired=minimum_detectable_effect(apart.stderr),
        items_needed=items_needed(change.value, spread_of(change.stderr, change.items)),
    )
