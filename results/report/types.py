"""What a page is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from results.report.svg import Series
from results.summary import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture with its heading, its legend and a sentence below."""

    title: str
    svg: Markup
    series: Sequence[Series]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """Greedy decoding beside one draw of the same member."""

    label: str
    greedy: Row | None
    draw: Row
    """The mean over all draws."""
    worst: float | None = None
    """Of all runs, a run being one draw of every item."""
    best: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A value with its interval, and a range behind it, on a `Track`."""

    value: float
    low: float
    high: float
    color: str = "c0"
    worst: float | None = None
    best: float | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """A scale that the rows of a table share; places are in per cent of its width."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    def at(self, value: float) -> str:
        """The place of a value; at the end for one beyond."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(max(share, 0.0), 1.0):.2f}%"

    def wide(self, low: float, high: float) -> str:
        """How wide an interval is."""
        ends = [min(max((v - self.low) / (self.high - self.low), 0.0), 1.0) for v in (low, high)]
        return f"{100 * (ends[1] - ends[0]):.2f}%"
