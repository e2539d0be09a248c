"""`lilliput score`: grade and rank again from the records, into a new run directory.

No model is asked and the original isn't touched. Candidates and scores stay as they were drawn;
what the task extracts from them and what the rankers make of them may change, with `key=value`
overrides as for `run`.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rich.console import Console

from actors.types import ConfigError
from pipelines.config import override
from pipelines.job import Job, regrading
from pipelines.records import answered, regrade
from pipelines.tested import alone, note_backends
from results.directories import Directory, Where, open_directory
from results.parts import read_parts
from results.report import write_report
from results.store import Manifest, Store, read_manifest
from results.summarize import summarize_run
from results.summary import Summary, write_summary
from results.verify import Again

GRADING = re.compile(
    r"(task\.(extract|pattern|compare|timeout)|sandbox\.\w+|pipeline\.(rankers|ks|reference(\.[^=]+)?|game\.\w+|length_norm|normalize_labels)|prices\..+|roles\.scorers\.(\w+)\.scale)=.*",
    re.DOTALL,
)
"""Changes that need no new draws and no new scores."""


def rescore(
    run: Where, overrides: Sequence[str], output: str | None, console: Console
) -> tuple[Directory, Summary]:
    """Write the regraded run beside the original, or to `output`; returns directory and summary.

    Raises ConfigError for overrides that would need a model, ResultsError for an unreadable run.
    """
    for change in overrides:
        if not GRADING.fullmatch(change):
            raise ConfigError(
                f"{change}: this would need new draws or scores; `score` can change task.extract, "
                "task.pattern, task.compare, task.timeout, sandbox, pipeline.rankers, "
                "pipeline.ks, pipeline.reference, pipeline.game, pipeline.length_norm, "
                "pipeline.normalize_labels, roles.scorers.NAME.scale and prices"
            )
    old = read_manifest(run)
    asked = old.identity.get("roles", {}).get("scorers", {})
    for change in overrides:
        scorer = re.match(r"roles\.scorers\.(\w+)\.", change)
        if scorer and scorer[1] not in asked:
            raise ConfigError(f"{change}: {run} has no scores of {scorer[1]!r}")
    config = override(_config(old.about, run), overrides)
    job = regrading(config, old.identity)
    about = {**old.about, "config": config.model_dump(mode="json"), "rescored_from": str(run)}
    source = open_directory(run)
    directory = open_directory(output) if output else source.beside(f"{source.name}-rescored")
    manifest = Manifest(identity=dict(job.identity), about=about)
    with Store.open(directory, manifest, fresh=output is None) as store:
        console.print(f"run directory: {store.directory}", highlight=False, soft_wrap=True)
        for line in store.damaged:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        asyncio.run(_regrade(job, run, store, console))
        summary = summarize_run(store.directory, store.manifest)
        write_summary(store.directory, summary)
    write_report(store.directory, summary)
    return store.directory, summary


async def _regrade(job: Job, run: Where, store: Store, console: Console) -> None:
    """Commit what is owed. A task that runs code gets the sandbox's pool for it."""
    done = store.committed()
    async with alone(job) as fleet:
        note_backends(fleet.infos() if fleet else (), store, console)
        for shard_id, records in read_parts(run):
            if shard_id not in done:
                sandbox = fleet.sandbox if fleet else None
                graded = [regrade(job, record, sandbox) for record in records]
                store.commit(shard_id, answered(job, await asyncio.gather(*graded)))


def answering(run: Where) -> Again | None:
    """How a run's answers follow from its graded candidates and their scores; None where run.json
    doesn't say. Raises ConfigError for a config of another version.
    """
    manifest = read_manifest(run)
    if "config" not in manifest.about:
        return None
    job = regrading(override(_config(manifest.about, run), ()), manifest.identity)
    return partial(answered, job)


def _config(about: Mapping[str, Any], run: Where) -> Mapping[str, Any]:
    config = about.get("config")
    if not isinstance(config, dict):
        raise ConfigError(f"{run}/run.json holds no config: it was not written by `lilliput run`")
    return config
