"""What a run shows while it works: a live display on a terminal, a plain line now and then
elsewhere.
"""

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from results.schema import Record

PLAIN_INTERVAL = 10.0
"""Seconds between plain lines."""


class Pools(Protocol):
    """What progress reads of a pool."""

    @property
    def num_alive(self) -> int: ...

    @property
    def restarts(self) -> int: ...


class Progress:
    """Counts items, tokens and replicas; a context manager around the run."""

    def __init__(self, console: Console, num_items: int, pools: Sequence[Pools]) -> None:
        self._console = console
        self._num_items = num_items
        self._pools = pools
        self._skipped = 0
        self._finished = 0
        self._tokens = 0
        self._outcomes: Counter[str] = Counter()
        self._begin = time.monotonic()
        self._said = self._begin
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._row = self._bar.add_task("items", total=num_items, status="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        if kind is None:
            self._console.print(self._line(), highlight=False)

    @property
    def seconds(self) -> float:
        """Since the first item was handed out."""
        return time.monotonic() - self._begin

    @property
    def tokens(self) -> int:
        """Generated so far, by candidates."""
        return self._tokens

    def skipped(self, num_items: int) -> None:
        """These items were committed by an earlier start."""
        self._skipped += num_items
        self._bar.update(self._row, advance=num_items)

    def finished(self, record: Record) -> None:
        """One item is done, well or not."""
        self._finished += 1
        self._tokens += sum(c.tokens or 0 for c in record.candidates)
        self._outcomes[record.outcome] += 1
        if self._console.is_terminal:
            self._bar.update(self._row, advance=1, status=self._status())
        elif time.monotonic() - self._said > PLAIN_INTERVAL:
            self._said = time.monotonic()
            self._console.print(self._line(), highlight=False)

    def _line(self) -> str:
        done = self._skipped + self._finished
        return f"{done}/{self._num_items} items  {self._status()}"

    def _status(self) -> str:
        seconds = max(self.seconds, 1e-9)
        parts = [f"{self._tokens / seconds:,.0f} tok/s"]
        alive = sum(pool.num_alive for pool in self._pools)
        restarts = sum(pool.restarts for pool in self._pools)
        parts.append(f"{alive} replicas" + (f" ({restarts} restarts)" if restarts else ""))
        bad = {kind: n for kind, n in self._outcomes.items() if kind != "ok"}
        parts += [f"{n} {kind}" for kind, n in bad.items()]
        left = self._num_items - self._skipped - self._finished
        if left and self._finished:
            parts.append(f"ETA {_clock(left * seconds / self._finished)}")
        return "  ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
