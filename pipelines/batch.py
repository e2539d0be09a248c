"""`lilliput reward`, `judge` and `rank`: score a data set of replies, each row on its own.

    DATA --task `data`--> items with their replies --pipeline `given`--> records --> scored file

They are runs like any other: the same directory, faults, runners and resumption. This page makes
their config from the command line; `scored` joins the scores with the columns of the data.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Any

from actors.judge_prompts import prompt_of
from actors.judge_table import JUDGES
from actors.scorer_table import SCORERS
from actors.types import ConfigError
from pipelines.config import RunConfig, override
from pipelines.job import Job
from pipelines.methods.rewardbench import half_widths, scores
from pipelines.tasks.data import Data
from pipelines.writers import columns
from results.categories import CategoryRow
from results.fetching import fetch, is_object
from results.summary import Summary

UNKNOWN_TO_GIVEN = ("mean_logprob", "self_certainty", "recorded")
"""Scorers that read what a candidate came with when it was drawn."""
COLUMNS = {
    **{part: part for part in ("prompt", "response", "messages", "chosen", "rejected")},
    "candidates": "candidates",
    "subset": "subset_field",
}
"""Parts of a row, and the key of the task's config that names its column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line asks for."""

    data: str
    scorer: str
    """A scorer's kind."""
    name: str
    """What the new columns begin with."""
    model: str
    engine: str
    columns: Mapping[str, str]
    """The data's column for each part of a row (`tasks.data`)."""
    overrides: Sequence[str] = ()


def parsed_columns(given: Sequence[str]) -> dict[str, str]:
    """`PART=NAME` from the command line. Raises ConfigError."""
    pairs = dict(one.partition("=")[::2] for one in given)
    for part, name in pairs.items():
        if part not in COLUMNS or not name:
            known = ", ".join(COLUMNS)
            raise ConfigError(f"--column {part}: wanted PART=NAME, with a part of {known}")
    return pairs


def config_of(request: Request) -> RunConfig:
    """The run; an object of a store is fetched first. Raises ConfigError for what can't be made a
    run, ResultsError for what can't be fetched.
    """
    if request.scorer in UNKNOWN_TO_GIVEN:
        raise ConfigError(
            f"{request.scorer}: replies of a data set come without what it reads; likelihood asks "
            "a model how likely it finds them"
        )
    if not re.fullmatch(r"\w+", request.name):
        raise ConfigError(f"--as {quote(request.name)}: wanted letters, digits and underscores")
    stem = Path(request.data.rstrip("/")).name.partition(".")[0] or "data"
    columns = {COLUMNS[part]: name for part, name in request.columns.items()}
    source = str(fetch(request.data)) if is_object(request.data) else request.data
    written = {
        "name": f"{stem}-{request.name}",
        "task": {"name": "data", "source": source, **columns},
        "pipeline": {"name": "given"},
        "models": {"model": {"path": request.model, "engine": request.engine}},
        "roles": {
            "generator": "model",
            "scorers": {request.name: {"kind": request.scorer, "model": "model"}},
        },
    }
    config = override(written, request.overrides, f"lilliput {request.scorer}")
    for key, part, name in (("task", config.task, "data"), ("pipeline", config.pipeline, "given")):
        if part.get("name") != name:
            raise ConfigError(
                f"{key}.name: wanted {name}, which scores a data set, got {part.get('name')}; "
                "take it out, or give a config to `lilliput run`"
            )
    return config


def guessed(job: Job) -> str:
    """Which columns are read as what, for the user to see."""
    task: Any = job.task
    assert isinstance(task, Data), "of a job that `config_of` made"
    return ", ".join(f"{part} = {name!r}" for part, name in task.columns.items())


def sections(summary: Summary) -> list[str]:
    """RewardBench's sections and score, a line for each scorer; none for other data."""
    found: dict[str, dict[str, CategoryRow]] = {}
    for row in summary.categories:
        if row.metric == "accuracy":
            found.setdefault(row.method, {})[row.category] = row
    lines = []
    for method, rows in found.items():
        values = scores({name: row.value for name, row in rows.items()})
        if values:
            halves = half_widths({name: (row.high - row.low) / 2 for name, row in rows.items()})
            figures = [f"{name} {v:.1%} ± {100 * halves[name]:.1f}" for name, v in values.items()]
            lines.append(f"{method}: {', '.join(figures)} (RewardBench's weights)")
    return lines


def check_names(job: Job) -> None:
    """Refuse data that has a column of a name that will be added, in any row. Raises
    ConfigError.
    """
    task: Any = job.task
    source = task.source
    own = columns(source)
    if own is not None:
        there = {*own.names}
    else:
        # The rows of a hub have the same columns, and aren't fetched twice.
        rows = source.rows() if source.is_local else islice(source.rows(), 1)
        there = {name for row in rows for name in row.fields}
    scorers = tuple(job.config.roles.scorers)
    heads = tuple(f"{scorer}_" for scorer in scorers)
    taken = sorted(name for name in there if name in scorers or name.startswith(heads))
    if taken:
        raise ConfigError(
            f"the data has a column {taken[0]!r}, and what is found would be written under names "
            f"like that; give them another with --as NAME"
        )


def check_compared(job: Job) -> None:
    """Refuse data of one reply a row for a scorer that compares the replies of a row: alone, each
    would get the same score; and all data for one that compares with a reference, which they don't
    have. Raises ConfigError.
    """
    task: Any = job.task
    for name, scorer in job.config.roles.scorers.items():
        if SCORERS[scorer.kind].is_relative and task.form == "one":
            raise ConfigError(
                f"{name}: it compares a row's replies, and the data has one reply a row; wanted "
                "chosen and rejected, or a list of candidates"
            )
        if scorer.kind == "judge_versus" or (
            scorer.kind in JUDGES
            and "{reference}" in prompt_of(scorer, JUDGES[scorer.kind].form).prompt
        ):
            raise ConfigError(
                f"{name}: it reads a reference, and the data has none; wanted another scorer, or a "
                "prompt without {reference}"
            )
