"""A place in a pool: the replica that has it now, what that holds, and how it is replaced.

    start -> up --dies, or no step for `stall_timeout`--> bury -> replace -> up
                                                                     | `max_restarts` deaths in a
                                                                     v row without an answer
                                                                  given up

A life is one replica's time in the place. Whoever waits for a replica remembers its life, and finds
by it that the replica was buried meanwhile.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from actors.config import ModelConfig
from actors.host import HostInfo
from actors.types import EngineError, LilliputError
from cluster.suspects import Call

logger = logging.getLogger(__name__)

RESTART_DELAY = 3.0
"""Seconds before a replica is replaced the second time in a row; they double from then on."""
MAX_DELAY = 60.0
START_ATTEMPTS = 2
"""How often a place's first replica is started."""
MAX_WATCH = 10.0
"""Seconds between two looks at a replica."""
LAST_LINES = 12
"""Of an engine's log, shown where it doesn't start."""
TAIL = "; its last lines:"


class ReplicaDied(Exception):
    """The process behind a replica is gone; the call may or may not have run."""


class Replica(Protocol):
    """One process that hosts the model."""

    async def call(self, method: str, *args: Any) -> Any:
        """Run a `Host` method there. Raises ReplicaDied, or the LilliputError that the host
        raised.
        """
        ...

    def kill(self) -> None:
        """End the process, at once and for good."""
        ...

    async def last_lines(self, num: int) -> Sequence[str]:
        """The end of what the process wrote, after its death too; empty where nobody keeps it."""
        ...


Spawn = Callable[[int, int], Replica]


class Slot:
    """See the module's docstring. `spawn(number, life)` starts a process without waiting for it;
    `delay` is RESTART_DELAY, or less where nothing has to recover.
    """

    def __init__(
        self, number: int, name: str, config: ModelConfig, spawn: Spawn, *, delay: float
    ) -> None:
        self.number = number
        self.life = 0
        self.up = False
        self.given_up = False
        self.load = 0
        """Sequences of the calls that are held."""
        self.busy_seconds = 0.0
        """During which a replica here held calls."""
        self.held: dict[Call, asyncio.Task[None]] = {}
        self.isolated = False
        """Holds a group of suspects, and takes nothing else."""
        self.info: HostInfo | None = None
        self._name = name
        self._config = config
        self._spawn = spawn
        self._delay = delay
        self._busy_since = 0.0
        self._deaths = 0
        self.replica = spawn(number, 0)

    async def start(self) -> None:
        """Wait until the first replica is healthy. Raises ConfigError, EngineError."""
        for attempt in range(START_ATTEMPTS):
            try:
                await self._bring_up()
                return
            except EngineError as error:
                self.replica.kill()
                if attempt + 1 == START_ATTEMPTS:
                    raise
                logger.warning("started again: %s", str(error).partition(TAIL)[0])
            await asyncio.sleep(self._delay)
            self.life += 1
            self.replica = self._spawn(self.number, self.life)

    async def replace(self) -> None:
        """Put a new replica here and wait until it is healthy. Raises EngineError when the place is
        given up.
        """
        reason = f"died {self._deaths} times in a row"
        while self._deaths <= self._config.max_restarts:
            # What the dead one held, memory of a device above all, comes back after a while.
            pause = self._delay * 2 ** (self._deaths - 2) if self._deaths > 1 else 0.0
            await asyncio.sleep(min(pause, MAX_DELAY))
            self.replica = self._spawn(self.number, self.life)
            try:
                await self._bring_up()
                return
            except Exception as error:  # Whatever it is, the calls that wait must hear of it.
                self.replica.kill()
                self.life += 1
                self._deaths += 1
                reason = f"could not be replaced: {error}"
        self.given_up = True
        raise EngineError(reason)

    async def watch(self) -> str | None:
        """Until this life ends: None. As soon as a replica that holds calls makes no step, or
        doesn't even answer: the reason to bury it.
        """
        life, limit = self.life, self._config.stall_timeout
        pulse, since = -1, time.monotonic()
        while self.life == life:
            await asyncio.sleep(min(MAX_WATCH, limit / 4))
            beat = pulse
            if not self.held:
                since = time.monotonic()
                continue
            # Not wait_for, which may swallow the cancellation that ends this loop.
            with contextlib.suppress(TimeoutError, ReplicaDied, LilliputError):
                async with asyncio.timeout(limit):
                    beat = await self.replica.call("pulse")
            if beat != pulse:
                pulse, since = beat, time.monotonic()
            elif self.life == life and time.monotonic() - since > limit:
                return f"no step within {limit:g} s"
        return None

    def take(self, call: Call, task: "asyncio.Task[None]") -> None:
        """Hold a call; `task` waits for the replica's answer."""
        if not self.held:
            self._busy_since = time.monotonic()
        self.load += call.weight
        self.held[call] = task

    def release(self, life: int, call: Call, *, answered: bool = False) -> bool:
        """The replica is done with a call. False: that replica was buried, and the call is held
        elsewhere.
        """
        if self.life != life or self.held.pop(call, None) is None:
            return False
        self.load -= call.weight
        if not self.held:
            self.isolated = False
            self.busy_seconds += time.monotonic() - self._busy_since
        if answered:
            self._deaths = 0
        return True

    def bury(self) -> list[Call]:
        """End the replica. Returns the calls that it held and somebody still waits for."""
        self.replica.kill()
        for task in self.held.values():
            if task is not asyncio.current_task():
                task.cancel()
        orphans = [call for call in self.held if not call.result.done()]
        if self.held:
            self.busy_seconds += time.monotonic() - self._busy_since
        self.held, self.load, self.isolated, self.up = {}, 0, False, False
        self.life += 1
        self._deaths += 1
        return orphans

    async def _bring_up(self) -> None:
        limit = self._config.start_timeout
        try:
            async with asyncio.timeout(limit):
                self.info = await self.replica.call("start")
        except TimeoutError:
            raise await self._not_started(
                f"model {self._name!r} was not healthy within {limit:g} s; "
                f"raise models.{self._name}.start_timeout"
            ) from None
        except ReplicaDied as error:
            raise await self._not_started(
                f"model {self._name!r} died while it started: {error}"
            ) from None
        except EngineError as error:
            raise await self._not_started(str(error)) from None
        self.up = True

    async def _not_started(self, reason: str) -> EngineError:
        lines = await self.replica.last_lines(LAST_LINES)
        tail = TAIL + "\n  ".join(["", *lines]) if lines else ""
        return EngineError(f"{reason}{tail}")
