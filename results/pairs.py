"""Two runs of one task, laid side by side item by item.

    A's records --Columns--+
                           +--> item ids of both, and the values of either [C, Q]
    B's records --Columns--+

Axes: `Q` item that came out in at least one of the runs, `C` column. NaN: the run has no value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from results.columns import Columns, Key
from results.directories import Where
from results.errors import ResultsError
from results.manifest import Manifest, find_runs, read_manifest
from results.parts import read_records
from results.pools import ABOUT_TEXTS
from results.resampling import Floats
from results.schema import UNBOUNDED, WITHOUT


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Of one task; made by `read_pair`."""

    names: tuple[str, str]
    """Of the run directories."""
    manifests: tuple[Manifest, Manifest]
    a: Columns
    b: Columns

    @property
    def task(self) -> str:
        return self.a.task

    @cached_property
    def item_ids(self) -> list[str]:
        """[Q], those of A first."""
        return list(dict.fromkeys([*self.a.item_ids, *self.b.item_ids]))

    @cached_property
    def groups(self) -> list[str]:
        """[Q]: the cluster of each item."""
        found = dict(zip(self.b.item_ids, self.b.groups, strict=True))
        found |= dict(zip(self.a.item_ids, self.a.groups, strict=True))
        return [found[item_id] for item_id in self.item_ids]

    @cached_property
    def in_both(self) -> NDArray[np.bool_]:
        """[Q]: the item came out in both runs."""
        both = set(self.a.item_ids) & set(self.b.item_ids)
        return np.array([item_id in both for item_id in self.item_ids], dtype=np.bool_)

    @property
    def asked(self) -> int:
        """Items that at least one of the runs was asked for, whether they came out or not."""
        wanted = [manifest.about.get("num_items", 0) for manifest in self.manifests]
        there = [len(columns) + columns.failed for columns in (self.a, self.b)]
        return int(max(*wanted, *there, self.num))

    @property
    def num(self) -> int:
        """Of the items."""
        return len(self.item_ids)

    @property
    def limited(self) -> tuple[bool, bool]:
        """Whether each run is over a subset of its data set."""
        first, second = self.manifests
        return first.limited, second.limited

    def keys(self) -> list[Key]:
        """Methods, metrics and k of credits that both runs have, in A's order."""
        known, hidden = set(self.b.keys()), UNBOUNDED | ABOUT_TEXTS
        return [
            key
            for key in self.a.keys()  # noqa: SIM118  (not a dict)
            if key in known and WITHOUT not in key[0] and key[1] not in hidden
        ]

    def values(self, keys: Sequence[Key]) -> tuple[Floats, Floats]:
        """Of A and of B, [C, Q] each."""
        return self._laid_out(self.a, keys), self._laid_out(self.b, keys)

    def _laid_out(self, columns: Columns, keys: Sequence[Key]) -> Floats:
        place = {item_id: q for q, item_id in enumerate(self.item_ids)}
        values_CQ = np.full((len(keys), self.num), np.nan)
        values_CQ[:, [place[item_id] for item_id in columns.item_ids]] = columns.values(keys)
        return values_CQ


def read_pair(run_a: Where, run_b: Where) -> Pair:
    """Two runs that can be compared. Raises ResultsError: other tasks, other rows (the manifests'
    `data`), no method, metric and k that both have.
    """
    manifests = read_manifest(run_a), read_manifest(run_b)
    a, b = Columns.gather(read_records(run_a)), Columns.gather(read_records(run_b))
    if a.item_ids and b.item_ids and a.task != b.task:
        raise ResultsError(f"wanted two runs of one task, got {a.task!r} and {b.task!r}")
    data = [manifest.identity.get("data") for manifest in manifests]
    if data[0] != data[1]:
        raise ResultsError(
            f"wanted two runs over the same rows, got rows with the fingerprints {data[0]} and "
            f"{data[1]}; prompts and settings may differ, the data may not"
        )
    pair = Pair(names=(str(run_a), str(run_b)), manifests=manifests, a=a, b=b)
    if a.item_ids and b.item_ids and not pair.keys():
        raise ResultsError(
            "wanted a method, metric and k that both runs have, got none but scores and lengths at "
            "most: these are no credit, and two scorers' have no scale in common"
        )
    return pair


def read_pairs(where_a: Where, where_b: Where) -> list[Pair]:
    """Of two runs, or of two folders of runs (one config over several tasks), those of the same
    name in both. Raises ResultsError as `read_pair` does, and for folders of which one has a run
    that the other lacks.
    """
    runs_a, runs_b = find_runs(where_a), find_runs(where_b)
    if len(runs_a) == len(runs_b) == 1:
        return [read_pair(*runs_a.values(), *runs_b.values())]
    alone = sorted(runs_a.keys() ^ runs_b.keys())
    if alone:
        raise ResultsError(
            f"wanted the same runs in {where_a} and {where_b}, got {', '.join(alone)} in one of "
            "them alone; compare two run directories, or folders made by one config"
        )
    return [read_pair(runs_a[name], runs_b[name]) for name in runs_a]
