"""The calls that wait for a replica, and whose turn it is."""

from collections import deque
from collections.abc import Callable, Sequence

from cluster.slots import Slot
from cluster.suspects import Call, Suspects


class Queue:
    """Calls in order of arrival, and the groups of suspects that must run alone. `room`: sequences
    that one replica holds at once.
    """

    def __init__(self, room: int) -> None:
        self.suspects = Suspects()
        self._room = room
        self._line: deque[Call] = deque()

    @property
    def num_waiting(self) -> int:
        """Calls in line that somebody waits for."""
        return sum(not call.result.done() for call in self._line)

    def add(self, call: Call) -> None:
        """At the end of the line."""
        self._line.append(call)

    def put_back(self, calls: Sequence[Call]) -> None:
        """At its head, in their order."""
        self._line.extendleft(reversed(calls))

    def empty(self) -> list[Call]:
        """Take all of them out."""
        waiting = list(self._line)
        while self.suspects:
            waiting += self.suspects.take()
        self._line.clear()
        return waiting

    def hand_out(self, slots: Sequence[Slot], send: Callable[[Slot, Call], None]) -> None:
        """Send what can be sent: suspects to an idle replica that takes nothing else, then the
        others to the least loaded.
        """
        takers = [slot for slot in slots if slot.up and not slot.isolated and not slot.leaving]
        if self.suspects:
            takers.sort(key=lambda slot: slot.load)
        while self.suspects and takers and not takers[0].held:
            group = self.suspects.take()
            if group:
                slot = takers.pop(0)
                slot.isolated = True
                for call in group:
                    send(slot, call)
        if self.suspects:
            # The least loaded runs empty for them.
            del takers[:1]
        while self._line:
            call = self._line[0]
            if not call.result.done():  # Else its caller is gone, or a late answer came.
                taker = min(takers, key=lambda slot: slot.load, default=None)
                if taker is None or not self._has_room(taker, call):
                    return
                send(taker, call)
            self._line.popleft()

    def _has_room(self, slot: Slot, call: Call) -> bool:
        # An idle replica takes any call, or one for more candidates than `in_flight` would wait for
        # ever.
        return slot.load == 0 or slot.load + call.weight <= self._room
