"""Who may share an engine's steps: calls that spoil each other's results run in turn.

    free    joins at any time
    top     asks for top log-probabilities   } one of the two kinds at a time,
    labels  asks for those of given tokens   } any number of calls of that kind

Bookkeeping only: what an engine is, and why the two kinds can't be mixed, is its own business.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

Kind = Literal["free", "top", "labels"]


class Turns:
    """Lets calls of kinds that don't disturb each other run together, the others in turn.

    A kind that waits closes the door to newcomers of the other, so neither starves.
    """

    def __init__(self) -> None:
        self._running = {"top": 0, "labels": 0}
        self._waiting = {"top": 0, "labels": 0}
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def take(self, kind: Kind) -> AsyncIterator[None]:
        """Wait until calls of this kind may run; the turn lasts as long as the context."""
        if kind == "free":
            yield
            return
        other = "labels" if kind == "top" else "top"
        async with self._changed:
            if self._running[kind] and self._waiting[other]:
                # Others wait for our kind to drain: join the queue behind them instead of the
                # running calls.
                await self._changed.wait_for(
                    lambda: not self._running[kind] or not self._waiting[other]
                )
            self._waiting[kind] += 1
            try:
                await self._changed.wait_for(lambda: not self._running[other])
            finally:
                self._waiting[kind] -= 1
            self._running[kind] += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            async with self._changed:
                self._running[kind] -= 1
                self._changed.notify_all()
