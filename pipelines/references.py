"""What a task's rows say is right, tried before a job that runs code.

    rows with a right program --a handful, by the run's seed--> it must pass, a stub of it must fail

A row whose own program fails can't be solved by anybody: that is a warning, kept with the run. If
none of the handful passes nothing could be right, and the job is refused.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from rich.console import Console

from actors.sandbox.types import Program, Verdict
from actors.types import ConfigError, Item, ItemError
from pipelines.job import Job
from pipelines.tasks.code import CodeTask
from pipelines.tasks.rows import digest
from results.store import Store

HANDFUL = 5

Run = Callable[[Program], Awaitable[Verdict]]


def right_programs(task: CodeTask[Any]) -> dict[str, Program]:
    """By item, of the rows that come with one."""
    return _programs(task, task.solutions())


def _programs(task: CodeTask[Any], solutions: Iterable[tuple[Item, str]]) -> dict[str, Program]:
    found = {}
    for item, source in solutions:
        program = task.program(item, f"```python\n{source}\n```", "stop")
        assert program is not None, "a fenced block is a program"
        found[item.id] = program
    return found


def stub(program: Program) -> Program:
    """One that defines as much and does nothing."""
    source = "".join(f"def {name}(*_, **__):\n    pass\n" for name in program.names)
    return replace(program, source=source)


async def note_references(job: Job, run: Run, store: Store, console: Console) -> None:
    """Try a handful; print what is wrong with them, keep it in run.json, from where it comes into
    the summary. Raises ConfigError, EngineError.
    """
    if not isinstance(job.task, CodeTask):
        return
    found = await doubts(job.task, run, job.config.seed)
    for warning in found:
        console.print(f"warning: {warning}", highlight=False, markup=False, soft_wrap=True)
    store.note(warnings=found)


async def doubts(task: CodeTask[Any], run: Run, seed: int) -> list[str]:
    """What is wrong with a handful of rows. Raises ConfigError: all of it."""
    # No more than a handful is held, however many rows there are.
    drawn = heapq.nsmallest(HANDFUL, task.solutions(), key=lambda one: digest(seed, one[0].id))
    right = _programs(task, drawn)
    picked, programs = [*right], [*right.values()]
    whys = await asyncio.gather(*(_fault(program, run) for program in programs))
    stubs = await asyncio.gather(*(_fault(stub(program), run) for program in programs))
    if picked and all(whys):
        raise ConfigError(
            f"task {task.name}: none of {len(picked)} reference programs passes its own tests in "
            f"the sandbox, so nothing that a model writes could; item {picked[0]}: {whys[0]}"
        )
    failed = [
        f"item {name} can't be solved: its reference program does not pass ({why})"
        for name, why in zip(picked, whys, strict=True)
        if why
    ]
    empty = [
        f"item {name} tests nothing: a program that does nothing passes"
        for name, why in zip(picked, stubs, strict=True)
        if not why
    ]
    return failed + empty


async def _fault(program: Program, run: Run) -> str:
    """Why it does not pass; empty: it does."""
    try:
        verdict = await run(program)
    except ItemError as error:
        return error.message
    return "" if verdict.outcome == "passed" else f"{verdict.outcome}: {verdict.why}".rstrip(": ")
