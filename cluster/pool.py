"""A pool: all replicas of one model, and the calls that wait for them.

    call() --> line --> least-loaded live replica with room ----------------> result
                ^            | it dies, or makes no step for `stall_timeout`
                |            v
                +------- its calls; from their second death on, in groups of their own
                         (suspects.py), until what ends replicas is found and given up

The dead are replaced (slots.py); when the last place is given up, every call fails.

Invariant: a call is held by at most one live replica, or it waits here. Bookkeeping only: what a
replica is stands behind `Replica`, so all of this runs in tests without Ray.
"""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from actors.config import ModelConfig
from actors.host import HostInfo
from actors.types import EngineError, ItemError, LilliputError
from cluster.canary import Canary
from cluster.receipts import Receipt, answered_by
from cluster.scaling import INTERVAL, Scaling
from cluster.slots import RESTART_DELAY, ReplicaDied, ReplicaState, Slot, Spawn
from cluster.suspects import Call, Suspects

logger = logging.getLogger(__name__)

MAX_FRUITLESS = 10
"""Items given up in a row, none answered between them, after which it is the engine that fails."""


class Pool:
    """See the module's docstring. `spawn(number, life)` starts a replica's process without waiting
    for it. It starts with `num` replicas; `has_room` is asked before it grows. `delay` seconds pass
    before a place's second replacement in a row.
    """

    def __init__(
        self,
        name: str,
        config: ModelConfig,
        spawn: Spawn,
        *,
        num: int | None = None,
        has_room: Callable[[], bool] = lambda: True,
        delay: float = RESTART_DELAY,
    ) -> None:
        self.name = name
        self.restarts = 0
        self.infos: list[HostInfo] = []
        """Of every replica that ever was healthy."""
        self._config = config
        self._new_slot = partial(Slot, name=name, config=config, spawn=spawn, delay=delay)
        self._numbers = itertools.count()
        num = config.replicas.min if num is None else num
        self._slots = [self._new_slot(next(self._numbers)) for _ in range(num)]
        self._scaling = Scaling(config.replicas, has_room)
        self._let_go_seconds = 0.0
        self._canary = Canary(config.canary_tolerance)
        self._line: deque[Call] = deque()
        self._suspects = Suspects()
        self._fruitless = 0
        self._failure: EngineError | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def replicas(self) -> list[ReplicaState]:
        """How every place stands."""
        return [slot.state for slot in self._slots]

    @property
    def busy_seconds(self) -> float:
        """Of all replicas together, while they held calls."""
        return self._let_go_seconds + sum(slot.busy_seconds for slot in self._slots)

    @property
    def capacity(self) -> int:
        """Sequences that the replicas there are can hold at once."""
        return len(self._slots) * self._config.room

    async def start(self) -> None:
        """Start all replicas and wait until each is healthy. Raises ConfigError, EngineError."""
        await asyncio.gather(*(self._start(slot) for slot in self._slots))
        if self._scaling.moves:
            self._background(self._scale())

    async def call(self, method: str, *args: Any, weight: int = 1) -> Any:
        """Run a host method on the least-loaded replica; asked again elsewhere if that replica
        dies.

        Raises ItemError when the host refuses the item, or the call ends every replica that it is
        alone on; EngineError when the pool has no replica left.
        """
        if self._failure is not None:
            raise self._failure
        call = Call(method, args, weight, asyncio.get_running_loop().create_future())
        self._line.append(call)
        self._serve()
        try:
            result, receipt = await call.result
        except asyncio.CancelledError:
            self._drop(call)
            raise
        answered_by(receipt)
        return result

    async def vouch(self, receipt: Receipt) -> bool:
        """Whether the replica that answered still computes what the pool does; else it is
        replaced.
        """
        reason = await receipt.slot.vouch(receipt.life, receipt.moment, self._canary)
        if reason is not None:
            self._bury(receipt.slot, receipt.life, reason)
        return reason is None

    async def stop(self) -> None:
        """Close the engines that still answer, then end every process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(slot.close() for slot in self._slots))

    def _serve(self) -> None:
        """Hand out what can be handed out; to be called whenever room may have come."""
        takers = [
            slot for slot in self._slots if slot.up and not slot.isolated and not slot.leaving
        ]
        if self._suspects:
            takers.sort(key=lambda slot: slot.load)
        while self._suspects and takers and not takers[0].held:
            group = self._suspects.take()
            if group:
                slot = takers.pop(0)
                slot.isolated = True
                for call in group:
                    self._send(slot, call)
        if self._suspects:
            # The least loaded runs empty for them.
            del takers[:1]
        while self._line:
            call = self._line[0]
            if not call.result.done():  # Else its caller is gone, or a late answer came.
                taker = min(takers, key=lambda slot: slot.load, default=None)
                if taker is None or not self._has_room(taker, call):
                    return
                self._send(taker, call)
            self._line.popleft()

    def _has_room(self, slot: Slot, call: Call) -> bool:
        # An idle replica takes any call, or one for more candidates than `in_flight` would wait for
        # ever.
        return slot.load == 0 or slot.load + call.weight <= self._config.room

    def _send(self, slot: Slot, call: Call) -> None:
        slot.take(call, self._background(self._run(slot, slot.life, call)))

    async def _run(self, slot: Slot, life: int, call: Call) -> None:
        """One call on one replica. After its burial only an answer still counts."""
        try:
            result = await slot.replica.call(call.method, *call.args)
        except ReplicaDied as error:
            self._bury(slot, life, str(error))
        except EngineError as error:
            if slot.release(life, call) and self._suspects.failed(call):
                self._convict(call, f"the engine fails on this item, alone too: {error}")
        except Exception as error:  # Whatever it is, the caller must see it.
            self._answered(slot, life, call)
            if not call.result.done():
                call.result.set_exception(error)
        else:
            self._answered(slot, life, call)
            if not call.result.done():
                receipt = Receipt(self.name, slot, life, time.monotonic())
                call.result.set_result((result, receipt))
        self._serve()

    def _answered(self, slot: Slot, life: int, call: Call) -> None:
        slot.release(life, call, answered=True)
        self._fruitless = 0

    def _drop(self, call: Call) -> None:
        """Nobody waits for this call any more."""
        for slot in self._slots:
            task = slot.held.get(call)
            if task is not None:
                task.cancel()
                slot.release(slot.life, call)
        self._serve()

    def _bury(self, slot: Slot, life: int, reason: str) -> None:
        """Ask the calls of a replica again; the first of them to hear of its end does it for
        all.
        """
        if slot.life != life:
            return
        logger.warning("a replica of model %r is replaced: %s", self.name, reason)
        isolated = slot.isolated
        again, guilty = self._suspects.died(slot.bury(), isolated=isolated)
        self.restarts += 1
        self._line.extendleft(reversed(again))
        for call in guilty:
            self._convict(call, f"{call.deaths} replicas died of this item, last: {reason}")
        self._background(self._replace(slot, reason))
        self._serve()

    def _convict(self, call: Call, reason: str) -> None:
        """Give an item up; give the engine up where it answers nothing else either."""
        self._fruitless += 1
        if not call.result.done():
            call.result.set_exception(ItemError("error", f"model {self.name!r}: {reason}"))
        if self._fruitless >= MAX_FRUITLESS:
            self._fail(f"{self._fruitless} items in a row failed, last: {reason}")

    def _fail(self, reason: str) -> None:
        """Fail every call, now and later."""
        self._failure = EngineError(f"model {self.name!r}: {reason}")
        waiting = list(self._line)
        while self._suspects:
            waiting += self._suspects.take()
        self._line.clear()
        for call in waiting:
            if not call.result.done():
                call.result.set_exception(self._failure)

    async def _start(self, slot: Slot) -> None:
        await slot.start()
        self._healthy(slot)

    async def _replace(self, slot: Slot, reason: str) -> None:
        """Go on with the other replicas where this one can't be replaced."""
        try:
            await slot.replace()
        except EngineError as error:
            logger.error("a replica of model %r is given up: it %s", self.name, error)
            if all(other.given_up for other in self._slots):
                self._fail(f"its last replica {error}; first it had died: {reason}")
        else:
            self._healthy(slot)

    def _healthy(self, slot: Slot) -> None:
        assert slot.info is not None
        reason = self._canary.verdict(slot.info.probe)
        if reason is not None:
            self._bury(slot, slot.life, reason)
            return
        self.infos.append(slot.info)
        self._background(self._watch(slot))
        self._serve()

    async def _scale(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            num, waiting = len(self._slots), bool(self._line)
            num_starting = sum(not slot.up and not slot.given_up for slot in self._slots)
            idlest = max(self._slots, key=lambda slot: slot.idle_seconds)
            if self._scaling.grows(num=num, num_starting=num_starting, waiting=waiting):
                slot = self._new_slot(next(self._numbers))
                self._slots.append(slot)
                self._background(self._grow(slot))
            elif self._scaling.shrinks(num=num, waiting=waiting, longest_idle=idlest.idle_seconds):
                self._slots.remove(idlest)
                self._background(self._let_go(idlest))

    async def _grow(self, slot: Slot) -> None:
        try:
            await self._start(slot)
        except LilliputError as error:
            logger.warning("model %r did not grow: %s", self.name, error)
            slot.replica.kill()
            self._slots.remove(slot)

    async def _let_go(self, slot: Slot) -> None:
        """Its place is gone; nothing is sent there any more."""
        self._let_go_seconds += slot.busy_seconds
        await slot.close()

    async def _watch(self, slot: Slot) -> None:
        life = slot.life
        reason = await slot.watch()
        if reason is not None:
            self._bury(slot, life, reason)

    def _background(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
