"""One pass over a run's records: the per-item numbers that summaries and comparisons are made of.

Memory is items x (method, metric, k) x 8 bytes; the records themselves are let go.
Axes: `Q` item, `C` column.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from math import nan, sqrt
from typing import Any, Self

import numpy as np

from results.errors import ResultsError
from results.resampling import Floats
from results.schema import CandidateRecord, Record

Key = tuple[str, str, int]
"""Method, metric, k."""


class Repeats:
    """How many draws repeat the text of an earlier draw of their item. Keeps no text."""

    def __init__(self) -> None:
        self.items = 0
        """Items with draws."""
        self.draws = 0
        self.repeating = 0
        """Draws; the first of an item never is one."""
        self._shares = 0.0
        self._tokens = 0
        self._counted = 0

    def add(self, draws: Sequence[CandidateRecord]) -> None:
        """Take in the draws of one item."""
        if not draws:
            return
        repeating = len(draws) - len({draw.text for draw in draws})
        self.items += 1
        self.draws += len(draws)
        self.repeating += repeating
        self._shares += repeating / len(draws)
        tokens = [draw.tokens for draw in draws if draw.tokens is not None]
        self._tokens += sum(tokens)
        self._counted += len(tokens)

    @property
    def share(self) -> float | None:
        """Of an item's draws, the mean over items; None without draws."""
        return self._shares / self.items if self.items else None

    @property
    def mean_tokens(self) -> float:
        """Of the draws whose tokens are known; 0 where none are."""
        return self._tokens / max(self._counted, 1)


