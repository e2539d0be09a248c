"""A pool: all replicas of one model, and the calls that wait for them.

    call() --> least-loaded live replica with room ----------------> result
                  | none has room: wait in line; whoever finishes serves its head
                  | the replica dies or times out: it is replaced, the call is asked again
                  v
               restarts used up: every call fails with EngineError

Invariant: a call is held by at most one live replica, or it waits here. Load counts sequences, not
calls, since a call for 16 candidates is 16 times the work of a greedy one. Bookkeeping only: what a
replica is stands behind `Replica`, so all of this runs in tests without Ray.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from actors.config import ModelConfig, Sampling
from actors.host import HostInfo
from actors.roles import LabelLogprobs
from actors.types import Completion, EngineError, Item, ItemError, Message

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Replicas that one call may cost before its item is given up."""


RESTART_DELAY = 3.0
"""Seconds between two tries to replace a replica."""


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


@dataclass(slots=True)
class _Slot:
    """A place in the pool: its present replica, and how many it has used up."""

    replica: Replica
    life: int = 0
    load: int = 0
    up: bool = False
    given_up: bool = False


_Turn = asyncio.Future[tuple[_Slot, int]]
"""Resolves to a slot with room, and the life of that slot in which the room is."""


class Pool:
    """See the module's docstring. `spawn(life)` starts a replica's process without waiting for
    it.
    """

    def __init__(self, name: str, config: ModelConfig, spawn: Callable[[int], Replica]) -> None:
        self.name = name
        self.restarts = 0
        self.infos: list[HostInfo] = []
        self._config = config
        self._spawn = spawn
        self._slots: list[_Slot] = []
        self._line: deque[tuple[int, _Turn]] = deque()
        self._failure: EngineError | None = None
        self._replacing: set[asyncio.Task[None]] = set()

    @property
    def num_alive(self) -> int:
        """Replicas that take calls now."""
        return sum(slot.up for slot in self._slots)

    async def start(self) -> None:
        """Start all replicas and wait until each is healthy. Raises ConfigError, EngineError."""
        self._slots = [_Slot(self._spawn(0)) for _ in range(self._config.replicas)]
        await asyncio.gather(*(self._bring_up(slot) for slot in self._slots))

    async def call(self, method: str, *args: Any, weight: int = 1) -> Any:
        """Run a host method on the least-loaded replica; asked again elsewhere if that replica
        dies.

        Raises ItemError when the call has cost MAX_ATTEMPTS replicas or the host refuses the item,
        EngineError when the pool has no replica left.
        """
        for _ in range(MAX_ATTEMPTS):
            slot = await self._acquire(weight)
            life = slot.life
            try:
                return await asyncio.wait_for(
                    slot.replica.call(method, *args), self._config.call_timeout
                )
            except ReplicaDied as error:
                self._replace(slot, life, str(error))
            except TimeoutError:
                self._replace(slot, life, f"no answer within {self._config.call_timeout:g} s")
            finally:
                self._release(slot, life, weight)
        raise ItemError(
            "error",
            f"{MAX_ATTEMPTS} replicas of model {self.name!r} died or timed out on this item",
        )

    async def stop(self) -> None:
        """Close the engines that still answer, then end every process."""
        for task in self._replacing:
            task.cancel()
        live = [slot.replica for slot in self._slots if slot.up]
        closing = [asyncio.wait_for(replica.call("stop"), 10.0) for replica in live]
        await asyncio.gather(*closing, return_exceptions=True)
        for slot in self._slots:
            slot.replica.kill()
            slot.up = False

    async def _acquire(self, weight: int) -> _Slot:
        """Wait in line, first come, first served, so that no call starves and waking costs one
        call, not all.
        """
        while True:
            turn: _Turn = asyncio.get_running_loop().create_future()
            self._line.append((weight, turn))
            self._serve()
            try:
                slot, life = await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled() and turn.exception() is None:
                    self._release(*turn.result(), weight)
                raise
            if slot.life == life:
                return slot
            # The replica died between the turn and now, and its load went with it.

    def _release(self, slot: _Slot, life: int, weight: int) -> None:
        if slot.life == life:
            slot.load -= weight
        self._serve()

    def _serve(self) -> None:
        """Give what room there is to the head of the line; to be called whenever room may have
        come.
        """
        while self._line:
            weight, turn = self._line[0]
            if not turn.done():
                slot = self._roomiest(weight)
                if self._failure is not None:
                    turn.set_exception(self._failure)
                elif slot is not None:
                    slot.load += weight
                    turn.set_result((slot, slot.life))
                else:
                    return
            self._line.popleft()

    def _roomiest(self, weight: int) -> _Slot | None:
        live = [slot for slot in self._slots if slot.up]
        if not live:
            return None
        slot = min(live, key=lambda s: s.load)
        # An idle replica takes any call, or one for more candidates than `in_flight` would wait for
        # ever.
        fits = slot.load == 0 or slot.load + weight <= self._config.in_flight
        return slot if fits else None

    def _replace(self, slot: _Slot, life: int, reason: str) -> None:
        """Put a new replica in the slot; the first of the dead one's calls does it for all."""
        if slot.life != life:
            return
        slot.replica.kill()
        slot.up, slot.load, slot.life = False, 0, slot.life + 1
        self.restarts += 1
        logger.warning("a replica of model %r is replaced: %s", self.name, reason)
        if slot.life > self._config.max_restarts:
            self._give_up(slot, f"died {slot.life} times, last: {reason}")
            return
        task = asyncio.create_task(self._bring_back(slot))
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def _bring_back(self, slot: _Slot) -> None:
        while True:
            try:
                slot.replica = self._spawn(slot.life)
                await self._bring_up(slot)
                return
            except Exception as error:  # Whatever it is, the calls that wait must hear of it.
                slot.replica.kill()
                slot.life += 1
                if slot.life > self._config.max_restarts:
                    self._give_up(slot, f"could not be replaced: {error}")
                    break
            # What the dead one held, memory of a device above all, comes back after a while.
            await asyncio.sleep(RESTART_DELAY)

    async def _bring_up(self, slot: _Slot) -> None:
        limit = self._config.start_timeout
        try:
            info = await asyncio.wait_for(slot.replica.call("start"), limit)
        except TimeoutError:
            raise EngineError(
                f"model {self.name!r} was not healthy within {limit:g} s; "
                f"raise models.{self.name}.start_timeout"
            ) from None
        except ReplicaDied as error:
            raise EngineError(f"model {self.name!r} died while it started: {error}") from None
        self.infos.append(info)
        slot.up = True
        self._serve()

    def _give_up(self, slot: _Slot, reason: str) -> None:
        """Go on with the other replicas; fail every call when there is none left."""
        slot.given_up = True
        logger.error("a replica of model %r is given up: it %s", self.name, reason)
        if all(other.given_up for other in self._slots):
            self._failure = EngineError(f"the last replica of model {self.name!r} {reason}")
        self._serve()


class PooledModel:
    """The `Model` that pipelines see: calls on a pool."""

    def __init__(self, pool: Pool) -> None:
        self.name = pool.name
        self._pool = pool

    async def generate(
        self, item: Item, *, seeds: Sequence[int | None], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        """See `roles.Model.generate`."""
        completions: list[Completion] = await self._pool.call(
            "generate", item, tuple(seeds), sampling, top_logprobs, weight=len(seeds)
        )
        return completions

    async def label_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], labels: Sequence[str]
    ) -> list[LabelLogprobs]:
        """See `roles.Model.label_logprobs`."""
        rows: list[LabelLogprobs] = await self._pool.call(
            "label_logprobs", tuple(prompts), tuple(labels), weight=len(prompts)
        )
        return rows
