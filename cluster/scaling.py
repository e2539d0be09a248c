"""When a pool grows and when it shrinks: a policy that sees counts only.

It grows by one while calls wait, every replica is busy and none is on its way, if there is room;
it shrinks by one when a replica has held nothing for IDLE seconds. A single look decides nothing:
calls must have waited since the last one, so that a burst doesn't start an engine.
"""

from collections.abc import Callable

from actors.config import Replicas

INTERVAL = 5.0
"""Seconds between two looks."""
IDLE = 120.0
"""Seconds without a call after which a replica is let go."""


class Scaling:
    """Decides for one pool. `has_room` says whether the cluster can hold one more replica now."""

    def __init__(self, replicas: Replicas, has_room: Callable[[], bool]) -> None:
        self._least = replicas.min
        self._most = replicas.max
        self._has_room = has_room
        self._waited = False

    @property
    def moves(self) -> bool:
        """The number of replicas may change at all."""
        return self._most != self._least

    def grows(self, *, num: int, num_starting: int, waiting: bool) -> bool:
        """To be asked at every look: start one more?"""
        waited, self._waited = self._waited, waiting
        if not (waiting and waited) or num_starting:
            return False
        return (self._most is None or num < self._most) and self._has_room()

    def shrinks(self, *, num: int, waiting: bool, longest_idle: float) -> bool:
        """To be asked at every look: let the one go that has been idle longest?"""
        return num > self._least and not waiting and longest_idle > IDLE
