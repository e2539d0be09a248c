"""What the cluster hosts for a run: its models, and the sandbox where its task runs code."""

from typing import Any

from actors.config import Placement, Replicas
from actors.sandbox.config import SANDBOX
from actors.types import ConfigError
from pipelines.config import RunConfig
from pipelines.tasks.base import Task


def pools(config: RunConfig, task: Task) -> dict[str, Placement]:
    """By name. Every runner gets a replica of the sandbox unless the config says how many."""
    hosted: dict[str, Placement] = dict(config.models)
    if task.runs_code:
        sandbox, least = config.sandbox, config.cluster.runners
        if "replicas" not in sandbox.model_fields_set and least > sandbox.replicas.min:
            update = {"replicas": Replicas(min=least, max=least)}
            sandbox = sandbox.model_copy(update=update)
        hosted[SANDBOX] = sandbox
    return hosted


def sandbox_identity(config: RunConfig, task: Task) -> dict[str, Any]:
    """What decides verdicts; nothing for a task that runs no code. Raises ConfigError: a model has
    the pool's name.
    """
    if not task.runs_code:
        return {}
    if SANDBOX in config.models:
        raise ConfigError(
            f"models.{SANDBOX}: task {task.name} runs code in a pool of that name; rename the model"
        )
    return {SANDBOX: config.sandbox.limits}
