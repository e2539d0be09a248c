"""Which call ends the replicas that hold it: found by halving, without losing an innocent one.

    replica dies with its calls --1st time--> back to the head of the line, with everyone
                                --2nd time--> in two halves, each on a replica of its own
    a half dies again           ------------> halved again ... down to one call
    one call, alone, dies again ------------> guilty: its item is given up, the run goes on

The halves of a group wait at the end of the queue, so that between two deaths an innocent half is
answered: a pool that still answers is not given up. A replica that someone kills costs its calls
nothing but time.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_ALONE = 2
"""Replicas that a call may end, or engine errors it may raise, with nothing else to blame."""


@dataclass(slots=True, eq=False)
class Call:
    """A host method that someone waits for."""

    method: str
    args: tuple[Any, ...]
    weight: int
    """Sequences: a call for 16 candidates is 16 times the work of a greedy one."""
    result: "asyncio.Future[Any]"
    deaths: int = 0
    """Replicas that ended while they held it."""
    blamed: int = 0
    """Of those, the ones that held nothing else; and errors that the engine raised on it."""


class Suspects:
    """Groups of calls that must run alone on a replica, in the order of their turn."""

    def __init__(self) -> None:
        self._groups: deque[list[Call]] = deque()

    def __bool__(self) -> bool:
        return any(not call.result.done() for group in self._groups for call in group)

    def take(self) -> list[Call]:
        """The next group, without the calls that nobody waits for any more."""
        return [call for call in self._groups.popleft() if not call.result.done()]

    def died(self, held: Sequence[Call], *, isolated: bool) -> tuple[list[Call], list[Call]]:
        """A replica ended with these calls, `isolated`: as a group of ours.

        Returns the calls to ask again with everyone, and the guilty.
        """
        again: list[Call] = []
        suspects: list[Call] = []
        for call in held:
            call.deaths += 1
            (again if call.deaths == 1 else suspects).append(call)
        if isolated and len(held) == 1 and suspects:
            return again, [] if self._pardon(suspects[0]) else suspects
        half = -(-len(suspects) // 2)
        self._groups += [group for group in (suspects[:half], suspects[half:]) if group]
        return again, []

    def failed(self, call: Call) -> bool:
        """The engine raised an error on this call and lives. True: guilty; else it is asked once
        more, alone.
        """
        return not self._pardon(call)

    def _pardon(self, call: Call) -> bool:
        call.blamed += 1
        if call.blamed >= MAX_ALONE:
            return False
        self._groups.append([call])
        return True
