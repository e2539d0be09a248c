"""Calls that wait for a reader: read together, in its engine's one thread.

    read() --rows--> asked --pump task: planned together, pack by pack--> thread --> futures

A pump task lives while rows are asked for. A call that is cancelled leaves its rows cancelled, and
packs without other rows are not read.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from actors.engines.base import ScoreRequest
from actors.engines.passes import PackReader
from actors.engines.trees import Pack
from actors.types import EngineError

V = TypeVar("V")


@dataclass(slots=True, kw_only=True, eq=False)
class _Asked:
    request: ScoreRequest
    future: asyncio.Future[Any]


class Reads(Generic[V]):
    """See the module's docstring. `thread`: the only one that may touch the model."""

    def __init__(self, reader: PackReader[V], thread: Executor) -> None:
        self._reader = reader
        self._thread = thread
        self._asked: list[_Asked] = []
        self._reading: list[_Asked] = []
        self._pump: asyncio.Task[None] | None = None

    async def read(self, requests: Sequence[ScoreRequest]) -> list[tuple[V, ...]]:
        """The values of each request, in order. Raises EngineError when the model fails, ItemError
        for a sequence that doesn't fit in memory.
        """
        loop = asyncio.get_running_loop()
        rows = [_Asked(request=request, future=loop.create_future()) for request in requests]
        self._asked.extend(rows)
        if self._pump is None or self._pump.done():
            self._pump = loop.create_task(self._run())
        return list(await asyncio.gather(*(row.future for row in rows)))

    def cancel(self) -> None:
        """Drop what waits: its callers see CancelledError."""
        if self._pump is not None:
            self._pump.cancel()
        for row in (*self._asked, *self._reading):
            row.future.cancel()
        self._asked.clear()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._asked:
            # Calls made in the same turn of the loop get to be planned with this one.
            await asyncio.sleep(0)
            self._reading = rows = [row for row in self._asked if not row.future.done()]
            self._asked.clear()
            if not rows:
                continue
            requests = [row.request for row in rows]
            try:
                packs = await loop.run_in_executor(self._thread, self._reader.plan, requests)
            # Planning tries the model out.
            except Exception as error:
                settle([row.future for row in rows], _failed(error))
                continue
            for pack in packs:
                await self._read(rows, requests, pack)
            self._reading = []

    async def _read(
        self, rows: Sequence[_Asked], requests: Sequence[ScoreRequest], pack: Pack
    ) -> None:
        waiting = [i for i in pack.members if not rows[i].future.done()]
        if not waiting:
            return
        loop, futures = asyncio.get_running_loop(), [rows[i].future for i in waiting]
        try:
            found = await loop.run_in_executor(self._thread, self._reader.read, requests, pack)
        # Whatever a forward pass raises is the outcome of its rows; the pump itself goes on.
        except Exception as error:
            settle(futures, _failed(error))
        else:
            settle(futures, [found[i] for i in waiting])


def settle(futures: Sequence["asyncio.Future[Any]"], outcome: Sequence[Any] | Exception) -> None:
    """Resolve the futures, one outcome each or the same error for all, but those that were
    cancelled meanwhile.
    """
    for index, future in enumerate(futures):
        result = outcome if isinstance(outcome, Exception) else outcome[index]
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


def _failed(error: Exception) -> EngineError:
    return EngineError(f"scoring failed: {type(error).__name__}: {error}")
