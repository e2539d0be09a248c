"""The run directory: one driver writes it, shard by shard; anyone reads it, at any time.

    run.json                     manifest, replaced atomically
    records/part-<shard>.arrow   one committed shard; there or not there, never half
    summary.json, report.html    made from the records
    logs/                        whatever the driver logs
    .lock                        held by the driver; says its process id

A commit writes a temporary file beside the final name, syncs it, and links it: the link is made
only if the name is free, so the first attempt wins and a late one is harmless. (A rename would let
the last one win.) Temporary files of a killed driver are never read, and go when the next one opens
the directory.
"""

import fcntl
import json
import os
import re
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from results.errors import ResultsError
from results.parts import write_part
from results.schema import Record, to_table

_NAME = re.compile(r"part-([\w.-]+)\.arrow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was asked, and what is known about how it was done.

    Manifest(identity={"task": {"name": "gsm8k"}, "seed": 0, "data": "9f2c"},
             about={"limited": False, "started": "2026-05-01T12:00:00Z"})
    """

    identity: dict[str, Any]
    """All that decides results, as JSON. A directory takes no other. `data`: fingerprint of the
    rows."""
    digest: str = ""
    """Of the identity; filled in when empty."""
    about: dict[str, Any] = field(default_factory=dict)
    """Versions, hardware, started, finished, usage; `limited`: the items are a subset."""

    def __post_init__(self) -> None:
        if not self.digest:
            text = json.dumps(self.identity, sort_keys=True)
            object.__setattr__(self, "digest", sha256(text.encode()).hexdigest()[:16])

    @property
    def limited(self) -> bool:
        return bool(self.about.get("limited"))


class Store:
    """The one writer of a run directory. Open it with `Store.open`; it is a context manager."""

    def __init__(self, directory: Path, manifest: Manifest, lock: int) -> None:
        self.directory = directory
        self.manifest = manifest
        self._lock: int | None = lock

    @classmethod
    def open(cls, directory: str | Path, manifest: Manifest, *, fresh: bool = False) -> Self:
        """Create the directory, or continue in it if its identity is the same.

        `fresh` takes the first of `NAME`, `NAME-2`, `NAME-3`, ... that doesn't exist. Entries of
        `about` that are already in run.json stay unless `manifest.about` has them too.

        Raises ResultsError: another identity (names the field), another driver at work, foreign
        files, no access.
        """
        path = fresh_directory(directory) if fresh else Path(directory)
        try:
            path.mkdir(parents=True, exist_ok=True)
            _refuse_foreign(path)
            lock = _lock(path)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            store = cls(path, _settle(path, manifest), lock)
            store._prepare()
        except OSError as error:
            os.close(lock)
            raise _unwritable(path, error) from error
        except BaseException:  # Whatever it is, the lock mustn't outlive the attempt.
            os.close(lock)
            raise
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another driver in. Does nothing the second time."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def committed(self) -> set[str]:
        """Ids of the shards that are in `records/`."""
        names = map(_NAME.fullmatch, os.listdir(self.directory / "records"))
        return {name[1] for name in names if name}

    def commit(self, shard_id: str, records: Iterable[Record]) -> bool:
        """Keep a shard's records for good. False: the shard was committed before, and stays as it
        was.

        Raises ResultsError when the file can't be written; nothing is kept then.
        """
        name = f"part-{shard_id}.arrow"
        assert _NAME.fullmatch(name), f"not a file name: {shard_id!r}"
        folder = self.directory / "records"
        temporary = folder / f"{name}.{uuid.uuid4().hex}.tmp"
        try:
            write_part(temporary, shard_id, to_table(records))
            os.link(temporary, folder / name)
            _sync_directory(folder)
        except FileExistsError:
            return False
        except OSError as error:
            raise _unwritable(folder / name, error) from error
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def note(self, **about: Any) -> None:
        """Put entries into run.json's `about`, replacing those of the same name.

        Raises ResultsError when the file can't be written; it stays as it was then.
        """
        manifest = replace(self.manifest, about={**self.manifest.about, **about})
        write_json(self.directory / "run.json", asdict(manifest))
        self.manifest = manifest

    def _prepare(self) -> None:
        # First of all, because a directory that has other content and no run.json is foreign.
        write_json(self.directory / "run.json", asdict(self.manifest))
        for name in ("records", "logs"):
            (self.directory / name).mkdir(exist_ok=True)
        for folder in (self.directory, self.directory / "records"):
            for left_over in folder.glob("*.tmp"):
                left_over.unlink(missing_ok=True)


def fresh_directory(path: str | Path) -> Path:
    """`path` itself, or with -2, -3, ... appended: the first that doesn't exist or is empty."""
    path, count = Path(path), 1
    found = path
    while found.exists() and not (found.is_dir() and not any(found.iterdir())):
        count += 1
        found = path.with_name(f"{path.name}-{count}")
    return found


def read_manifest(run_dir: str | Path) -> Manifest:
    """The manifest of a run directory. Raises ResultsError where there is none, or a broken one."""
    path = Path(run_dir) / "run.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Manifest(identity=kept["identity"], digest=kept["digest"], about=kept["about"])
    except FileNotFoundError:
        raise ResultsError(
            f"wanted a run directory, got {run_dir} without run.json; "
            "give the directory that `lilliput run` printed"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(
            f"wanted a manifest in {path}, got {error!r}; "
            "restore the file, or run again in another directory"
        ) from error


def write_json(path: Path, content: object) -> None:
    """Replace a JSON file as a whole: a reader sees the old one or the new one.

    Raises ResultsError when it can't be written.
    """
    text = json.dumps(content, indent=2, allow_nan=False, default=str) + "\n"
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_directory(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def first_difference(wanted: Any, got: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """Dotted name and the two values of the first place where two JSON values differ; None:
    equal."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        missing = "(absent)"
        # In the order given: what a user wrote comes before what was derived from it.
        for key in dict.fromkeys([*wanted, *got]):
            inner = f"{name}.{key}" if name else key
            found = first_difference(wanted.get(key, missing), got.get(key, missing), inner)
            if found:
                return found
        return None
    return None if wanted == got else (name, wanted, got)


def _settle(path: Path, manifest: Manifest) -> Manifest:
    """The manifest to go on with: the one that is there, if its identity is the same."""
    asked = json.loads(json.dumps(asdict(manifest), default=str))
    if not (path / "run.json").exists():
        return Manifest(**asked)
    kept = read_manifest(path)
    if not any((path / "records").glob("part-*.arrow")):
        # Nothing was committed under the old identity, so nothing can be mixed up.
        return Manifest(**asked)
    difference = first_difference(kept.identity, asked["identity"])
    if difference:
        name, wanted, got = difference
        raise ResultsError(
            f"{path} holds a run with {name} = {wanted!r}, got {name} = {got!r}; "
            "give another --output, or --fresh to begin beside it"
        )
    # Where and when the first part was made stays known; each later start adds its own.
    first = {**asked["about"], **kept.about}
    starts = [*kept.about.get("continued", []), asked["about"]]
    about = {**first, "continued": starts} if kept.about.get("started") else first
    return Manifest(identity=kept.identity, digest=kept.digest, about=about)


def _refuse_foreign(path: Path) -> None:
    if (path / "run.json").exists():
        return
    # A driver killed before its first run.json leaves these two.
    foreign = [x.name for x in path.iterdir() if x.name != ".lock" and x.suffix != ".tmp"]
    if foreign:
        raise ResultsError(
            f"wanted an empty or a run directory, got {path} with {min(foreign)!r} "
            "and no run.json; give another --output"
        )


def _lock(path: Path) -> int:
    handle = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise ResultsError(
            f"wanted {path} for this run, got it in use by process {holder}; "
            "wait for that run, end it, or give another --output"
        ) from None
    except OSError:
        # A file system without locks: commits are exclusive even so, only work may be done twice.
        return handle
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(path: Path, error: OSError) -> ResultsError:
    return ResultsError(
        f"wanted to write {path}, got {error.strerror or error}; "
        "check access, free space and hard links there, or give another --output"
    )
