"""What a run shows while it works: a live display on a terminal, a plain line now and then
elsewhere, or JSON lines for machines. The same facts go to status.json, which `lilliput status`
reads.
"""

import json
import math
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from cluster.replica import ReplicaState
from pipelines.tables import replica_table
from results.schema import CONVERSATION, Record

PLAIN_INTERVAL = 10.0
"""Seconds between plain lines."""
MAX_LINES = 16
"""Replicas that the display has a line for."""
LATENCIES = 512
"""Of the latest items; their spread says how long the last ones will take."""


class Replicas(Protocol):
    """What progress reads of a fleet."""

    @property
    def restarts(self) -> int: ...

    def replicas(self) -> Sequence[ReplicaState]: ...


@dataclass(slots=True)
class Tally:
    """What came of items that are done."""

    items: int = 0
    tokens: int = 0
    """Generated, by candidates."""
    outcomes: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    """Seconds of each."""

    def opened(self) -> None:
        """Only what is done counts here."""

    def finished(self, record: Record, seconds: float) -> None:
        """One item is done, well or not, after that many seconds."""
        self.items += 1
        drawn = [c.tokens or 0 for c in record.candidates if not c.replies]
        # Arms of a conversation share replies, each of which was generated once.
        talked = [use.tokens for use in record.usage if use.role.startswith(CONVERSATION)]
        self.tokens += sum(drawn) + sum(talked)
        self.outcomes[record.outcome] += 1
        self.latencies.append(seconds)


class _Display(Bar):
    """A bar, and a line for each replica below it."""

    fleet: Replicas | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        states = self.fleet.replicas() if self.fleet else ()
        # Those in trouble first: a large fleet doesn't fit on a screen.
        shown = sorted(states, key=lambda state: state.state == "up")[:MAX_LINES]
        yield replica_table(map(asdict, shown))
        if len(states) > len(shown):
            yield f"and {len(states) - len(shown)} more"


class Progress:
    """Counts items, tokens and replicas; a context manager around the run."""

    def __init__(
        self, console: Console, num_items: int, fleet: Replicas, *, as_json: bool = False
    ) -> None:
        self._console = console
        self._num_items = num_items
        self._fleet = fleet
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
        self._bar = _Display(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._bar.fleet = fleet
        self._row = self._bar.add_task("items", total=num_items, status="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
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

    def opened(self, num_items: int = 1) -> None:
        """Items were handed out."""
        self._open += num_items

    def finished(self, record: Record, seconds: float) -> None:
        """One item is done, well or not, after that many seconds."""
        tally = Tally()
        tally.finished(record, seconds)
        self.add(tally)

    def add(self, done: Tally) -> None:
        """Items are done."""
        self._open -= done.items
        self._finished += done.items
        self._latencies.extend(done.latencies)
        self._tokens += done.tokens
        self._outcomes += done.outcomes
        self._bar.update(self._row, advance=done.items)

    def tick(self) -> None:
        """Show how things stand; to be called every second or two."""
        if self._live:
            self._bar.update(self._row, status=self._status())
        elif time.monotonic() - self._said > PLAIN_INTERVAL:
            self._said = time.monotonic()
            self._say()

    def snapshot(self) -> dict[str, Any]:
        """How things stand, as JSON."""
        eta = self._eta()
        return {
            "items": self._num_items,
            "done": self._skipped + self._finished,
            "skipped": self._skipped,
            "open": self._open,
            "failed": sum(n for kind, n in self._outcomes.items() if kind != "ok"),
            "tokens": self._tokens,
            "tokens_per_second": round(self._tokens / max(self.seconds, 1e-9), 1),
            "seconds": round(self.seconds, 1),
            "eta_seconds": None if eta is None else round(eta, 1),
            "restarts": self._fleet.restarts,
            "replicas": [asdict(state) for state in self._fleet.replicas()],
        }

    def _say(self) -> None:
        if self._as_json:
            print(json.dumps({"event": "progress", **self.snapshot()}), flush=True)
        else:
            text = f"{self._skipped + self._finished}/{self._num_items} items  {self._status()}"
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _status(self) -> str:
        parts = [self._rate(), self._replicas()]
        bad = {kind: n for kind, n in self._outcomes.items() if kind != "ok"}
        parts += [f"{n} {kind}" for kind, n in bad.items()]
        eta = self._eta()
        if eta is not None:
            parts.append(f"ETA {_clock(eta)}")
        return "  ".join(parts)

    def _rate(self) -> str:
        """Tokens a second; of a run that generates nothing, items, if need be a minute."""
        seconds = max(self.seconds, 1e-9)
        if self._tokens:
            return f"{self._tokens / seconds:,.0f} tok/s"
        rate = self._finished / seconds
        return f"{rate:,.1f} items/s" if rate >= 1 else f"{60 * rate:,.1f} items/min"

    def _replicas(self) -> str:
        """`4 replicas`, or `3 of 4 replicas (1 starting, 2 restarts)`."""
        states = Counter(state.state for state in self._fleet.replicas())
        restarts = self._fleet.restarts
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
