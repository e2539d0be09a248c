"""The run directory: one driver writes it, shard by shard; anyone reads it, at any time.

    run.json                     manifest, replaced as a whole
    records/part-<shard>.arrow   one committed shard; there or not there, never half
    records/....damaged-N        a part that was not as it was committed; its shard is owed again
    summary.json, report.html    made from the records
    logs/                        what the engines wrote
    status.json                  how the run stands, while it runs and after
    stop                         somebody wants it to stop
    .lock, lease.json            held by the driver; says who it is

A commit makes a file that was not there before: the first attempt wins and a late one is harmless.
"""

import contextlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Self

from results.arrow import to_table
from results.directories import (
    Directory,
    Hold,
    LocalDirectory,
    Where,
    fresh_directory,
    open_directory,
    unwritable,
)
from results.errors import ResultsError
from results.manifest import Manifest, first_difference, read_manifest, settle
from results.parts import (
    DamagedPart,
    check_part,
    encode_part,
    fetch_part,
    part_name,
    shard_ids,
)
from results.schema import Record

__all__ = [
    "Manifest",
    "Store",
    "ask_to_stop",
    "first_difference",
    "fresh_directory",
    "is_driven",
    "read_manifest",
    "read_status",
    "write_json",
]

_SHARD_ID = re.compile(r"[\w.-]+")
_CHECKS = 8
"""Parts that are checked at once."""


class Store:
    """The one writer of a run directory. Open it with `Store.open`; it is a context manager."""

    def __init__(self, directory: Directory, manifest: Manifest, hold: Hold) -> None:
        self.directory = directory
        self.manifest = manifest
        self.damaged: tuple[str, ...] = ()
        """One line for each part that was set aside when this was opened."""
        self._hold: Hold | None = hold
        self._said: tuple[object, float] = (None, 0.0)
        self._looked = float("-inf")

    @classmethod
    def open(cls, directory: Where, manifest: Manifest, *, fresh: bool = False) -> Self:
        """Create the directory, or continue in it if its identity is the same. Parts that are there
        are checked; one that is damaged is set aside, and no longer committed.

        `fresh` takes the first of `NAME`, `NAME-2`, `NAME-3`, ... that doesn't exist. Entries of
        `about` that are already in run.json stay unless `manifest.about` has them too.

        Raises ResultsError: another identity (names the field), another driver at work, foreign
        files, no access.
        """
        place = fresh_directory(directory) if fresh else open_directory(directory)
        try:
            place.create()
            _refuse_foreign(place)
            hold = place.hold()
        except OSError as error:
            raise unwritable(place, "", error) from error
        try:
            committed = shard_ids(place)
            store = cls(place, settle(place, manifest, committed=bool(committed)), hold)
            store._prepare(committed)
        except OSError as error:
            hold.release()
            raise unwritable(place, "", error) from error
        except BaseException:  # Whatever it is, the lock mustn't outlive the attempt.
            hold.release()
            raise
        return store

    @classmethod
    def join(cls, directory: Where, digest: str) -> Self:
        """Commit beside the driver that holds the directory. A shard is committed once, whoever
        does it, so nothing need be locked; checks and notes are the driver's.

        Raises ResultsError where no run of that identity is.
        """
        place = open_directory(directory)
        manifest = read_manifest(place)
        if manifest.digest != digest:
            raise ResultsError(
                f"wanted the run of identity {digest} in {place}, got {manifest.digest}"
            )
        return cls(place, manifest, _Guest())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Keep the logs, let another driver in. Does nothing the second time."""
        if self._hold is None:
            return
        if "logs" in vars(self) and not isinstance(self.directory, LocalDirectory):
            _keep_logs(self.logs, self.directory)
        self._hold.release()
        self._hold = None

    @cached_property
    def logs(self) -> Path:
        """Where engines may write while the run lasts; kept in the directory in the end."""
        if isinstance(self.directory, LocalDirectory):
            return self.directory.path / "logs"
        return Path(tempfile.mkdtemp(prefix="lilliput-logs-"))

    def committed(self) -> set[str]:
        """Ids of the shards that are in `records/`. Raises ResultsError."""
        try:
            self._check_hold()
            return set(shard_ids(self.directory))
        except OSError as error:
            raise unwritable(self.directory, "records", error) from error

    def commit(self, shard_id: str, records: Iterable[Record]) -> bool:
        """Keep a shard's records for good. False: the shard was committed before, and stays as it
        was.

        Raises ResultsError when the file can't be written; nothing is kept then.
        """
        assert _SHARD_ID.fullmatch(shard_id), f"not a file name: {shard_id!r}"
        content = encode_part(shard_id, to_table(records))
        name = part_name(shard_id)
        try:
            self._check_hold()
            return self.directory.put_if_absent(name, content)
        except OSError as error:
            raise unwritable(self.directory, name, error) from error

    def note(self, **about: Any) -> None:
        """Put entries into run.json's `about`, replacing those of the same name.

        Raises ResultsError when the file can't be written; it stays as it was then.
        """
        manifest = replace(self.manifest, about={**self.manifest.about, **about})
        self._write("run.json", asdict(manifest))
        self.manifest = manifest

    def say(self, **status: Any) -> None:
        """Replace status.json, for who looks from another terminal. Raises ResultsError.

        Where a write costs, the same `state` is said again only after a while.
        """
        state, now = status.get("state"), time.monotonic()
        said, when = self._said
        if state == said and now - when < self.directory.pace:
            return
        self._said = state, now
        self._write("status.json", status)

    def asked_to_stop(self) -> bool:
        """Somebody called `ask_to_stop`. May take as long as a look at the directory takes."""
        now = time.monotonic()
        if now - self._looked < self.directory.pace:
            return False
        self._looked = now
        try:
            self.directory.get("stop")
        except OSError:
            # Where nothing can be read nothing can be written: the next commit says so.
            return False
        return True

    def _check_hold(self) -> None:
        assert self._hold is not None, "the store is closed"
        self._hold.check()

    def _write(self, name: str, content: object) -> None:
        try:
            self._check_hold()
        except OSError as error:
            raise unwritable(self.directory, name, error) from error
        write_json(self.directory, name, content)

    def _prepare(self, committed: list[str]) -> None:
        # First of all, because a directory that has other content and no run.json is foreign.
        write_json(self.directory, "run.json", asdict(self.manifest))
        self.directory.tidy()
        # An earlier driver's; what is asked of this one comes later.
        for old in ("stop", "status.json"):
            self.directory.delete(old)
        with ThreadPoolExecutor(_CHECKS) as threads:
            damages = list(threads.map(self._damage, committed))
        bad = [(i, damage) for i, damage in zip(committed, damages, strict=True) if damage]
        self.damaged = tuple(self._set_aside(shard_id, damage) for shard_id, damage in bad)

    def _damage(self, shard_id: str) -> str | None:
        """What is wrong with a part. Raises ResultsError for one that can't be read."""
        where = f"{self.directory}/{part_name(shard_id)}"
        try:
            check_part(fetch_part(self.directory, shard_id), shard_id, where)
        except DamagedPart as error:
            return error.what
        return None

    def _set_aside(self, shard_id: str, damage: str) -> str:
        name = part_name(shard_id)
        there = set(self.directory.names("records"))
        free = (f"{name}.damaged-{number}" for number in count(1))
        aside = next(path for path in free if path.rpartition("/")[2] not in there)
        self.directory.move(name, aside)
        return f"shard {shard_id} was damaged ({damage}): kept as {aside}, to be drawn anew"


