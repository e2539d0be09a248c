"""From checked jobs to an exit code: the part that all commands that run something share."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console

from pipelines import execute, probe, tables
from pipelines.exits import Interrupted, too_many_failed
from pipelines.job import Job
from pipelines.study_tables import forecasts
from results.directories import Directory
from results.summary import Summary

Said = tuple[Sequence[str], Mapping[str, str]]
"""Lines for people, and fields of the result for `--json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Of the command line."""

    output: str | None = None
    dry_run: bool = False
    probe: int | None = None
    """Items to run for the forecast of a dry run."""
    fresh: bool = False
    as_json: bool = False


def run_jobs(
    jobs: Sequence[Job],
    again: Sequence[str],
    options: Options,
    *,
    after: Callable[[Job, Directory, Summary], Said] | None = None,
) -> int:
    """Run what is owed, or print the plan; returns the exit code.

    again: the command that goes on where this one stops. after: called for each complete run; what
    it returns is printed. Raises Interrupted, and as `execute` does.
    """
    where, directories = execute.run_directories(jobs, options.output, fresh=options.fresh)
    runs = list(zip(jobs, directories, strict=True))
    console = tables.console(stderr=options.as_json)
    if options.dry_run:
        for job, directory in runs:
            tables.print_pairs(console, execute.plan(job, directory))
        if options.probe is not None:
            _foretell(runs, options, console)
        return 0
    code = 0
    try:
        for job, directory, summary in execute.execute(
            runs, fresh=options.fresh, console=console, as_json=options.as_json
        ):
            said, fields = after(job, directory, summary) if after else ((), {})
            if options.as_json:
                told = {"event": "result", "directory": str(directory), **fields}
                print(json.dumps({**told, **asdict(summary)}))
            else:
                tables.print_run(console, summary, directory)
            for line in said:
                console.print(line, highlight=False, markup=False, soft_wrap=True)
            code = max(code, too_many_failed(summary, job.config.max_failed))
    except KeyboardInterrupt:
        # With --fresh, the same command would begin anew.
        command = shlex.join(["lilliput", *again, "--output", where])
        raise Interrupted(command if options.fresh else None) from None
    return code


def _foretell(runs: Sequence[tuple[Job, Directory]], options: Options, console: Console) -> None:
    """Run a few items of each run, all on one fleet, and say what all of them will take."""
    probes = probe.small(runs, options.probe or 1)
    done = execute.execute(probes, fresh=False, console=console, as_json=options.as_json)
    for (job, directory), _ in zip(runs, done, strict=True):
        rows = probe.foretold(job, directory)
        if options.as_json:
            told = {"event": "forecast", "directory": str(directory)}
            print(json.dumps({**told, "rows": [asdict(row) for row in rows]}))
            continue
        console.print(f"{job.config.name}: {job.task.num_items:,} items", highlight=False)
        if rows:
            console.print(forecasts(rows))
