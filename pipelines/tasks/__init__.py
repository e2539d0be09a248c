"""Benchmarks: data, prompt and grading. No model, no cluster.

A task is named in TASKS and imported when it is chosen.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from actors.config import parse
from actors.types import ConfigError

if TYPE_CHECKING:
    from pipelines.tasks.base import Task, TaskConfig
    from pipelines.tasks.rows import RowTask

TASKS: dict[str, str] = {
    "arithmetic": "pipelines.tasks.arithmetic:Arithmetic",
    "custom": "pipelines.tasks.custom:Custom",
    "data": "pipelines.tasks.data:Data",
    "gsm8k": "pipelines.tasks.gsm8k:Gsm8k",
    "chat": "pipelines.tasks.chat:Chat",
    "arc_challenge": "pipelines.tasks.arc:ArcChallenge",
    "arc_easy": "pipelines.tasks.arc:ArcEasy",
    "alpaca_eval": "pipelines.tasks.open_ended:AlpacaEval",
    "arena_hard": "pipelines.tasks.open_ended:ArenaHard",
    "wildbench": "pipelines.tasks.open_ended:WildBench",
    "mixeval": "pipelines.tasks.mixeval:MixEval",
    "hellaswag": "pipelines.tasks.hellaswag:HellaSwag",
    "hhh": "pipelines.tasks.hhh:Hhh",
    "humaneval": "pipelines.tasks.humaneval:HumanEval",
    "lm_eval:NAME": "pipelines.tasks.lm_eval:LmEval",
    "math500": "pipelines.tasks.math500:Math500",
    "mbpp": "pipelines.tasks.mbpp:Mbpp",
    "mmlu": "pipelines.tasks.mmlu:Mmlu",
    "programs": "pipelines.tasks.programs:Programs",
    "race_high": "pipelines.tasks.race:RaceHigh",
    "race_middle": "pipelines.tasks.race:RaceMiddle",
    "truthfulqa_mc1": "pipelines.tasks.truthfulqa:TruthfulQaMc1",
    "truthfulqa_mc2": "pipelines.tasks.truthfulqa:TruthfulQaMc2",
}
"""The name in a config and where its class is. NAME is any of the harness's own."""


def task_class(name: str) -> "type[RowTask[Any]]":
    """Import the class of a task. Raises ConfigError that lists the known names."""
    key = "lm_eval:NAME" if name.startswith("lm_eval:") else name
    if key not in TASKS:
        raise ConfigError(f"no task is called {name!r}; known: {', '.join(TASKS)}")
    module, _, attribute = TASKS[key].partition(":")
    found: type[RowTask[Any]] = getattr(import_module(module), attribute)
    return found


def task_config(config: Mapping[str, Any]) -> "TaskConfig":
    """Validate the `task` section of a config.

    Raises ConfigError with one line for each problem: the field, what is wrong, what was given; for
    an unknown key the nearest known one.
    """
    name = config.get("name")
    if not isinstance(name, str):
        raise ConfigError(f"task.name is missing: set it to one of {', '.join(TASKS)}")
    return parse(task_class(name).Config, config, "task")


def summary(name: str) -> str:
    """What the task is, in one line. Raises ConfigError for an unknown name."""
    module = import_module(task_class(name).__module__)
    return (module.__doc__ or "").partition("\n")[0]


def load_task(config: Mapping[str, Any], *, grading_only: bool = False) -> "Task":
    """Validate the `task` section of a config and open the task.

    With `grading_only` no row is read, so the source need not be there any more. Raises ConfigError
    for a section that `task_config` refuses, and for a source that isn't there, is empty, or whose
    first row can't be used.
    """
    validated = task_config(config)
    task: Task = task_class(validated.name)(validated, grading_only=grading_only)
    return task
