"""Shares that are counted while records pass by: sums by cluster, and their interval in the end.

item: so many candidates, so much credit --> Moments (an item alone) or its group's sums, held
"""

from dataclasses import dataclass, field

from results.moments import Moments
from results.schema import Record
from results.stats import Interval, approximate_interval


@dataclass(slots=True)
class Stream:
    """Credit in [0, 1] of any number of candidates an item. Memory: one sum for each shared group.

    The mean is over candidates; its interval is clustered by `Record.group`.
    """

    _alone: Moments = field(default_factory=Moments)
    _groups: dict[str, tuple[int, float]] = field(default_factory=dict)

    def add(self, record: Record, number: int, total: float) -> None:
        """Take in so many values of one item, and their sum."""
        if record.group == record.item_id:
            self._alone += _cluster(number, total)
            return
        before = self._groups.get(record.group, (0, 0.0))
        self._groups[record.group] = (before[0] + number, before[1] + total)

    def mean(self) -> tuple[float, Interval, int]:
        """The mean, its 95 % interval, and how many values it is over."""
        moments = sum((_cluster(*sums) for sums in self._groups.values()), self._alone)
        return moments.mean, approximate_interval(moments), moments.items


def _cluster(number: int, total: float) -> Moments:
    return Moments(
        clusters=1,
        items=number,
        total=total,
        squares=total**2,
        products=total * number,
        sizes=float(number**2),
        low=total / number,
        high=total / number,
    )
