"""What a member of a blend is worth: a ranker's figure with and without its draws, at equal k.

For every k, with: the mean over k-subsets of all draws; without: over k-subsets of those that the
other members made. Positive: the ranker is better for having the member.
"""

from dataclasses import dataclass

from results.schema import WITHOUT
from results.table import Table

ENOUGH = 0.95
"""Share of a method's items that must have k draws without the member. Those that have are the ones
with few draws of the member, where it can add little: a larger share of them missing would bias the
difference towards 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginalRow:
    """What one member adds to one ranker.

    MarginalRow(member="base", method="majority", metric="accuracy", k=4, value=0.61, without=0.58,
                difference=0.03, low=0.01, high=0.05, p=0.004, items=1319)
    """

    member: str
    method: str
    metric: str
    k: int
    value: float
    """With its draws, over these items."""
    without: float
    difference: float
    """Paired by item, like its interval and p."""
    low: float
    """Of the 95 % interval, like `high`."""
    high: float
    p: float
    items: int


def marginals(table: Table) -> tuple[MarginalRow, ...]:
    """Each draw size that nearly all items can have; none for a run with one model."""
    means = table.means()
    rows = []
    for key, found in table.marginals().items():
        name, metric, k = key
        method, _, member = name.partition(WITHOUT)
        if found.items < ENOUGH * means[method, metric, k].items:
            continue
        without = means[key].value
        rows.append(
            MarginalRow(
                member=member,
                method=method,
                metric=metric,
                k=k,
                value=without + found.value,
                without=without,
                difference=found.value,
                low=found.low,
                high=found.high,
                p=found.p,
                items=found.items,
            )
        )
    return tuple(rows)
