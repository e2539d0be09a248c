"""The per-item numbers that comparisons and small summaries are made of.

Memory is items x (method, metric, k) x 8 bytes; the records themselves are let go.
Axes: `Q` item, `C` column.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import Self

import numpy as np

from results.pools import PREFIX, Named, pool_of
from results.resampling import Floats
from results.schema import Record
from results.tallies import checked

Key = tuple[str, str, int]
"""Method, metric, k."""

READ: Mapping[str, tuple[str, ...]] = {
    "G": ("generator:correct",),
    "SC": ("generator:correct", "generator:incorrect"),
    "D": ("discriminator",),
    "MI": ("generator:correct", "discriminator"),
    **dict.fromkeys(
        ("MI*", "equilibrium:G", "equilibrium:D"),
        ("generator:correct", "generator:incorrect", "discriminator"),
    ),
}
"""The roles that read the choices, by method."""


class Columns:
    """Values and costs of the items that came out `ok`, by key."""

    def __init__(self) -> None:
        self.task = ""
        self.item_ids: list[str] = []
        """The rows of every column."""
        self.groups: list[str] = []
        self.failed = 0
        """Items that have no row."""
        self.grouped = False
        """Some items are in a group that has another name than theirs."""
        self._values: dict[Key, array[float]] = {}
        self._mc_squares: dict[Key, float] = {}
        self._costs: dict[tuple[str, str], array[float]] = {}

    def __len__(self) -> int:
        return len(self.item_ids)

    @classmethod
    def gather(cls, records: Iterable[Record]) -> Self:
        """Of a run. Raises ResultsError; see `tallies.checked`."""
        columns = cls()
        for record in checked(records):
            columns.add(record)
        return columns

    def add(self, record: Record) -> None:
        """Take in one record; those that failed have no row."""
        self.task = record.task
        if record.outcome != "ok":
            self.failed += 1
            return
        row = len(self.item_ids)
        self.item_ids.append(record.item_id)
        self.groups.append(record.group)
        self.grouped |= record.group != record.item_id
        self._add_costs(record, row)
        for answer in record.answers:
            key = (answer.method, answer.metric, answer.k)
            _put(self._values.setdefault(key, array("d")), row, answer.value)
            self._mc_squares[key] = self._mc_squares.get(key, 0.0) + answer.mc_error**2

    def keys(self) -> list[Key]:
        """In the order of `in_order`."""
        return in_order(self._values)

    def values(self, keys: Sequence[Key]) -> Floats:
        """[C, Q]; NaN where an item has no such answer."""
        return np.array([self._padded(self._values[key]) for key in keys])

    def mc_squares(self, key: Key) -> float:
        """Sum over items of the squared error that comes from Monte Carlo subsets alone."""
        return self._mc_squares[key]

    def cost(self, key: Key) -> tuple[Floats, Floats, Floats | None]:
        """What each item's answer of this kind cost in tokens, [Q] each: those generated, those
        that the generator read, those that the scorer (`best_of:X`: X) read and generated. Of a
        method that scores given choices: all that was read for it, nothing, None.

        k of N draws cost k/N of what all draws cost. NaN: not known. None: no scorer, or one that
        read the candidate alone, which costs nothing.
        """
        method, pool, k = parted(key)
        if k == 0 and method in READ:
            roles = READ[method]
            # Scored texts are read, not generated, whoever reads them.
            read = [self._cost(r, "prompt_tokens") + self._cost(r, "tokens") for r in roles]
            return np.sum(read, axis=0), np.zeros(len(self)), None
        if k == 0 and (f"generator:{method}{pool}", "tokens") not in self._costs:
            # Given replies cost what their scorer read and generated.
            role = scorer_role(method, pool)
            return (
                self._cost(role, "tokens") + self._cost(role, "prompt_tokens"),
                np.zeros(len(self)),
                None,
            )
        if k == 0:
            role = f"generator:{method}{pool}"
            return self._cost(role, "tokens"), self._cost(role, "prompt_tokens"), None
        scorer, role = scorer_role(method, pool), f"generator:sample{pool}"
        tokens_Q, prompt_Q = self._cost(role, "tokens"), self._cost(role, "prompt_tokens")
        scored_Q = None
        if (scorer, "tokens") in self._costs:
            scored_Q = k * (self._cost(scorer, "tokens") + self._cost(scorer, "prompt_tokens"))
        return k * tokens_Q, k * prompt_Q, scored_Q

    def _add_costs(self, record: Record, row: int) -> None:
        """Per draw; of a blend, which has a greedy candidate of each member, the mean of those."""
        num = Counter((c.decoding, pool_of(c)) for c in record.candidates)
        uncounted = {(c.decoding, pool_of(c)) for c in record.candidates if c.tokens is None}
        costs: defaultdict[tuple[str, str], float] = defaultdict(float)
        for use in record.usage:
            named = Named.read(use.role)
            generator, _, decoding = named.method.partition(":")
            decoding, _, member = decoding.partition(":") if generator == "generator" else ("",) * 3
            share = num["greedy" if decoding == "greedy" else "sample", named.pool]
            tokens = nan if (decoding, named.pool) in uncounted else use.tokens
            for name, number in (("tokens", tokens), ("prompt_tokens", use.prompt_tokens)):
                # Members of a blend together make up the role; each one's greedy cost is its own.
                role = use.role.removesuffix(f":{member}") if member else use.role
                costs[role, name] += number / (share or 1)
                if member:
                    costs[use.role, name] += number
        for candidate in record.candidates:
            if candidate.replies:
                # What an arm costs by itself, though it may share replies with others.
                role = f"generator:{candidate.arm}"
                costs[role, "tokens"] = nan if candidate.tokens is None else candidate.tokens
                costs[role, "prompt_tokens"] = candidate.prompt_tokens
        for key, cost in costs.items():
            _put(self._costs.setdefault(key, array("d")), row, cost)

    def _cost(self, role: str, name: str) -> Floats:
        return self._padded(self._costs.get((role, name), array("d")))

    def _padded(self, column: "array[float]") -> Floats:
        padded_Q = np.full(len(self.item_ids), nan)
        padded_Q[: len(column)] = column
        return padded_Q


def scorer_of(method: str) -> str:
    """The scorer whose verdicts the method reads; of one that reads none, its own name."""
    name = method.removeprefix("weighted:")
    return "consensus" if name in READ else name.partition(":")[2] or name


def scorer_role(method: str, pool: str) -> str:
    """The role of the scorer that the method reads, if it reads one."""
    return f"scorer:{scorer_of(method)}{pool}"


def parted(key: Key) -> tuple[str, str, int]:
    """Method, what stands behind it and its roles for its pool, k."""
    named = Named.read(key[0].removeprefix(PREFIX))
    return named.method, named.behind, key[2]


def in_order(keys: Iterable[Key]) -> list[Key]:
    """Method by method in the order in which they first came, k ascending."""
    keys = list(keys)
    order: dict[tuple[str, str], int] = {}
    for method, metric, _ in keys:
        order.setdefault((metric, method), len(order))
    return sorted(keys, key=lambda key: (order[key[1], key[0]], key[2]))


def _put(column: "array[float]", row: int, value: float) -> None:
    """Items without a value become NaN."""
    column.extend([nan] * (row - len(column)))
    column.append(value)
