"""What a run shows while it works: a live display on a terminal, a plain line now and then
elsewhere, or JSON lines for machines. The same facts go to status.json, which `lilliput status`
reads.
"""

import json
import math
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from cluster.slots import ReplicaState
from results.schema import Record

PLAIN_INTERVAL = 10.0
"""Seconds between plain lines."""
LATENCIES = 512
"""Of the latest items; their spread says how long the last ones will take."""


class Pools(Protocol):
    """What progress reads of a pool."""

    @property
    def restarts(self) -> int: ...

    def replicas(self) -> Sequence[ReplicaState]: ...


class Progress:
    """Counts items, tokens and replicas; a context manager around the run."""

    def __init__(
        self, console: Console, num_items: int, pools: Sequence[Pools], *, as_json: bool = False
    ) -> None:
        self._console = console
        self._num_items = num_items
        self._pools = pools
        self._as_json = as_json
        self._skipped = 0
        self._open = 0
        self._finished = 0
        self._tokens = 0
        self._outcomes: Counter[str] = Counter()
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._begin = time.monotonic()
        self._said = self._begin
        self._live = console.is_terminal and not as_json
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self._live,
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
            self._say()

    @property
    def seconds(self) -> float:
        """Since the first item was handed out."""
        return time.monotonic() - self._begin

    @property
    def tokens(self) -> int:
        """Generated so far, by candidates."""
        return self._tokens

    @property
    def num_open(self) -> int:
        """Items handed out and not done."""
        return self._open

    def skipped(self, num_items: int) -> None:
        """These items were committed by an earlier start."""
        self._skipped += num_items
        self._bar.update(self._row, advance=num_items)

    def opened(self) -> None:
        """One item was handed out."""
        self._open += 1

    def finished(self, record: Record, seconds: float) -> None:
        """One item is done, well or not, after that many seconds."""
        self._open -= 1
        self._finished += 1
        self._latencies.append(seconds)
        self._tokens += sum(c.tokens or 0 for c in record.candidates)
        self._outcomes[record.outcome] += 1
        self._bar.update(self._row, advance=1)

    def tick(self) -> None:
        """Show how things stand; to be called every second or two."""
        if self._live:
            self._bar.update(self._row, status=self._status())
        elif time.monotonic() - self._said > PLAIN_INTERVAL:
            self._said = time.monotonic()
            self._say()

    def snapshot(self) -> dict[str, Any]:
        """How things stand, as JSON."""
        replicas = [state for pool in self._pools for state in pool.replicas()]
        eta = self._eta()
        return {
            "items": self._num_items,
            "done": self._skipped + self._finished,
            "open": self._open,
            "failed": sum(n for kind, n in self._outcomes.items() if kind != "ok"),
            "tokens": self._tokens,
            "tokens_per_second": round(self._tokens / max(self.seconds, 1e-9), 1),
            "seconds": round(self.seconds, 1),
            "eta_seconds": None if eta is None else round(eta, 1),
            "restarts": sum(pool.restarts for pool in self._pools),
            "replicas": [asdict(state) for state in replicas],
        }

    def _say(self) -> None:
        if self._as_json:
            print(json.dumps({"event": "progress", **self.snapshot()}), flush=True)
        else:
            text = f"{self._skipped + self._finished}/{self._num_items} items  {self._status()}"
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _status(self) -> str:
        parts = [f"{self._tokens / max(self.seconds, 1e-9):,.0f} tok/s", self._replicas()]
        bad = {kind: n for kind, n in self._outcomes.items() if kind != "ok"}
        parts += [f"{n} {kind}" for kind, n in bad.items()]
        eta = self._eta()
        if eta is not None:
            parts.append(f"ETA {_clock(eta)}")
        return "  ".join(parts)

    def _replicas(self) -> str:
        """`4 replicas`, or `3 of 4 replicas (1 starting, 2 restarts)`."""
        states = Counter(state.state for pool in self._pools for state in pool.replicas())
        restarts = sum(pool.restarts for pool in self._pools)
        up, total = states.pop("up", 0), states.total()
        notes = [f"{n} {state}" for state, n in states.items()]
        notes += [f"{restarts} restarts"] if restarts else []
        number = f"{up}" if total == 0 else f"{up} of {up + total}"
        return f"{number} replicas" + (f" ({', '.join(notes)})" if notes else "")

    def _eta(self) -> float | None:
        """Seconds until the last item is done: until it is handed out, at the present rate, and
        then as long as slow items take. None: nothing is known yet, or nothing is left.
        """
        left = self._num_items - self._skipped - self._finished
        if not left or not self._finished:
            return None
        waiting = max(0, left - self._open)
        slow = sorted(self._latencies)[math.ceil(0.95 * len(self._latencies)) - 1]
        return waiting * self.seconds / self._finished + slow


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