class Columns:
    """Values of the items that came out `ok`, by key; counts of everything."""

    def __init__(self) -> None:
        self.task = ""
        self.item_ids: list[str] = []
        """Of the items with outcome `ok`: the rows of every column."""
        self.groups: list[str] = []
        self.members: set[str] = set()
        self.items: Counter[str] = Counter()
        """Items by outcome."""
        self.failures: dict[str, tuple[str, str]] = {}
        """Of each way of failing: the first item's id, and why."""
        self.asked: Counter[str] = Counter()
        self.scored: Counter[str] = Counter()
        self.outcomes: dict[str, Counter[str]] = {"greedy": Counter(), "sample": Counter()}
        """Candidates by decoding and outcome."""
        self.usage: dict[str, dict[str, Any]] = {}
        """By role: model, requests, prompt_tokens, tokens, over all items."""
        self.timed_out: Counter[str] = Counter()
        """Items by what of theirs has no verdict: `greedy`, `sample`, and `any` of the two."""
        self.chances: array[float] = array("d")
        """Of each item with choices: the credit of a guess."""
        self.repeats = Repeats()
        self._values: dict[Key, array[float]] = {}
        self._mc_squares: dict[Key, float] = {}
        self._costs: dict[tuple[str, str], array[float]] = {}

    @classmethod
    def gather(cls, records: Iterable[Record]) -> Self:
        """Raises ResultsError for records of several tasks, and for an item that comes twice."""
        columns, seen = cls(), set[str]()
        for record in records:
            if record.item_id in seen:
                raise ResultsError(f"wanted each item once, got {record.item_id!r} twice")
            if seen and record.task != columns.task:
                raise ResultsError(f"wanted one task, got {columns.task!r} and {record.task!r}")
            seen.add(record.item_id)
            columns.add(record)
        return columns

    def add(self, record: Record) -> None:
        """Take in one record."""
        self.task = record.task
        self.items[record.outcome] += 1
        for candidate in record.candidates:
            self.members.add(candidate.member)
            self.outcomes[_decoding(candidate)][candidate.outcome] += 1
            for score in candidate.scores:
                self.asked[score.scorer] += 1
                self.scored[score.scorer] += score.value is not None
        self._add_usage(record)
        if record.outcome != "ok":
            why = record.error.message if record.error else ""
            self.failures.setdefault(record.outcome, (record.item_id, why))
            return
        row = len(self.item_ids)
        self.item_ids.append(record.item_id)
        self.groups.append(record.group or record.item_id)
        self.timed_out.update(_without_verdict(record))
        if record.choices:
            self.chances.append(1 / len(record.choices))
        self.repeats.add([c for c in record.candidates if _decoding(c) == "sample"])
        self._add_costs(record, row)
        for answer in record.answers:
            key = (answer.method, answer.metric, answer.k)
            _put(self._values.setdefault(key, array("d")), row, answer.value)
            self._mc_squares[key] = self._mc_squares.get(key, 0.0) + answer.mc_error**2

    def keys(self) -> list[Key]:
        """Method by method in the order in which they first came, k ascending."""
        order: dict[tuple[str, str], int] = {}
        for method, metric, _ in self._values:
            order.setdefault((metric, method), len(order))
        return sorted(self._values, key=lambda key: (order[key[1], key[0]], key[2]))

    def values(self, keys: Sequence[Key]) -> Floats:
        """[C, Q]; NaN where an item has no such answer."""
        return np.array([self._padded(self._values[key]) for key in keys])

    def mc_error(self, key: Key) -> float:
        """Standard error of the column's mean that comes from Monte Carlo subsets alone."""
        return sqrt(self._mc_squares[key]) / int(np.isfinite(self.values([key])).sum())

    def cost(self, key: Key) -> tuple[Floats, Floats]:
        """Tokens and prompt tokens of each item for one answer of this kind, [Q] each.

        Tokens: those generated, and those that the method's scorer (`best_of:X`: X) read and
        generated. Prompt tokens: those the generator read. k of N draws cost k/N of what all draws
        cost. NaN: not known.
        """
        method, _, k = key
        if k == 0:
            role = "generator:greedy"
            return self._cost(role, "tokens"), self._cost(role, "prompt_tokens")
        tokens_Q = self._cost("generator:sample", "tokens")
        prompt_Q = self._cost("generator:sample", "prompt_tokens")
        scorer = f"scorer:{method.partition(':')[2]}"
        # Scorers that read the candidate alone cost nothing and report no usage.
        if scorer in self.usage:
            tokens_Q = tokens_Q + self._cost(scorer, "tokens") + self._cost(scorer, "prompt_tokens")
        return k * tokens_Q, k * prompt_Q

    def _add_usage(self, record: Record) -> None:
        for use in record.usage:
            empty = {"model": use.model, "requests": 0, "prompt_tokens": 0, "tokens": 0}
            total = self.usage.setdefault(use.role, empty)
            for name in ("requests", "prompt_tokens", "tokens"):
                total[name] += getattr(use, name)

    def _add_costs(self, record: Record, row: int) -> None:
        """Per draw, but per item for greedy."""
        num_draws = sum(_decoding(candidate) == "sample" for candidate in record.candidates)
        uncounted = {_decoding(c) for c in record.candidates if c.tokens is None}
        for use in record.usage:
            decoding = use.role.partition(":")[2] if use.role.startswith("generator:") else ""
            share = 1 if decoding == "greedy" else num_draws
            tokens = nan if decoding in uncounted else use.tokens
            for name, number in (("tokens", tokens), ("prompt_tokens", use.prompt_tokens)):
                column = self._costs.setdefault((use.role, name), array("d"))
                _put(column, row, number / share if share else nan)

    def _cost(self, role: str, name: str) -> Floats:
        return self._padded(self._costs.get((role, name), array("d")))

    def _padded(self, column: "array[float]") -> Floats:
        padded_Q = np.full(len(self.item_ids), nan)
        padded_Q[: len(column)] = column
        return padded_Q


def _decoding(candidate: CandidateRecord) -> str:
    return "greedy" if candidate.index < 0 else "sample"


def _without_verdict(record: Record) -> set[str]:
    found = {_decoding(c) for c in record.candidates if c.outcome == "timed_out"}
    return found | {"any"} if found else found


def _put(column: "array[float]", row: int, value: float) -> None:
    """Items without a value become NaN."""
    column.extend([nan] * (row - len(column)))
    column.append(value)
