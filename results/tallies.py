"""Counts over a run's records, in memory that doesn't grow with them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from results.errors import ResultsError
from results.ids import Ids
from results.pools import pools
from results.schema import CandidateRecord, Record


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


class Tallies:
    """Counts of everything that came out of a run, well or not."""

    def __init__(self) -> None:
        self.task = ""
        self.members: set[str] = set()
        self.items: Counter[str] = Counter()
        """Items by outcome."""
        self.failures: dict[str, tuple[str, str]] = {}
        """Of each way of failing: the first item's id, and why."""
        self.asked: Counter[str] = Counter()
        self.scored: Counter[str] = Counter()
        self.graded = 0
        """Candidates with a verdict."""
        self.ungraded = 0
        """Candidates that could be given none."""
        self.by_decoding: dict[str, Counter[str]] = {}
        """Candidates by decoding and outcome."""
        self.usage: dict[str, dict[str, Any]] = {}
        """By role: model, requests, prompt_tokens, tokens, over all items."""
        self.timed_out: Counter[str] = Counter()
        """Items by what of theirs has no verdict: `greedy`, `sample`, and `any` of the two; and the
        `candidates` without one."""
        self.with_choices = 0
        """Items that came out `ok` and have choices."""
        self.guessed = 0.0
        """Their credit, were every one guessed."""
        self.repeats = Repeats()
        """Within each pool."""
        self.by_pool: dict[str, Counter[str]] = {}
        """Of a run with several pools: candidates by pool and outcome."""
        self.repeats_by_pool: dict[str, Repeats] = {}

    def add(self, record: Record) -> None:
        """Take in one record."""
        self.task = record.task
        self.items[record.outcome] += 1
        for candidate in record.candidates:
            self.members.update(r.member for r in candidate.replies)
            if not candidate.replies:
                self.members.add(candidate.member)
            counts = self.by_decoding.setdefault(candidate.decoding, Counter())
            counts[candidate.outcome] += 1
            self.graded += candidate.correct is not None
            self.ungraded += candidate.outcome == "ungraded" and not candidate.grade
            for score in candidate.scores:
                self.asked[score.scorer] += 1
                self.scored[score.scorer] += score.value is not None
        self._add_usage(record)
        if record.outcome != "ok":
            why = record.error.message if record.error else ""
            self.failures.setdefault(record.outcome, (record.item_id, why))
            return
        self.timed_out.update(_without_verdict(record))
        if record.choices:
            self.with_choices += 1
            self.guessed += 1 / len(record.choices)
        self._add_repeats(record)

    @property
    def outcomes(self) -> Counter[str]:
        """Candidates by outcome."""
        return sum(self.by_decoding.values(), Counter())

    def _add_repeats(self, record: Record) -> None:
        if not (parts := pools(record.candidates)):
            self.repeats.add([c for c in record.candidates if c.decoding == "sample"])
        for name, pool in parts.items():
            self.by_pool.setdefault(name, Counter()).update(c.outcome for c in pool)
            draws = [c for c in pool if c.decoding == "sample"]
            self.repeats.add(draws)
            self.repeats_by_pool.setdefault(name, Repeats()).add(draws)

    def _add_usage(self, record: Record) -> None:
        for use in record.usage:
            empty = {"model": use.model, "requests": 0, "prompt_tokens": 0, "tokens": 0}
            total = self.usage.setdefault(use.role, empty)
            for name in ("requests", "prompt_tokens", "tokens"):
                total[name] += getattr(use, name)


def checked(records: Iterable[Record]) -> Iterator[Record]:
    """Pass on the records of one run.

    Raises ResultsError for records of several tasks, and for an item that comes twice.
    """
    task, seen = None, Ids()
    for record in records:
        if not seen.add(record.item_id):
            raise ResultsError(f"wanted each item once, got {record.item_id!r} twice")
        if task not in (None, record.task):
            raise ResultsError(f"wanted one task, got {task!r} and {record.task!r}")
        task = record.task
        yield record


def _without_verdict(record: Record) -> Counter[str]:
    """Items by decoding, and `candidates`. A program that took too long has one: it failed."""
    late = [c for c in record.candidates if c.outcome == "timed_out" and c.correct is None]
    found = Counter({c.decoding: 1 for c in late})
    return found + Counter({"any": bool(late), "candidates": len(late)})
