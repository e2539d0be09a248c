"""A run while it works: the fleet up, items flowing, the world told, and how it is made to stop.

    Ctrl-C, TERM, `lilliput stop` --first--> no shard is begun, open ones are finished and committed
                                  --second-> everything is dropped at once
    heartbeat, every BEAT seconds --> display, status.json; sees the wish of `lilliput stop`

While the fleet starts there is nothing to finish, so the first is already the second.
"""

import asyncio
import contextlib
import os
import platform
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from rich.console import Console

from actors.types import ConfigError, ItemError, Preview
from cluster import fallen
from pipelines.crew import Crew, assemble
from pipelines.exits import FAILED, INTERRUPTED
from pipelines.job import Job
from pipelines.progress import Progress
from pipelines.references import note_references
from pipelines.tested import note_backends
from results.errors import ResultsError
from results.store import Store

BEAT = 1.0
"""Seconds between two looks at the run."""


def work_off(runs: Sequence[tuple[Job, Store]], console: Console, *, as_json: bool) -> bool:
    """Start the fleet, commit what these runs owe, one after the other, stop the fleet. All of them
    are of one config. Notes in each run.json the seconds and tokens of each phase. Returns whether
    every run is complete.

    Raises KeyboardInterrupt when it is told twice to stop, and what `runner.run` raises.
    """
    try:
        return asyncio.run(_work_off(runs, console, as_json))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


class _Wish:
    """To stop: `event` for a stop after the open shards; the second time the task is cancelled."""

    def __init__(self, task: "asyncio.Task[Any]", console: Console) -> None:
        self.event = asyncio.Event()
        self.progress: Progress | None = None
        """None while there is nothing to finish."""
        self.console = console
        self._task = task

    def stop(self) -> None:
        """One more wish."""
        if self.progress is None or self.event.is_set():
            self._task.cancel()
            return
        self.event.set()
        self.console.print(
            f"stopping: {self.progress.num_open} open items and their shards are finished first; "
            "Ctrl-C again leaves at once",
            highlight=False,
        )


