"""Programs of candidates, run in the sandbox before their item is graded.

    texts --task.program--> programs, each once --sandbox pool--> verdicts --> records.finish

A program that several candidates wrote runs once: what it does decides what each of them is worth.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from rich.console import Console

from actors.roles import Sandbox
from actors.sandbox.backends import about
from actors.sandbox.config import SANDBOX
from actors.sandbox.types import Program, Verdict
from actors.types import FinishReason, Item, LilliputError
from cluster import Fleet, launch
from pipelines.job import Job
from pipelines.tasks.base import Grade, Task
from results.store import Store

logger = logging.getLogger(__name__)

Verdicts = Mapping[Program, Verdict]


async def verdicts(
    task: Task, item: Item, texts: Iterable[tuple[str, FinishReason]], sandbox: Sandbox | None
) -> Verdicts:
    """Of all programs in an item's texts; empty for a task that runs none. Raises ItemError,
    EngineError.
    """
    if not task.runs_code:
        return {}
    assert sandbox is not None, "Job.pools has one for every task that runs code"
    found = (task.program(item, text, reason) for text, reason in texts)
    programs = list(dict.fromkeys(program for program in found if program is not None))
    runs = [asyncio.ensure_future(sandbox.run(program)) for program in programs]
    try:
        return dict(zip(programs, await asyncio.gather(*runs), strict=True))
    finally:
        # Of those that are still under way the first failure has decided.
        for run in runs:
            run.cancel()


def grade(task: Task, item: Item, text: str, finish_reason: FinishReason, known: Verdicts) -> Grade:
    """A program is right if its tests pass; a text without one is graded by the task."""
    program = task.program(item, text, finish_reason)
    if program is None:
        try:
            return task.grade(item, text, finish_reason)
        except LilliputError:
            raise
        except Exception as error:
            # What no grader was made for, such as a reply of a hundred thousand brackets, must not
            # end every run over this item: it has no verdict, and may be graded again.
            what = f"{type(error).__name__}: {error}"[:300]
            logger.warning("a reply to item %s could not be graded: %s", item.id, what)
            return Grade(answer=None, outcome="ungraded", metrics=())
    verdict = known[program]
    if verdict.outcome == "unsupported":
        logger.warning("a program for item %s has no verdict: %s", item.id, verdict.why)
        return Grade(answer=None, outcome="ungraded", metrics=())
    credit = float(verdict.outcome == "passed")
    metrics = tuple((metric, credit) for metric in task.metrics)
    answer = program.source
    if verdict.outcome == "passed":
        return Grade(answer=answer, outcome="correct", metrics=metrics)
    if verdict.outcome == "timed_out":
        return Grade(answer=answer, outcome="timed_out", metrics=metrics)
    outcome: Literal["truncated", "wrong"] = "truncated" if program.is_cut else "wrong"
    return Grade(answer=answer, outcome=outcome, metrics=metrics)


@asynccontextmanager
async def alone(job: Job) -> AsyncIterator[Fleet | None]:
    """The sandbox's pool and no model, for a job that runs code; None for others."""
    if not job.task.runs_code:
        yield None
        return
    async with launch(job.config.cluster, {SANDBOX: job.pools[SANDBOX]}) as fleet:
        yield fleet


def backends(infos: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """What the replicas of the sandbox found on their machines, and what each guarantees."""
    names = sorted({info["device"] for info in infos if info["model"] == SANDBOX})
    return {name: {"keeps": about(name).keeps, "lacks": about(name).lacks} for name in names}


def note_backends(infos: Iterable[Mapping[str, Any]], store: Store, console: Console) -> None:
    """Print what programs run in, keep it in run.json."""
    found = backends(infos)
    for name, what in found.items():
        said = f"sandbox {name}, self-test passed: {what['keeps']}; but {what['lacks']}"
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    if found:
        store.note(sandbox=found)
