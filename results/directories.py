"""Where a run directory lies, and what can be asked of it there: on a disk, or in an object store.

    "runs/x", Path     -> LocalDirectory    a link is made only if the name is free; flock
    "s3://bucket/x"    -> ObjectDirectory   a conditional put; a lease (`results.objects`)

Names within are relative and have slashes: `records/part-a.arrow`. A file is there as a whole or
not at all. All methods raise OSError; what users read is made of it where the files have a meaning.
"""

import contextlib
import fcntl
import os
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol, TypeAlias

from results.errors import ResultsError

LOOKS, GLANCE = 10, 0.02
"""How often a lock is tried, and seconds between two tries."""
_URL = re.compile(r"(\w+)://")


class Hold(Protocol):
    """Says that one driver writes here. Kept until `release`, and no longer than its process."""

    def check(self) -> None:
        """Raises ResultsError when another driver has taken over, OSError when that can't be
        seen."""
        ...

    def release(self) -> None: ...


class Directory(Protocol):
    """Files by name. `str()` gives what the user calls it."""

    advice: str
    """What to look at when something can't be written."""
    pace: float
    """Seconds between two looks at, or changes of, files that say how a run stands."""

    @property
    def name(self) -> str: ...

    def beside(self, name: str) -> "Directory":
        """A directory of another name in the same place."""
        ...

    def create(self) -> None:
        """Make it, if that is a thing that must be made."""
        ...

    def hold(self) -> Hold:
        """Become its driver. Raises ResultsError that names the other one at work."""
        ...

    def is_held(self) -> bool:
        """A driver is at work."""
        ...

    def tidy(self) -> None:
        """Remove what a killed driver left half written."""
        ...

    def names(self, folder: str = "") -> list[str]:
        """What is directly in a folder, sorted, its folders too; empty where there is none."""
        ...

    def get(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        ...

    def put(self, name: str, content: bytes) -> None:
        """Replace a file, or make it."""
        ...

    def take(self, name: str, path: Path) -> None:
        """As `put`, of a local file of any size, which may be gone then."""
        ...

    def put_if_absent(self, name: str, content: bytes) -> bool:
        """Make a file; False, and no change, where there is one of that name with other
        content."""
        ...

    def move(self, name: str, to: str) -> None:
        """Give a file another name, which must be free."""
        ...

    def delete(self, name: str) -> None:
        """Nothing happens where there is none."""
        ...


Where: TypeAlias = str | Path | Directory
"""A run directory as callers may give it."""


def open_directory(where: Where) -> Directory:
    """The directory of a path or URL. Nothing is made or asked for.

    Raises ResultsError for a URL of another kind, and when what reads URLs is not installed.
    """
    if not isinstance(where, str | Path):
        return where
    found = _URL.match(str(where)) if isinstance(where, str) else None
    if found is None:
        return LocalDirectory(Path(where))
    from results.objects import ObjectDirectory

    return ObjectDirectory(str(where))


def unwritable(directory: Directory, name: str, error: OSError) -> ResultsError:
    """What a user is told when something can't be written."""
    path = f"{directory}/{name}" if name else str(directory)
    return ResultsError(
        f"wanted to write {path}, got {error.strerror or error}; "
        f"{directory.advice}, or give another --output"
    )


def fresh_directory(where: Where) -> Directory:
    """The directory itself, or with -2, -3, ... appended: the first that doesn't exist or is
    empty. Raises ResultsError when that can't be seen.
    """
    first = found = open_directory(where)
    try:
        for number in count(2):
            if not found.names():
                break
            found = first.beside(f"{first.name}-{number}")
    except OSError as error:
        raise unwritable(found, "", error) from error
    return found


@dataclass(frozen=True)
class LocalDirectory:
    """On a file system. What must never be replaced is linked, because a rename replaces."""

    path: Path
    advice = "check access, free space and hard links there"
    pace = 0.0

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def beside(self, name: str) -> "LocalDirectory":
        # `.` and `..` have a name only once they are resolved.
        path = self.path if self.path.name not in ("", "..") else self.path.resolve()
        return LocalDirectory(path.with_name(name))

    def create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    def hold(self) -> "FileLock":
        return FileLock(self.path)

    def is_held(self) -> bool:
        # Only to be believed on a file system with locks.
        try:
            handle = os.open(self.path / ".lock", os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        return False

    def tidy(self) -> None:
        for name in ("records", "logs"):
            (self.path / name).mkdir(exist_ok=True)
        for folder in (self.path, self.path / "records"):
            for left_over in folder.glob("*.tmp"):
                left_over.unlink(missing_ok=True)

    def names(self, folder: str = "") -> list[str]:
        try:
            return sorted(os.listdir(self.path / folder))
        except FileNotFoundError:
            return []

    def get(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def put(self, name: str, content: bytes) -> None:
        with self._written(name, content) as temporary:
            os.replace(temporary, self.path / name)

    def take(self, name: str, path: Path) -> None:
        os.replace(path, self.path / name)

    def put_if_absent(self, name: str, content: bytes) -> bool:
        try:
            with self._written(name, content) as temporary:
                os.link(temporary, self.path / name)
        except FileExistsError:
            return False
        return True

    def move(self, name: str, to: str) -> None:
        os.rename(self.path / name, self.path / to)
        _sync(self.path / to)

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _written(self, name: str, content: bytes) -> Iterator[Path]:
        """A temporary file beside `name`, on the disk; what the caller does with it is, too."""
        path = self.path / name
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
            _sync(path)
        finally:
            # Where nothing can be written nothing can be removed, and the first error tells more.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


class FileLock:
    """An flock on `.lock`, which says the driver's process id. It ends with the process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        self._handle: int | None = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._lock(self._handle)
        except BlockingIOError:
            holder = os.pread(self._handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._handle)
            raise ResultsError(
                f"wanted {folder} for this run, got it in use by process {holder}; "
                "wait for that run, end it, or give another --output"
            ) from None
        except OSError:
            # A file system without locks: commits are exclusive even so, only work may be done
            # twice.
            return
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, str(os.getpid()).encode(), 0)

    @staticmethod
    def _lock(handle: int) -> None:
        """Whoever asks `is_held` holds the lock for a moment; a driver holds it for good."""
        for _ in range(LOOKS):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(GLANCE)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def check(self) -> None:
        """The directory may have been removed, and another run begun under its name."""
        assert self._handle is not None, "released"
        if not os.path.samestat(os.fstat(self._handle), os.stat(self._path)):
            raise ResultsError(
                f"wanted to go on in {self._path.parent}, got another directory of that name: "
                "somebody replaced it during the run; give another --output"
            )

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _sync(path: Path) -> None:
    """The entry of a path in its folder is on the disk."""
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
