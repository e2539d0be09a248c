"""`lilliput score`: grade and rank again from the records, into a new run directory.

No model is asked and the original isn't touched. Candidates and scores stay as they were drawn;
what the task extracts from them and what the rankers make of them may change, with `key=value`
overrides as for `run`.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from actors.types import ConfigError
from pipelines.config import override
from pipelines.job import Job, regrading
from pipelines.records import answered, regrade
from pipelines.tested import alone, note_backends
from results.directories import Directory, Where, open_directory
from results.judges import judges_of
from results.parts import read_parts, read_records
from results.report import write_report
from results.store import Manifest, Store, read_manifest
from results.summary import Summary, summarize_answers, write_summary

GRADING = re.compile(
    r"(task\.(extract|pattern|compare|timeout)|sandbox\.\w+|pipeline\.(rankers|ks|game\.\w+|length_norm|normalize_labels)|roles\.scorers\.(\w+)\.scale)=.*",
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
                "pipeline.ks, pipeline.game, pipeline.length_norm, pipeline.normalize_labels and "
                "roles.scorers.NAME.scale"
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
        summary = summarize_answers(
            read_records(store.directory),
            limited=manifest.limited,
            judges=judges_of(manifest.identity),
            members=manifest.members,
        )
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


def _config(about: Mapping[str, Any], run: Where) -> Mapping[str, Any]:
    config = about.get("config")
    if not isinstance(config, dict):
        raise ConfigError(f"{run}/run.json holds no config: it was not written by `lilliput run`")
    return config
