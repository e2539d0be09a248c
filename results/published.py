"""Figures of graders under the names and on the scales that published tables use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from results.figure import Measured
from results.judges import Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """`PublishedRow(figure="WB-Score", grader="mark", method="greedy", k=0, value=29.6, low=27.1,
    high=32.0)`.
    """

    figure: str
    grader: str
    method: str
    k: int
    value: float
    low: float
    high: float


def published(rows: Iterable[Measured], judges: Mapping[str, Judge]) -> tuple[PublishedRow, ...]:
    """Of each row whose metric is a grader with a published scale: its credit on that scale."""
    found = []
    for row in rows:
        judge = judges.get(row.metric)
        if judge is None or judge.published is None:
            continue
        scale = judge.published
        width = scale.high - scale.low
        value, low, high = (scale.low + width * v for v in (row.value, row.low, row.high))
        found.append(
            PublishedRow(
                figure=scale.name,
                grader=row.metric,
                method=row.method,
                k=row.k,
                value=value,
                low=low,
                high=high,
            )
        )
    return tuple(found)
