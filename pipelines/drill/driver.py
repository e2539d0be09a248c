"""One start of the driver that a drill disturbs, and what it leaves behind.

A driver is `lilliput run` in a process of its own, as a user starts it, and in a session of its
own, so that Ctrl-C on a drill reaches the drill alone.
"""

import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from results.store import read_status

LINGERING = 90.0
"""Seconds after its driver's end in which a process must have ended."""
GRACE = 30.0
"""Seconds that a driver gets to end when a drill is given up."""
_LINES = 12


class Driver:
    """`run` is its run directory, `log` a file for all that it prints."""

    def __init__(self, number: int, arguments: Sequence[str], run: Path, log: Path) -> None:
        self.number = number
        self.run = run
        self._log = log
        # -P: the folder that a drill is started in must not decide what `pipelines` is.
        command = [sys.executable, "-P", "-m", "pipelines.cli", "run", *arguments]
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [*command, "--output", str(run)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.family = Family()

    def look(self) -> dict[str, Any]:
        """What this driver last said of its run; empty before its first word."""
        status = read_status(self.run) or {}
        mine = status if status.get("pid") == self.process.pid else {}
        self.family.note(self.process.pid, mine)
        return mine

    def message(self) -> str:
        """What it said at last: its error, or the last lines that it printed."""
        lines = self._log.read_text(errors="replace").splitlines()
        starts = [i for i, line in enumerate(lines) if line.startswith("lilliput: ")]
        said = lines[starts[-1] :] if starts else lines[-_LINES:]
        return "\n".join(said).removeprefix("lilliput: ")

    def end(self) -> None:
        """End it, the gentle way first, and everything that is left of it."""
        if self.process.poll() is None:
            self.look()
            # The first lets it finish open shards, the second is for now.
            for _ in range(2):
                self.process.terminate()
                time.sleep(0.2)
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for process in self.family.alive():
            kill(process)


class Family:
    """Every process of a driver: its descendants, and the replicas that live on this host. They may
    outlive it by `lingering` seconds.
    """

    def __init__(self, *, lingering: float = LINGERING) -> None:
        self._lingering = lingering
        self._members: set[psutil.Process] = set()
        self._ended: float | None = None
        self._noted = 0.0

    def note(self, pid: int, status: dict[str, Any], *, now: bool = False) -> None:
        """Take in who is there; `now` even if somebody has looked a moment ago."""
        if not now and time.monotonic() - self._noted < 0.5:
            return
        self._noted = time.monotonic()
        try:
            self._members.update(psutil.Process(pid).children(recursive=True))
        except psutil.Error:
            return  # It has ended; who was there before is known.
        local = [r for r in status.get("replicas", []) if r["node"] == platform.node()]
        self._members.update(filter(None, (actor(r["pid"]) for r in local)))

    def alive(self) -> list[psutil.Process]:
        """The members that have not ended."""
        self._members = {process for process in self._members if is_alive(process)}
        return sorted(self._members, key=lambda process: process.pid)

    def driver_ended(self) -> None:
        """From now on its time to end runs."""
        self._ended = time.monotonic()

    def orphans(self) -> list[psutil.Process]:
        """Those that are there though their time is over."""
        over = self._ended is not None and time.monotonic() - self._ended > self._lingering
        return self.alive() if over else []

    def wait(self) -> tuple[list[psutil.Process], list[psutil.Process]]:
        """Until all have ended or their time is over. Returns the orphans, and Ray's agents if
        nobody else is left: they notice only after a minute that their node is gone, and are not
        waited for.
        """
        while left := self.alive():
            if orphans := self.orphans():
                return orphans, []
            if all(map(_is_agent, left)):
                return [], left
            time.sleep(0.1)
        return [], []


def actor(pid: int) -> psutil.Process | None:
    """The process of this host by that id, if it is alive and one of Ray's actors."""
    if not pid:
        return None
    try:
        process = psutil.Process(pid)
        words = process.cmdline()
    except psutil.Error:
        return None
    ours = bool(words) and words[0].startswith("ray::")
    return process if ours and is_alive(process) else None


def is_alive(process: psutil.Process) -> bool:
    """It is there, and no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def kill(process: psutil.Process) -> bool:
    """SIGKILL, and wait until it is over. False: it had ended before, or is somebody else's."""
    try:
        if not is_alive(process):
            return False
        process.kill()
        process.wait(GRACE)
    except psutil.TimeoutExpired:
        return True  # It is in the kernel; it never comes back.
    except psutil.Error:
        return False
    return True


def _is_agent(process: psutil.Process) -> bool:
    try:
        return any("Agent" in word for word in process.cmdline())
    except psutil.Error:
        return True  # It ended this moment: nobody to wait for.
