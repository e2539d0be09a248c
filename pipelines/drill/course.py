"""The two runs of a drill: one left alone, one disturbed and started again until it is done."""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import psutil

from actors.types import ConfigError, EngineError
from pipelines.drill.attack import Attack, Made
from pipelines.drill.driver import Driver, kill

GLANCE = 0.1
"""Seconds between two looks at a run."""
FINISHED = (0, 3)
"""Exit codes of a run that came to its end; 3 says that more items failed than it allows."""


class Course:
    """Starts drivers in `folder`, keeps what they leave behind; a context manager, whose end is
    theirs. `arguments`: of `lilliput run`, without the output.
    """

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self.starts = 0
        """Of the disturbed run."""
        self.seconds = 0.0
        """From its first start to its end."""
        self.failure: str | None = None
        """Why it was not done in the end."""
        self.orphans: list[str] = []
        """Processes that outlived their driver by far."""
        self.agents = 0
        """Of Ray, left by drivers that were killed; they end by themselves after a minute."""
        self._arguments = arguments
        self._folder = folder
        self._drivers: list[Driver] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for driver in self._drivers:
            driver.end()

    def undisturbed(self) -> None:
        """Run to the end. Raises ConfigError, EngineError with what the driver said."""
        driver = self._start("undisturbed", 0)
        while (code := driver.process.poll()) is None:
            driver.look()
            time.sleep(GLANCE)
        driver.family.driver_ended()
        if code not in FINISHED:
            error = ConfigError if code == 2 else EngineError
            raise error(f"the undisturbed run ended with exit code {code}: {driver.message()}")

    def disturbed(self, attack: Attack, limit: float, say: Callable[[str], None]) -> None:
        """Run until it is done or fails to recover; given up after `limit` seconds without a step
        forward. Raises EngineError when it never came to have a run directory.
        """
        begin = time.monotonic()
        code: int | None = None
        while code not in FINISHED and self.failure is None:
            self.starts += 1
            driver = self._start("disturbed", self.starts)
            code = self._watch(driver, attack, limit, say)
        self.seconds = time.monotonic() - begin
        if self.failure:
            self._drivers[-1].end()
            if not (self._folder / "disturbed" / "run.json").exists():
                raise EngineError(self.failure)

    def clear_away(self) -> None:
        """Wait for what drivers left behind, count it, end it."""
        for driver in self._drivers:
            orphans, agents = driver.family.wait()
            self._note_orphans(driver, orphans)
            self.agents += len(agents)
            for process in agents:
                kill(process)

    def _start(self, name: str, number: int) -> Driver:
        log = self._folder / "logs" / f"{name}-{number}.txt"
        driver = Driver(number, self._arguments, self._folder / name, log)
        self._drivers.append(driver)
        return driver

    def _watch(
        self, driver: Driver, attack: Attack, limit: float, say: Callable[[str], None]
    ) -> int | None:
        """One start of the driver, to its end. Returns its exit code; None: it was given up."""
        wanted, step, since = set(FINISHED), -1, time.monotonic()
        while (code := driver.process.poll()) is None:
            status = driver.look()
            if status.get("done", -1) != step:
                step, since = status.get("done", -1), time.monotonic()
            if time.monotonic() - since > limit:
                self.failure = f"start {driver.number} made no step within {limit:.0f} s"
                return None
            if made := attack.look(driver, status):
                wanted |= _ends_with(made)
                say(f"{made.seconds:7.1f} s  {made.kind}: {made.victim}, process {made.pid}")
            for earlier in self._drivers:
                self._note_orphans(earlier, earlier.family.orphans())
            time.sleep(GLANCE)
        driver.family.driver_ended()
        attack.ended(driver, code)
        if code not in wanted:
            said = f"exit code {code}: {driver.message()}"
            self.failure = f"start {driver.number} ended by itself with {said}"
        return code

    def _note_orphans(self, driver: Driver, processes: Sequence[psutil.Process]) -> None:
        """They are ended, so each is found once."""
        for process in processes:
            what = " ".join(_words(process))[:80]
            self.orphans.append(f"process {process.pid} of start {driver.number}: {what}")
            kill(process)


def _ends_with(made: Made) -> set[int]:
    return {"driver": {-signal.SIGKILL}, "stop": {130}}.get(made.kind, set())


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return ["ended"]
