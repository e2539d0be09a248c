"""`lilliput check-sandbox`: the sandbox's self-test alone, in this process; with a task, all of its
reference programs too, and a stub in the place of each.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from actors.config import parse
from actors.sandbox.backends import about
from actors.sandbox.checks import self_test
from actors.sandbox.config import SANDBOX, SandboxConfig
from actors.sandbox.host import choose
from actors.sandbox.runs import run
from actors.sandbox.types import Program, Verdict
from actors.types import ConfigError, ItemError
from pipelines.config import merge
from pipelines.references import right_programs, stub
from pipelines.tasks import load_task
from pipelines.tasks.code import CodeTask

MOST_NAMED = 12
"""Items that a line names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One check, as a line of the terminal."""

    name: str
    ok: bool
    text: str


def check_sandbox(task: str | None, overrides: Sequence[str]) -> Iterator[Line]:
    """Find the backend and try all that a run tries before its first program; `overrides` are of
    `sandbox` and `task`, as in a run config. Raises ConfigError: no backend works here, something
    got through, or the task runs no code.
    """
    written = merge({SANDBOX: {}, "task": {"name": task}}, overrides, "check-sandbox")
    config = parse(SandboxConfig, written[SANDBOX], SANDBOX)
    loaded = _loaded(written["task"]) if task else None
    backend, command = asyncio.run(choose(config))
    yield from described(backend)
    for name, verdict in asyncio.run(self_test(config, backend)).items():
        text = ": ".join(filter(None, [verdict.outcome, verdict.why.rstrip(": ")]))
        yield Line(name=name, ok=True, text=text)
    if loaded:
        yield from _references(loaded, config, command)


def described(backend: str) -> Iterator[Line]:
    """What a backend keeps programs from, and what it doesn't."""
    found = about(backend)
    yield Line(name=f"sandbox {backend}", ok=True, text=found.keeps)
    yield Line(name="not kept", ok=True, text=found.lacks)


def _loaded(section: dict[str, object]) -> CodeTask[Any]:
    task = load_task(section)
    if not isinstance(task, CodeTask):
        raise ConfigError(f"--task {section['name']}: it runs no code; try humaneval")
    return task


def _references(
    task: CodeTask[Any], config: SandboxConfig, command: Sequence[str]
) -> Iterator[Line]:
    right = right_programs(task)
    if not right:
        yield Line(name=task.name, ok=False, text="no row comes with a right program")
        return
    stubs = {name: stub(program) for name, program in right.items()}
    for what, programs, wanted in (("reference", right, True), ("stub", stubs, False)):
        begin = time.monotonic()
        verdicts = asyncio.run(_run_all(list(programs.values()), config, command))
        seconds = time.monotonic() - begin
        passed = [verdict.outcome == "passed" for verdict in verdicts]
        odd = [name for name, did in zip(programs, passed, strict=True) if did != wanted]
        named = f"; not as wanted: {', '.join(odd[:MOST_NAMED])}" if odd else ""
        more = f" and {len(odd) - MOST_NAMED} more" if len(odd) > MOST_NAMED else ""
        yield Line(
            name=f"{task.name}, {what} programs",
            ok=not odd,
            text=f"{sum(passed)} of {len(passed)} pass, in {seconds:.1f} s "
            f"({len(passed) / seconds:.0f} a second){named}{more}",
        )


async def _run_all(
    programs: Sequence[Program], config: SandboxConfig, command: Sequence[str]
) -> list[Verdict]:
    gate = asyncio.Semaphore(config.replicas.min * config.room)

    async def one(program: Program) -> Verdict:
        async with gate:
            try:
                return await run(program, command, config.wall_seconds)
            except ItemError as error:
                return Verdict(outcome="failed", why=str(error))

    return list(await asyncio.gather(*map(one, programs)))
