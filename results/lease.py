"""Who drives a run in an object store: `lease.json`, renewed every BEAT seconds by a thread.

    create if absent --> holder --renewed while it lives--> released, or stale after STALE seconds
                           ^---- replaced under the condition that it is as it was read ----'

It keeps a second driver from doing work twice. That nothing is committed twice doesn't depend on
it, nor on anybody's clock.
"""

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from results.cloud import os_errors
from results.errors import ResultsError

BEAT = 10.0
"""Seconds between two renewals."""
STALE = 60.0
"""Seconds without a renewal after which another driver may take over."""


class Lease:
    """`lease.json` with this driver's name in it, renewed until `release` or until it is lost."""

    def __init__(self, objects: Any, url: str) -> None:
        self._objects, self._url = objects, url
        self._driver = uuid.uuid4().hex
        self._lost: Mapping[str, Any] | None = None
        self._version = self._take()
        self._refuse_blind_store()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        if self._lost is not None:
            raise ResultsError(
                f"wanted to go on in {self._url}, got it taken over by {_who(self._lost)} after "
                f"{STALE:g} s in which this run was not heard of; what it committed stays"
            )

    def renew(self) -> None:
        """Say that this driver is alive. Raises OSError when nobody can be told."""
        try:
            self._version = self._put(self._version)
        except FileExistsError:
            holder, version = read_lease(self._objects)
            if holder.get("driver") == self._driver:
                self._version = version  # Ours: the answer to an earlier put got lost.
            else:
                self._lost = holder
        except FileNotFoundError:
            self._lost = {}

    def release(self) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        # Who comes next waits until it is stale, or sees that this process has ended.
        with contextlib.suppress(OSError):
            if self._lost is None:
                self._put(self._version, released=True)

    def _keep(self) -> None:
        while self._lost is None and not self._ended.wait(BEAT):
            # Until it is known that somebody else took it, it may still be ours.
            with contextlib.suppress(OSError):
                self.renew()

    def _take(self) -> Any:
        try:
            return self._put("create")
        except FileExistsError:
            holder, version = read_lease(self._objects)
        if holder.get("driver") == self._driver:
            return version
        if not is_alive(holder):
            try:
                return self._put(version)
            except FileExistsError:
                holder, version = read_lease(self._objects)
                if holder.get("driver") == self._driver:
                    return version
        raise ResultsError(
            f"wanted {self._url} for this run, got it in use by {_who(holder)}; wait for that run, "
            f"end it, or give another --output (if it is dead: try again in {STALE:g} s)"
        )

    def _put(self, mode: Any, *, released: bool = False) -> Any:
        """Write the lease under a condition; returns the version to name in the next one.

        Raises FileExistsError when the condition doesn't hold.
        """
        content = {
            "driver": self._driver,
            "host": platform.node(),
            "pid": os.getpid(),
            "machine": _machine(),
            "beat": None if released else time.time(),
        }
        with os_errors():
            done = self._objects.put("lease.json", json.dumps(content).encode(), mode=mode)
        return _version(done)

    def _refuse_blind_store(self) -> None:
        try:
            self._put("create")
        except FileExistsError:
            return
        raise ResultsError(
            f"wanted an object store with conditional puts, got {self._url}, which ignores "
            "If-None-Match; two runs could overwrite each other there; give another --output"
        )


def read_lease(objects: Any) -> tuple[Mapping[str, Any], Any]:
    """Who holds it, and the version. Raises FileNotFoundError, OSError."""
    with os_errors():
        found = objects.get("lease.json")
        content = bytes(found.bytes())
    try:
        holder = json.loads(content)
    except ValueError:
        holder = None
    return (holder if isinstance(holder, dict) else {}), _version(found.meta)


def _version(meta: Mapping[str, Any]) -> dict[str, str]:
    """What names this state of an object in a condition; which keys depends on the store."""
    return {key: meta[key] for key in ("e_tag", "version") if meta.get(key) is not None}


def is_alive(holder: Mapping[str, Any]) -> bool:
    """It has been heard of lately; if it is on this machine, its process is there too."""
    beat, pid = holder.get("beat"), holder.get("pid")
    if not isinstance(beat, int | float) or time.time() - beat > STALE:
        return False
    if holder.get("machine") != _machine() or not isinstance(pid, int):
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _machine() -> str:
    """Where process ids mean the same: one boot of one kernel, one namespace."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        # Not Linux: no two processes are known to be on one machine.
        return uuid.uuid4().hex


def _who(holder: Mapping[str, Any]) -> str:
    if not holder:
        return "somebody who removed lease.json"
    heard = time.time() - (holder.get("beat") or 0)
    return f"process {holder.get('pid')} on {holder.get('host')}, heard of {heard:.0f} s ago"
