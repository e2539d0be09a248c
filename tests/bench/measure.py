"""What every benchmark shares: a process that is timed, a run that is read, and a row of the table.

A benchmark is a function from `Scale` to results. Each result keeps every repeat of both sides; the
table shows medians and their ratio. A limit is a side too: one number, measured by nobody.
"""

import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON = os.path.relpath(sys.executable, ROOT)
LILLIPUT = str(Path(PYTHON).with_name("lilliput"))
LOOK_INTERVAL = 0.05
"""Seconds between two looks at a process's memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of a benchmark to run. None: as much as the benchmark itself says."""

    items: int | None = None
    repeats: int | None = None


@dataclass(slots=True, kw_only=True)
class Side:
    """One of the two things compared: `Side(command="lilliput --help", values=[0.14, 0.15])`."""

    command: str
    values: list[float] = field(default_factory=list)
    """One for each repeat, in the result's unit."""

    @property
    def median(self) -> float:
        return median(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row: what was measured against what, and what ratio is wanted."""

    what: str
    unit: str
    ours: Side
    other: Side
    at_least: float | None = None
    """Wanted: median(ours) / median(other) >= this."""
    at_most: float | None = None
    """Wanted: median(ours) / median(other) <= this."""
    skipped: str = ""
    """Why there is nothing to compare with."""

    @property
    def ratio(self) -> float | None:
        return None if self.skipped else self.ours.median / self.other.median

    @property
    def verdict(self) -> str:
        if self.ratio is None:
            return "skipped"
        if self.at_least is None and self.at_most is None:
            return "-"
        low = self.at_least is not None and self.ratio < self.at_least
        high = self.at_most is not None and self.ratio > self.at_most
        return "MISSED" if low or high else "ok"

    @property
    def wanted(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "" if self.at_most is None else f"<= {self.at_most:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A process that has ended well."""

    seconds: float
    """Wall time of the whole process."""
    peak_mib: float
    """Largest resident memory of the process itself, without its children, MiB."""
    output: str


def finish(command: Sequence[str], *, checked: bool = True) -> Finished:
    """Run a command from the project root. Raises RuntimeError with the end of what it printed,
    unless it is not `checked`: a peer may fall over after its work is done.
    """
    with tempfile.TemporaryFile("w+") as output, ThreadPoolExecutor(1) as watcher:
        ended = threading.Event()
        begin = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        peak = watcher.submit(_peak_mib, process.pid, ended)
        process.wait()
        seconds = time.monotonic() - begin
        ended.set()
        output.seek(0)
        text = output.read()
    if checked and process.returncode:
        raise RuntimeError(f"{shlex.join(command)}: exit {process.returncode}\n{text[-2000:]}")
    return Finished(seconds=seconds, peak_mib=peak.result(), output=text)


def lilliput_run(*arguments: str) -> tuple[Finished, dict[str, Any]]:
    """`lilliput run ARGUMENTS` in a directory of its own; also returns run.json's timing: seconds
    and tokens.
    """
    with tempfile.TemporaryDirectory() as folder:
        finished = finish([LILLIPUT, "run", *arguments, "--output", f"{folder}/run"])
        manifest = json.loads(Path(folder, "run", "run.json").read_text(encoding="utf-8"))
    return finished, manifest["about"]["timing"][-1]


def shown(*command: str) -> str:
    """A command as one would type it from the project root."""
    return shlex.join(command)


def hardware() -> str:
    """This machine and how busy it is: a loaded machine measures its load."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    load = os.getloadavg()[0]
    processor = names[0] if names else platform.machine()
    return (
        f"{os.cpu_count()} x {processor}, {platform.platform()}, Python "
        f"{platform.python_version()}, load {load:.1f} at the start"
    )


def _peak_mib(pid: int, ended: threading.Event) -> float:
    """The kernel's own high-water mark (VmHWM), so looking rarely loses only the last moments."""
    peak = 0.0
    while not ended.wait(LOOK_INTERVAL):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            break
        marks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        peak = max([peak, *(int(mark) / 1024 for mark in marks)])
    return peak
