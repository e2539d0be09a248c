"""What every method page shares: what `solve` returns, and the table of methods.

A method is a module with three things, in this order:

    Config                                             its knobs
    async solve(item, config, *, roles...)             item -> Solution; the only part that asks
                                                       models
    answers(candidates, config, *, metrics, scales)    graded candidates -> answers; pure, so it can
                                                       be run again later

Grading stands between the last two and belongs to the task.
"""

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actors.types import Candidate, ConfigError, Score

METHODS: Mapping[str, str] = {"rank": "pipelines.rank"}
"""Name to module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What a method got from its roles for one item."""

    candidates: tuple[Candidate, ...]
    scores: Mapping[str, tuple[Score | None, ...]]
    """By scorer; one entry for each candidate, None where it was not asked."""


def load_method(name: object) -> Any:
    """The module of that method. Raises ConfigError that lists the known ones."""
    if not isinstance(name, str) or name not in METHODS:
        raise ConfigError(f"pipeline.name: unknown pipeline {name!r}; known: {', '.join(METHODS)}")
    return importlib.import_module(METHODS[name])


def needed_roles(method: Any) -> list[str]:
    """The roles that the method asks for: the keyword-only arguments of its `solve`."""
    parameters = inspect.signature(method.solve).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
