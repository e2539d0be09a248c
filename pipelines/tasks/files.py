"""Rows of local files: one file, a folder of them, or those of a source that are wanted.

One row (or one batch of a columnar file) is in memory at a time.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from actors.formats import FORMATS, UNREADABLE, Format, schema, suffix
from actors.types import ConfigError


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
    is_local: bool
    """The rows are on this machine."""

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
    """A local file; the end of its name says how it is read. `fingerprint` is the sha256 of its
    bytes.
    """

    is_local = True

    def __init__(self, path: Path, formats: Mapping[str, Format] = FORMATS) -> None:
        self.path = path
        self.label = path.name
        self._format = formats[suffix(path, formats)]

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

    @cached_property
    def schema(self) -> Any:
        """See `formats.schema`. Raises ConfigError."""
        try:
            return schema(self.path)
        except UNREADABLE as e:
            raise self._failed(e) from e

    def _failed(self, error: Exception) -> ConfigError:
        return ConfigError(f"can't read {self.path}: {error}")

    @cached_property
    def fingerprint(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class FolderSource:
    """The files of one folder, by name, read as one. A row's label says which file it is from, and
    its number counts within that file.

    Files without a known ending, such as a README, are not read. Raises ConfigError when none is
    left, and when there is more than one kind, which may be the same rows twice.
    """

    is_local = True

    def __init__(self, path: Path, formats: Mapping[str, Format] = FORMATS) -> None:
        self.label = path.name
        kinds = {file: suffix(file, formats) for file in sorted(path.iterdir()) if file.is_file()}
        found = [file for file, kind in kinds.items() if kind]
        if len({kinds[file] for file in found}) != 1:
            held = ", ".join(sorted({kinds[file] for file in found})) or "none"
            raise ConfigError(
                f"source {path} is a directory, where files of one kind are needed "
                f"({', '.join(formats)}); it has: {held}"
            )
        self.files = [FileSource(file, formats) for file in found]

    def rows(self) -> Iterator[Row]:
        for file in self.files:
            yield from file.rows()

    @cached_property
    def num_rows(self) -> int:
        return sum(file.num_rows for file in self.files)

    @cached_property
    def fingerprint(self) -> str:
        """Of the names too: they may say what the rows are about."""
        parts = [(file.label, file.fingerprint) for file in self.files]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class SelectedSource:
    """The rows of a source that `keep` says yes to; `name` is what they are called."""

    def __init__(self, source: Source, keep: Callable[[Row], bool], name: str) -> None:
        self.label = source.label
        self.is_local = source.is_local
        self._source, self._keep, self._name = source, keep, name

    def rows(self) -> Iterator[Row]:
        return filter(self._keep, self._source.rows())

    @cached_property
    def num_rows(self) -> int:
        return sum(1 for _ in self.rows())

    @cached_property
    def fingerprint(self) -> str:
        parts = json.dumps([self._source.fingerprint, self._name])
        return hashlib.sha256(parts.encode()).hexdigest()
