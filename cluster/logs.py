"""What engines write, line by line, from all nodes: kept in a file for each replica, and its end in
memory, since the process that could be asked for it may be dead.

    engine's stdout and stderr -> Ray's log monitor on its node -> driver -> logs/<replica>.log
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TAIL = 50
"""Lines of each replica that are kept in memory."""


class EngineLogs:
    """Sorts lines by replica. `directory` None keeps their ends only."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._tails: dict[str, deque[str]] = {}
        self._lock = threading.Lock()

    def receive(self, batch: Mapping[str, Any]) -> None:
        """One batch as Ray's log monitor publishes it; called on a thread of Ray's.

        Lines of a process that is no actor, or not one yet, are Ray's own.
        """
        name = str(batch.get("actor_name") or "")
        if not name:
            return
        lines = [str(line) for line in batch.get("lines", ())]
        with self._lock:
            self._tails.setdefault(name, deque(maxlen=TAIL)).extend(lines)
            if self._directory is not None:
                path = self._directory / f"{name.replace('/', '_')}.log"
                try:
                    with open(path, "a", encoding="utf-8", errors="replace") as file:
                        file.writelines(f"{line}\n" for line in lines)
                except OSError:
                    # A full disk shows where records are written; a log must not end a run.
                    self._directory = None

    def tail(self, name: str, num: int) -> Sequence[str]:
        """The last lines of a replica that aren't empty."""
        with self._lock:
            lines = [line for line in self._tails.get(name, ()) if line.strip()]
        return lines[-num:]
