"""With how many draws a method passes a line that others have drawn.

    curve of a method over k, with intervals --first k at or above the line--> Crossing

The curves are known at the draw sizes of the run alone, and so is the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from results.figure import Measured
from results.pools import Named

SAME = 1e-9
"""A mean and a line that are closer are equal but for rounding: 57.1 per cent is no float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """One method of one pool against one line.

    Crossing(reference="GPT-4-Turbo", level=0.838, method="best_of:armo of llama t=1,p=1,r=1",
             member="llama", decoding="t=1,p=1,r=1", k=8, low=4, high=16, within=128)
    """

    reference: str
    level: float
    """The line, a share."""
    method: str
    """With its pool, as in the rows of the summary."""
    member: str
    decoding: str
    k: int | None
    """The smallest draw size whose value is at least the line; None: not within `within`."""
    low: int | None
    """The smallest at which the upper end of the 95 % interval is: fewer draws hardly will do."""
    high: int | None
    """The smallest at which the lower end is: so many surely do."""
    within: int
    """The largest draw size."""


def crossings(rows: Sequence[Measured], references: Mapping[str, float]) -> tuple[Crossing, ...]:
    """Of every curve under the first metric; references are shares. A method of a single draw size
    that is no curve (`first`) takes no part.
    """
    curves: dict[str, list[Measured]] = {}
    for row in rows:
        if row.metric == rows[0].metric and row.k and Named.read(row.method).method != "first":
            curves.setdefault(row.method, []).append(row)
    return tuple(
        _crossing(name, level, sorted(curve, key=lambda point: point.k))
        for name, level in references.items()
        for curve in curves.values()
    )


def _crossing(reference: str, level: float, curve: Sequence[Measured]) -> Crossing:
    def first(end: str) -> int | None:
        return next((point.k for point in curve if getattr(point, end) >= level - SAME), None)

    named = Named.read(curve[0].method)
    return Crossing(
        reference=reference,
        level=level,
        method=curve[0].method,
        member=named.member,
        decoding=named.decoding,
        k=first("value"),
        low=first("high"),
        high=first("low"),
        within=curve[-1].k,
    )
