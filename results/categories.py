"""Results by category of the items, such as a subject, and their mean over the categories."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from scipy import stats

from results.columns import Key
from results.pools import ABOUT_TEXTS
from results.schema import UNBOUNDED, WITHOUT, Record
from results.table import Mean, Table

MACRO = "mean over categories"
"""Each category counts the same, however many items it has (macro average)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryRow:
    """One method at its largest k in one category.

    CategoryRow(category="anatomy", method="G", metric="acc", k=0, value=0.31, low=0.24, high=0.4,
                items=135)
    """

    category: str
    """`MACRO` for the mean over all of them."""
    method: str
    metric: str
    k: int
    value: float
    low: float
    """Of the 95 % interval, like `high`."""
    high: float
    items: int


class Categories:
    """`add` every record, then read `rows`. Records without a category are passed over."""

    def __init__(self) -> None:
        self._tables: dict[str, Table] = {}

    def add(self, record: Record) -> None:
        """Take in one record."""
        if record.category:
            self._tables.setdefault(record.category, Table()).add(record)

    @property
    def tables(self) -> Mapping[str, Table]:
        """Of each category by name; none for a single category."""
        several = len(self._tables) > 1
        return {name: self._tables[name] for name in sorted(self._tables)} if several else {}

    def rows(self) -> tuple[CategoryRow, ...]:
        """The means over categories, then the categories by name; none for a single category."""
        means = {name: _largest(table.means()) for name, table in self.tables.items()}
        keys = dict.fromkeys(key for found in means.values() for key in found)
        macro = [
            _macro(key, [found[key] for found in means.values() if key in found]) for key in keys
        ]
        return (
            *macro,
            *(
                _row(name, key, mean)
                for name, found in means.items()
                for key, mean in found.items()
            ),
        )


def _largest(means: Mapping[Key, Mean]) -> dict[Key, Mean]:
    last = {(method, metric): k for method, metric, k in means if WITHOUT not in method}
    return {
        key: mean
        for key, mean in means.items()
        if last.get(key[:2]) == key[2] and key[1] not in UNBOUNDED | ABOUT_TEXTS
    }


def _row(category: str, key: Key, mean: Mean) -> CategoryRow:
    method, metric, k = key
    return CategoryRow(
        category=category,
        method=method,
        metric=metric,
        k=k,
        value=mean.value,
        low=mean.interval.low,
        high=mean.interval.high,
        items=mean.items,
    )


def _macro(key: Key, means: list[Mean]) -> CategoryRow:
    """The categories are given, not drawn: only the items within them vary (a stratified mean)."""
    value = sum(mean.value for mean in means) / len(means)
    stderr = sqrt(sum(mean.interval.stderr**2 for mean in means)) / len(means)
    half = float(stats.norm.ppf(0.975)) * stderr
    method, metric, k = key
    return CategoryRow(
        category=MACRO,
        method=method,
        metric=metric,
        k=k,
        value=value,
        low=max(value - half, 0.0),
        high=min(value + half, 1.0),
        items=sum(mean.items for mean in means),
    )
