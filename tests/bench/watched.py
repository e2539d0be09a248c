"""A `lilliput run` that is looked at while it works: the driver's CPU time and status.json."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results.store import read_status
from tests.bench.measure import LILLIPUT, LOOK_INTERVAL, ROOT, shown

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a run. The driver itself renews status.json each second, and at both ends."""

    seconds: float
    """Since the command was started."""
    cpu_seconds: float
    """Of the driver's process so far, all its threads, without its children."""
    status: dict[str, Any]
    """Empty before there is one."""


def looks(*arguments: str, directory: str) -> Iterator[Look]:
    """`lilliput run ARGUMENTS --output DIRECTORY`, looked at until it ends.

    Raises RuntimeError with the end of what it printed if it doesn't end well.
    """
    command = [LILLIPUT, "run", *arguments, "--output", directory]
    with tempfile.TemporaryFile("w+") as output:
        begin = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        try:
            while not _ended(process):
                status = read_status(directory) or {}
                seconds = time.monotonic() - begin
                yield Look(seconds=seconds, cpu_seconds=_cpu(process.pid), status=status)
        finally:
            # The first asks for the open shards, the second leaves at once.
            for _ in range(2):
                if process.poll() is None:
                    process.terminate()
            process.wait()
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise RuntimeError(f"{shown(*command)}: exit {process.returncode}\n{text[-2000:]}")


def finished(*arguments: str) -> dict[str, Any]:
    """`lilliput run ARGUMENTS` in a directory of its own; returns its last status.json.

    The `seconds` there are those in which items were open. Those of run.json's timing also have the
    fleet's stop in them, which takes longer the more replicas there are.
    """
    with tempfile.TemporaryDirectory() as folder:
        directory = f"{folder}/run"
        for _ in looks(*arguments, directory=directory):
            pass
        return read_status(directory) or {}


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(LOOK_INTERVAL)
    except subprocess.TimeoutExpired:
        return False
    return True


def _cpu(pid: int) -> float:
    """User and system time; 0 for a process that ended just now."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS
