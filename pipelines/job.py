"""A job: a run config with everything looked up and checked that can be, before any model loads.

`prepare` is what `validate`, `--dry-run` and `run` share. What it lets through may still fail on
the cluster, but never for a name, a type, a file or a row that could have been refused here.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from actors import engines
from actors.config import ModelConfig, Placement, parse
from actors.engines.replay import source_fingerprint
from actors.judge_table import JUDGES, about
from actors.models import BUNDLED_PREFIX, fingerprint, resolve
from actors.scorer_table import SCORERS, scale_of
from actors.types import ConfigError, Item
from pipelines import graders
from pipelines.base import load_method
from pipelines.config import RunConfig
from pipelines.methods.votes import WeightKind
from pipelines.pools import pools, sandbox_identity
from pipelines.ranking import check_rankers, check_replays
from pipelines.roles import check_roles
from pipelines.tasks import load_task, task_config
from pipelines.tasks.base import Task
from results.store import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A slice of a task's items that is committed whole."""

    id: str
    items: tuple[Item, ...]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A checked run."""

    config: RunConfig
    task: Task
    method: Any
    method_config: Any
    identity: Mapping[str, Any]
    """All that decides results, as plain data: a run directory goes on only under the same
    identity."""

    @cached_property
    def digest(self) -> str:
        """Hash of the identity."""
        return Manifest(identity=dict(self.identity)).digest

    @property
    def scales(self) -> dict[str, WeightKind]:
        """How each scorer's values become voting weights."""
        scorers = self.config.roles.scorers
        return {name: scale_of(s, self.config.models) for name, s in scorers.items()}

    @property
    def relative(self) -> frozenset[str]:
        """Scorers whose scores hold for all candidates of an item together only."""
        scorers = self.config.roles.scorers
        return frozenset(name for name, s in scorers.items() if SCORERS[s.kind].is_relative)

    @property
    def pools(self) -> dict[str, Placement]:
        """All that the cluster hosts for this run, by name."""
        return pools(self.config, self.task)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The task's, or else its graders."""
        return self.task.metrics or tuple(self.config.roles.graders)

    @cached_property
    def ranges(self) -> graders.Ranges:
        """The scores of each grader that are worth 0 and 1."""
        return graders.ranges(self.config.roles, self.identity.get("judges", {}))

    @property
    def shard_size(self) -> int:
        """Items per shard: fixed by the config and the data."""
        return self.config.shard_size or max(16, min(1024, -(-self.task.num_items // 256)))

    @property
    def num_shards(self) -> int:
        """Shards of the whole task."""
        return -(-self.task.num_items // self.shard_size)

    def check_rows(self) -> int:
        """Read every item once, so that a bad row is refused before a model loads; returns their
        number. A hub's rows are fetched while they are used, so those aren't read twice.

        Raises ConfigError.
        """
        if not self.task.is_local:
            return self.task.num_items
        return sum(1 for _ in self.task.items())

    def shards(self) -> Iterator[Shard]:
        """All shards, lazily, in order. Raises ConfigError at a bad row."""
        items = self.task.items()
        for index in range(self.num_shards):
            yield Shard(id=self.shard_id(index), items=tuple(islice(items, self.shard_size)))

    def shard_id(self, index: int) -> str:
        """Of the plan, never of replicas, time or actors."""
        text = f"{self.digest}|{index}|{self.shard_size}"
        return f"{index:06d}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def method_of(config: RunConfig) -> tuple[Any, Any]:
    """The method and its config, after all checks that need neither data nor model files. Raises
    ConfigError.
    """
    method = load_method(config.pipeline.get("name"))
    settings = {key: value for key, value in config.pipeline.items() if key != "name"}
    method_config = parse(method.Config, settings, "pipeline")
    for name, model in config.models.items():
        engines.check(name, model)
    check_roles(config, method)
    return method, method_config


def prepare(config: RunConfig) -> Job:
    """Look up and check everything. Raises ConfigError."""
    method, method_config = method_of(config)
    models = {name: _model_identity(name, model) for name, model in config.models.items()}
    task = load_task(config.task)
    draws = check_rankers(config, method_config)
    check_replays(config, method_config)
    if config.pipeline["name"] == "choice":
        _check_choices(task)
    rankers = getattr(method_config, "rankers", ())
    graders.check(config.roles, task, config.pipeline["name"], rankers, draws=draws)
    identity = {
        "task": task_config(config.task).model_dump(mode="json"),
        "data": task.data,
        "fingerprint": task.fingerprint,
        "pipeline": {"name": config.pipeline["name"], **method_config.model_dump(mode="json")},
        "models": models,
        "roles": config.roles.model_dump(mode="json"),
        "seed": config.seed,
        "shard_size": config.shard_size,
    }
    identity |= sandbox_identity(config, task)
    asked = {**config.roles.scorers, **config.roles.graders}
    judges = {name: about(scorer) for name, scorer in asked.items() if scorer.kind in JUDGES}
    if judges:
        # With the text of their prompts, of which a config has only the names.
        identity["judges"] = judges
    return Job(
        config=config, task=task, method=method, method_config=method_config, identity=identity
    )


def regrading(config: RunConfig, identity: Mapping[str, Any]) -> Job:
    """A job that only grades and ranks what an earlier run drew: no model or data file is needed.

    Its identity is the earlier one with the grading and ranking settings of `config`. Raises
    ConfigError.
    """
    method = load_method(config.pipeline.get("name"))
    settings = {key: value for key, value in config.pipeline.items() if key != "name"}
    method_config = parse(method.Config, settings, "pipeline")
    check_rankers(config, method_config)
    task = load_task(config.task, grading_only=True)
    changed = {
        "task": task_config(config.task).model_dump(mode="json"),
        "pipeline": {"name": config.pipeline["name"], **method_config.model_dump(mode="json")},
    }
    return Job(
        config=config,
        task=task,
        method=method,
        method_config=method_config,
        identity={**identity, **changed, **sandbox_identity(config, task)},
    )


def _check_choices(task: Task) -> None:
    item = next(task.items())
    if not item.prompt:
        raise ConfigError(
            f"task {task.name}: its items have no choices to score by likelihood; pipeline choice "
            "needs a multiple-choice task (`lilliput ls tasks`), pipeline rank draws candidates"
        )


def _model_identity(name: str, model: ModelConfig) -> dict[str, Any]:
    """What decides a model's output: its settings without placement, and what its files say they
    are.
    """
    identity = model.model_dump(mode="json", exclude=set(Placement.model_fields))
    if model.engine == "replay":
        identity["files"] = source_fingerprint(Path(model.path))
    if engines.ENGINES[model.engine].weights:
        try:
            found = resolve(model)
            # A commit pins a hub model's weights, a bundled one's are checked; a directory's may
            # have been trained on since.
            own = found.is_local and not model.path.startswith(BUNDLED_PREFIX)
            identity["files"] = fingerprint(found.path, weights=own)
            longest = engines.ENGINES[model.engine].longest(found.path)
            engines.ENGINES[model.engine].check_files(found.path)
        except ConfigError as error:
            raise ConfigError(f"models.{name}: {error}") from None
        identity["commit"] = found.revision
        if model.context is not None and model.context > longest:
            raise ConfigError(
                f"models.{name}.context: wanted at most the model's {longest}, got {model.context}"
            )
    return identity
