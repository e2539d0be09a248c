"""`lilliput status` and `lilliput stop`: a run seen from another terminal, by its files alone.

    driver --every second--> status.json --> status
    driver <------ the file `stop` -------- stop          (--now: signals, on the driver's own host)

Whether a driver is at work is told by its lock or lease, and where a lock means nothing, on a file
system that doesn't carry locks from host to host, by the age of its last heartbeat.
"""

import json
import os
import platform
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from actors.types import ConfigError
from pipelines import tables
from results.directories import LocalDirectory, Where, open_directory
from results.parts import read_tables
from results.report import headline
from results.store import ask_to_stop, is_driven, read_manifest, read_status
from results.summary import Summary, read_summary

SILENCE = 60.0
"""Seconds without a heartbeat after which a driver on another host counts as gone."""
GLANCE = 0.5
"""Seconds between two looks while waiting."""
DRAINING = 5.0
"""Seconds that a driver gets to answer its first signal before the second is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a run stands: `Standing(state="gone", at_work=False, status={...}, silence=812.0)`."""

    state: str
    """starting, running, stopping, finished, interrupted, failed; gone: no driver, though none
    has said that the run ended."""
    at_work: bool
    """A driver is there."""
    status: dict[str, Any]
    """What it last said; empty until items flow."""
    silence: float | None
    """Seconds since then, by this host's clock."""


def standing(run: Where) -> Standing:
    """Look at a run directory. Raises ResultsError where there is none."""
    manifest = read_manifest(run)
    # In this order: a driver that ends in between has said so before its lock is free.
    driven = is_driven(run)
    status = read_status(run) or {}
    state, silence = status.get("state"), _age(status.get("updated"))
    open_ended = state in ("running", "stopping")
    elsewhere = status.get("host") not in (None, platform.node())
    heard = silence is not None and silence < SILENCE
    at_work = driven or (open_ended and elsewhere and heard)
    if state is None:
        state = "starting" if at_work else "finished" if "finished" in manifest.about else "gone"
    elif open_ended and not at_work:
        state = "gone"
    return Standing(state=state, at_work=at_work, status=status, silence=silence)


def print_status(run: Where, console: Console, *, as_json: bool) -> None:
    """How a run stands: counts, rates, replicas; its headline figures when it has finished."""
    found = standing(run)
    if as_json:
        print(json.dumps({**found.status, "state": found.state, "at_work": found.at_work}))
        return
    tables.print_pairs(console, _lines(found))
    replicas = found.status.get("replicas", [])
    if found.at_work and replicas:
        console.print("", tables.replica_table(replicas), highlight=False)
    if found.state == "finished" and (summary := _summary(run)):
        console.print("")
        tables.print_run(console, summary, run)


def stop_run(run: Where, console: Console, *, now: bool, wait: bool) -> None:
    """Ask the driver to finish its open shards and end, or `now` to end at once; wait until it
    has, and say what is committed. No driver at work is no error: nothing runs then.

    Raises ConfigError for `now` from another host than the driver's, ResultsError where there is
    no run.
    """
    found = standing(run)
    if not found.at_work:
        say = f"no driver is at work in {run}; the run is {_meaning(found)}"
        console.print(say, highlight=False, soft_wrap=True)
        return
    if now:
        _interrupt(run, found)
    else:
        ask_to_stop(run)
        opened = found.status.get("open")
        num = "the" if opened is None else f"{opened}"
        say = f"asked the driver in {run} to stop; {num} open items and their shards come first"
        console.print(say, highlight=False, soft_wrap=True)
    if not wait:
        return
    while found.at_work:
        time.sleep(GLANCE)
        found = standing(run)
    items = sum(table.num_rows for table in read_tables(run))
    total = read_manifest(run).about.get("num_items", "unknown")
    console.print(f"{_meaning(found)}; {items} of {total} items are committed", highlight=False)


def _interrupt(run: Where, found: Standing) -> None:
    """Twice, since the first signal means after the open shards."""
    pid = _driver_here(run, found)
    if pid is None:
        host = found.status.get("host", "another host, or of another user")
        raise ConfigError(
            f"--now: wanted the driver of {run} on this host, {platform.node()}, got it on {host}; "
            "say it there, or leave --now out"
        )
    os.kill(pid, signal.SIGINT)
    if not found.status:
        # Nothing is open while the fleet starts: once is enough, and twice would disturb the end.
        return
    begin = time.monotonic()
    while time.monotonic() - begin < DRAINING and standing(run).state == "running":
        time.sleep(GLANCE)
    if _driver_here(run, found) == pid and standing(run).state in ("running", "stopping"):
        os.kill(pid, signal.SIGINT)


def _driver_here(run: Where, found: Standing) -> int | None:
    """Process id of the driver, if it is a process of this host.

    The same number may be another process here: on a disk the driver has its lock open, and of an
    object store's the command line has to do.
    """
    directory = open_directory(run)
    try:
        if isinstance(directory, LocalDirectory):
            lock = os.path.realpath(directory.path / ".lock")
            pid = int(directory.get(".lock"))
            handles = Path(f"/proc/{pid}/fd").iterdir()
            return pid if any(os.path.realpath(handle) == lock for handle in handles) else None
        pid = int(found.status["pid"])
        words = psutil.Process(pid).cmdline()
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    ours = any("lilliput" in word or "pipelines" in word for word in words)
    return pid if ours and found.status["host"] == platform.node() else None


def _lines(found: Standing) -> list[tuple[str, str]]:
    status, lines = found.status, [("state", _meaning(found))]
    if not status:
        return lines
    lines += [
        ("items", f"{status['done']:,} of {status['items']:,}, {status['open']:,} open"),
        ("failed", f"{status['failed']:,}{_since(status)}"),
        ("tokens", f"{status['tokens']:,}, {status['tokens_per_second']:,.1f} a second"),
        ("time", _clock(status["seconds"])),
        ("restarts", f"{status['restarts']}"),
        ("driver", f"process {status['pid']} on {status['host']}"),
    ]
    if found.at_work and status["eta_seconds"] is not None:
        lines.insert(4, ("ETA", _clock(status["eta_seconds"])))
    if found.silence is not None:
        late = found.state in ("running", "stopping") and found.silence > SILENCE
        hint = "; the driver hangs, or is gone" if late else ""
        lines.append(("heartbeat", f"{found.silence:,.0f} s ago{hint}"))
    return lines


def _since(status: Mapping[str, Any]) -> str:
    """What a driver counts begins where it does; the summary has all of the run."""
    skipped = status["skipped"]
    return f", besides those of the first {skipped:,} items" if skipped else ""


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _meaning(found: Standing) -> str:
    hints = {
        "starting": "starting: the fleet is not up yet",
        "stopping": "stopping: open shards are finished first",
        "interrupted": "interrupted: the same command continues",
        "failed": "failed: the same command continues",
        "gone": "unfinished: the driver is gone; the same command continues",
    }
    return hints.get(found.state, found.state)


def _summary(run: Where) -> Summary | None:
    """summary.json with the headline rows alone; None: it isn't written yet."""
    kept = read_summary(run)
    return kept and replace(kept, rows=tuple(headline(kept.rows)))


def _age(moment: str | None) -> float | None:
    if moment is None:
        return None
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())