class _Guest:
    """The hold of one who writes under another's."""

    def check(self) -> None:
        pass

    def release(self) -> None:
        pass


def read_status(run_dir: Where) -> dict[str, Any] | None:
    """What the latest driver last said of the run; None: nothing."""
    try:
        status = json.loads(open_directory(run_dir).get("status.json"))
    except (OSError, ValueError):
        return None
    return status if isinstance(status, dict) else None


def is_driven(run_dir: Where) -> bool:
    """A driver is at work in this directory."""
    return open_directory(run_dir).is_held()


def ask_to_stop(run_dir: Where) -> None:
    """Wish that the driver stop after the shards that are open. Raises ResultsError."""
    directory = open_directory(run_dir)
    try:
        directory.put("stop", b"")
    except OSError as error:
        raise unwritable(directory, "stop", error) from error


def write_json(run_dir: Where, name: str, content: object) -> None:
    """Replace a JSON file as a whole: a reader sees the old one or the new one.

    Raises ResultsError when it can't be written.
    """
    text = json.dumps(content, indent=2, allow_nan=False, default=str) + "\n"
    directory = open_directory(run_dir)
    try:
        directory.put(name, text.encode())
    except OSError as error:
        raise unwritable(directory, name, error) from error


def _refuse_foreign(directory: Directory) -> None:
    names = directory.names()
    if "run.json" in names:
        return
    # A driver killed before its first run.json leaves these.
    ours = (".lock", "lease.json")
    foreign = [name for name in names if name not in ours and not name.endswith(".tmp")]
    if foreign:
        raise ResultsError(
            f"wanted an empty or a run directory, got {directory} with {foreign[0]!r} "
            "and no run.json; give another --output"
        )


def _keep_logs(folder: Path, directory: Directory) -> None:
    """Copy logs to where the run is; an earlier driver's of the same name stay."""
    # Logs must not end a run: what can't be copied is left where it is.
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            content, numbers = path.read_bytes(), count(1)
            while not directory.put_if_absent(f"logs/{path.stem}.{next(numbers)}.log", content):
                pass
        shutil.rmtree(folder)