@contextlib.contextmanager
def _signals(wish: _Wish) -> Iterator[None]:
    """A TERM from a scheduler is a Ctrl-C."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, wish.stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _work_off(runs: Sequence[tuple[Job, Store]], console: Console, as_json: bool) -> bool:
    main = asyncio.current_task()
    assert main is not None
    wish = _Wish(main, console)
    begin = time.monotonic()
    first = runs[0][0]
    pools = {name: pool for job, _ in runs for name, pool in job.pools.items()}
    names = ", ".join(f"{name} x{pool.replicas}" for name, pool in pools.items())
    with _signals(wish):
        console.print(f"starting {names}", highlight=False)
        async with assemble(runs) as crew:
            await crew.look()
            ready = time.monotonic() - begin
            console.print(f"{names} healthy after {ready:.1f} s", highlight=False)
            for job, store in runs:
                if len(runs) > 1:
                    console.print(f"{job.config.name}: {job.task.num_items:,} items")
                await _one_run(job, store, crew, wish, ready if job is first else 0.0, as_json)
                if wish.event.is_set():
                    break
    return not wish.event.is_set()


async def _one_run(
    job: Job, store: Store, crew: Crew, wish: _Wish, ready: float, as_json: bool
) -> None:
    store.note(replicas=list(crew.infos()))
    if job.task.runs_code:
        note_backends(crew.infos(), store, wish.console)
        await note_references(job, crew.test, store, wish.console)
    await _note_prompt(job, store, crew, wish.console)
    restarts, busy = crew.restarts, crew.busy_seconds
    with Progress(wish.console, job.task.num_items, crew, as_json=as_json) as progress:
        wish.progress = progress
        async with _heartbeat(store, progress, crew, wish):
            complete = await crew.run(job, store, progress, wish.event)
            await crew.look()
    worked = {name: s - busy.get(name, 0.0) for name, s in crew.busy_seconds.items()}
    timing = {
        "start_seconds": round(ready, 3),
        "run_seconds": round(progress.seconds, 3),
        "tokens": progress.tokens,
        "restarts": crew.restarts - restarts,
        "busy_seconds": {name: round(seconds, 3) for name, seconds in worked.items()},
        "device_seconds": {
            name: {
                "cpu": 0.0 if model.gpus else round(worked.get(name, 0.0) * model.cpus, 3),
                "gpu": round(worked.get(name, 0.0) * model.gpus, 3),
            }
            for name, model in job.config.models.items()
        },
        "stopped": not complete,
    }
    store.note(timing=[*store.manifest.about.get("timing", []), timing])


@contextlib.asynccontextmanager
async def _heartbeat(
    store: Store, progress: Progress, crew: Crew, wish: _Wish
) -> AsyncIterator[None]:
    """Tell the world how things stand until the run ends, and how it ended."""

    def say(state: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        about = {"pid": os.getpid(), "host": platform.node(), "updated": now}
        # A full disk shows where records are written; that nobody can watch must not end a run.
        with contextlib.suppress(ResultsError):
            store.say(state=state, **about, **progress.snapshot())

    async def beat() -> None:
        while True:
            if gone := fallen():
                say("failed")
                _leave(gone, interrupted=wish.event.is_set())
            await crew.look()
            progress.tick()
            await asyncio.to_thread(say, "stopping" if wish.event.is_set() else "running")
            if not wish.event.is_set() and await asyncio.to_thread(store.asked_to_stop):
                wish.stop()
            await asyncio.sleep(BEAT)

    beating = asyncio.create_task(beat())
    end = "failed"
    try:
        yield
        end = "interrupted" if wish.event.is_set() else "finished"
    except asyncio.CancelledError:
        end = "interrupted"
        raise
    finally:
        beating.cancel()
        say(end)


def _leave(process: str, *, interrupted: bool) -> NoReturn:
    """End this process at once: without its head Ray can't be shut down, and after a minute it
    would end the process itself, without a word to the user.
    """
    print(
        f"lilliput: Ray's {process} has ended, and the fleet with it; the same command goes on "
        "with what is not committed. A signal to the whole process group, as `timeout` sends it, "
        "does that",
        file=sys.stderr,
        flush=True,
    )
    os._exit(INTERRUPTED if interrupted else FAILED)


async def _note_prompt(job: Job, store: Store, crew: Crew, console: Console) -> None:
    """Print what each generator sees of the first item, keep it in run.json. Raises EngineError.

    A wrong template or a wrong number of BOS costs points without a word; this is where it shows.
    """
    names = job.config.roles.shares
    for name in names:
        label = "prompt" if len(names) == 1 else f"prompt of {name}"
        try:
            preview = await crew.preview(name, next(job.task.items()))
        except (ItemError, ConfigError) as error:
            # Of one item: whether it ends the run is for the run to say, which meets it again.
            said = f"{label}: not shown: {error}"
        else:
            if preview is None:
                continue
            said = f"{label}: {_prompt_line(preview)}"
            _keep_prompt(store, name, preview)
        console.print(said, highlight=False, markup=False, soft_wrap=True)


def _keep_prompt(store: Store, name: str, preview: Preview) -> None:
    shown = {
        "template": preview.template,
        "template_hash": preview.template_hash,
        "num_bos": preview.num_bos,
        "first_ids": preview.first_ids,
        "example_text": preview.text,
    }
    store.note(prompts={**store.manifest.about.get("prompts", {}), name: shown})


def _prompt_line(preview: Preview) -> str:
    chat = f"chat template {preview.template_hash[:8]}…"
    first = ", ".join(f"{i} {token!r}" for i, token in preview.first_ids[:4])
    return (
        f"{chat if preview.template == 'chat' else 'no template'}, {preview.num_bos} BOS, "
        f"{len(preview.ids):,} tokens, first ids {first}, ..."
    )
