"""`lilliput run CONFIG --dry-run --probe 32`: run a few items, and say what all of them will cost.

    random subset of each task --a run like any other, in NAME-probe--> records, device seconds
        --results/forecast.py--> forecast, printed now; the run itself notes it when it starts

A run finds the probe beside its own directory and takes it where nothing but the number of items
differs.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.job import Job, prepare
from results.directories import Directory
from results.errors import ResultsError
from results.forecast import Forecast, foretell
from results.manifest import read_manifest
from results.parts import read_records

Runs = Sequence[tuple[Job, Directory]]


def small(runs: Runs, num: int) -> list[tuple[Job, Directory]]:
    """The probes of these runs: `num` random items of each task. Raises ConfigError."""
    return [(_small(job, num), _beside(directory)) for job, directory in runs]


def foretold(job: Job, directory: Directory) -> tuple[Forecast, ...]:
    """What this run will cost, by the probe that is there for it; nothing where none is."""
    where = _beside(directory)
    try:
        manifest = read_manifest(where)
    except ResultsError:
        return ()
    if _same(manifest.identity) != _same(job.identity):
        return ()
    # Prices may have come or changed since the probe.
    prices = {name: price.model_dump() for name, price in job.config.prices.items()}
    config = {**manifest.about.get("config", {}), "prices": prices}
    about = {**manifest.about, "config": config}
    return foretell(read_records(where), about, job.task.num_items)


def _small(job: Job, num: int) -> Job:
    limit = min(num, job.task.num_items)
    return prepare(job.config.model_copy(update={"task": {**job.config.task, "limit": limit}}))


def _beside(directory: Directory) -> Directory:
    return directory.beside(f"{directory.name}-probe")


def _same(identity: Mapping[str, Any]) -> Any:
    """What a probe shares with its run, as a manifest keeps it."""
    task = {**identity["task"], "limit": None}
    shared = {key: value for key, value in identity.items() if key != "fingerprint"}
    return json.loads(json.dumps({**shared, "task": task}, default=str))
