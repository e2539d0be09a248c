"""Two runs of one task, item by item: what changed from A to B, and could that be chance?"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from results.columns import Columns
from results.directories import Where
from results.errors import ResultsError
from results.parts import read_records
from results.pools import ABOUT_TEXTS
from results.resampling import have_common
from results.schema import UNBOUNDED, WITHOUT
from results.stats import holm, minimum_detectable_effect, paired_differences
from results.store import Manifest, first_difference, read_manifest

ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One method, metric and k that both runs have, over the items that both answered.

    ComparisonRow(method="majority", metric="accuracy", k=8, a=0.57, b=0.61, difference=0.04,
                  low=0.01, high=0.07, p=0.004, p_holm=0.03, gains=30, losses=14, items=400,
                  worse=False, detectable=0.042)
    """

    method: str
    metric: str
    k: int
    a: float
    b: float
    difference: float
    """B minus A."""
    low: float
    high: float
    p: float
    p_holm: float
    """Adjusted over all rows of the comparison."""
    gains: int
    """Items where B is above A."""
    losses: int
    items: int
    worse: bool
    """B is below A, and `p_holm` is below 0.05."""
    detectable: float
    """The smallest true difference that as many items find with 80 % probability at p < 0.05,
    before Holm's adjustment."""

    @property
    def better(self) -> bool:
        """B is above A, and `p_holm` is below 0.05."""
        return self.difference > 0 and self.p_holm < ALPHA


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What `compare` found."""

    task: str
    rows: tuple[ComparisonRow, ...]
    items: int
    """Answered in both runs; every figure is over these."""
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


def compare(run_a: Where, run_b: Where) -> Comparison:
    """Compare B with A on the items that both answered, paired per item and clustered by group.

    Prompts, models and settings may differ: that is what is compared. Raises ResultsError: other
    tasks, other rows (the manifests' `data`), no shared items, no shared method.
    """
    manifests = read_manifest(run_a), read_manifest(run_b)
    a, b = Columns.gather(read_records(run_a)), Columns.gather(read_records(run_b))
    _refuse(manifests, a, b)
    row_of_b = {item_id: row for row, item_id in enumerate(b.item_ids)}
    rows_a = [row for row, item_id in enumerate(a.item_ids) if item_id in row_of_b]
    rows_b = [row_of_b[a.item_ids[row]] for row in rows_a]
    if not rows_a:
        raise ResultsError(
            f"wanted items that both runs answered, got none of {len(a.item_ids)} in {run_a} "
            f"and {len(b.item_ids)} in {run_b}; compare runs over the same items"
        )
    limited = [manifest.limited for manifest in manifests]
    return Comparison(
        task=a.task,
        rows=tuple(_rows(a, b, rows_a, rows_b)),
        items=len(rows_a),
        only_a=len(a.item_ids) - len(rows_a),
        only_b=len(b.item_ids) - len(rows_a),
        limited=any(limited),
        mixed=limited[0] != limited[1],
        setting=first_difference(manifests[0].identity, manifests[1].identity),
    )


def _refuse(manifests: tuple[Manifest, Manifest], a: Columns, b: Columns) -> None:
    if a.item_ids and b.item_ids and a.task != b.task:
        raise ResultsError(f"wanted two runs of one task, got {a.task!r} and {b.task!r}")
    data = [manifest.identity.get("data") for manifest in manifests]
    if data[0] != data[1]:
        raise ResultsError(
            f"wanted two runs over the same rows, got rows with the fingerprints {data[0]} and "
            f"{data[1]}; prompts and settings may differ, the data may not"
        )


def _rows(a: Columns, b: Columns, rows_a: list[int], rows_b: list[int]) -> list[ComparisonRow]:
    known, hidden = set(b.keys()), UNBOUNDED | ABOUT_TEXTS
    keys = [
        (method, metric, k)
        for method, metric, k in a.keys()  # noqa: SIM118  (not a dict)
        if (method, metric, k) in known and WITHOUT not in method and metric not in hidden
    ]
    if not keys:
        raise ResultsError("wanted a method, metric and k that both runs have, got none")
    a_CQ, b_CQ = a.values(keys)[:, rows_a], b.values(keys)[:, rows_b]
    common_C = have_common(a_CQ, b_CQ)
    keys = [key for key, common in zip(keys, common_C.tolist(), strict=True) if common]
    a_CQ, b_CQ = a_CQ[common_C], b_CQ[common_C]
    groups = [a.groups[row] for row in rows_a]
    found = paired_differences(b_CQ, a_CQ, groups=groups)
    adjusted = holm([difference.p for difference in found])
    rows = []
    for key, a_Q, b_Q, change, p_holm in zip(keys, a_CQ, b_CQ, found, adjusted, strict=True):
        both_Q = np.isfinite(a_Q + b_Q)
        rows.append(
            ComparisonRow(
                method=key[0],
                metric=key[1],
                k=key[2],
                a=float(a_Q[both_Q].mean()),
                b=float(b_Q[both_Q].mean()),
                difference=change.value,
                low=change.low,
                high=change.high,
                p=change.p,
                p_holm=p_holm,
                gains=change.gains,
                losses=change.losses,
                items=change.items,
                worse=change.value < 0 and p_holm < ALPHA,
                detectable=minimum_detectable_effect(change.stderr),
            )
        )
    return rows
