"""What every method page shares: what `solve` returns, and the table of methods.

A method is a module with these, in this order:

    Config                                             its knobs
    async solve(item, config, *, roles...)             item -> Solution; the only part that asks
                                                       models
    prompt(item)                                       the messages that `solve` sends first
    sends(config)                                      how often it sends them
    requests(config, num_items)                        what it will ask for, in words
    answers(pools, config, *, of what is known...)     graded candidates of many items -> what is
                                                       answered to each; pure, so it can be run
                                                       again later

What `solve` and `answers` take by keyword alone is what they are given: roles, and of a run its
`metrics`, `scales`, `relative` and `shares` (`pipelines.records.answered`).

Grading stands between `solve` and `answers` and belongs to the task.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from actors.types import Candidate, ConfigError, Message, Score

METHODS: Mapping[str, str] = {
    "rank": "pipelines.rank",
    "choice": "pipelines.choice",
    "given": "pipelines.given",
    "chat": "pipelines.chat",
    "decoding": "pipelines.decoding",
}
"""Name to module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """`Usage(role="discriminator", model="small", requests=8, tokens=620)`."""

    role: str
    model: str
    requests: int
    tokens: int
    """Read by the model, cached or not."""
    generated: int = 0
    """Tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What a method got from its roles for one item."""

    candidates: tuple[Candidate, ...]
    scores: Mapping[str, tuple[Score | None, ...]]
    """By scorer; one entry for each candidate, None where it was not asked."""
    asked: tuple[Message, ...] = ()
    """The prompt, where it isn't the item's own `messages`."""
    usage: tuple[Usage, ...] = ()
    """What roles other than the generator of draws and the scorers read."""


def load_method(name: object) -> Any:
    """The module of that method. Raises ConfigError that lists the known ones."""
    if not isinstance(name, str) or name not in METHODS:
        raise ConfigError(f"pipeline.name: unknown pipeline {name!r}; known: {', '.join(METHODS)}")
    return importlib.import_module(METHODS[name])


def needed_roles(method: Any) -> list[str]:
    """The roles that the method asks for."""
    return keywords(method.solve)


def keywords(function: Callable[..., Any]) -> list[str]:
    """The keyword-only arguments."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
