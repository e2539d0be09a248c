"""`lilliput`: the command line. Each command parses, calls one function and prints; errors and exit
codes live here.

Exit codes: 0 done; 1 a comparison failed; 2 usage or config; 3 finished, but more items failed than
`max_failed`; 4 cluster or engine failure; 130 interrupted: the message says which command goes on.
"""

import shlex
import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

INTERRUPTED = 130

app = typer.Typer(
    name="lilliput",
    help="How far small language models go when they work together: sample once, rank by "
    "everything, at equal compute.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[
    str, typer.Argument(help="A YAML file, or a name that `lilliput ls configs` shows.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Config keys to change: pipeline.n=8"),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]


class Interrupted(Exception):
    """A run was interrupted; the message says what goes on with it."""

    def __init__(self, command: str | None) -> None:
        super().__init__(f"`{command}`" if command else "the same command")

    def __str__(self) -> str:
        return f"interrupted; {self.args[0]} goes on with what is not committed"


class Listing(StrEnum):
    """What `ls` lists."""

    tasks = "tasks"
    models = "models"
    engines = "engines"
    rankers = "rankers"
    scorers = "scorers"
    configs = "configs"


class Format(StrEnum):
    """What `export` writes."""

    parquet = "parquet"
    jsonl = "jsonl"


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Run, grade and rank with small language models on a Ray cluster."""


@app.command()
def run(
    config: Config,
    overrides: Overrides = None,
    output: Annotated[str | None, typer.Option(help="The run directory.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan; start nothing.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew beside an earlier run.")
    ] = False,
) -> None:
    """Run a config; the same command again goes on where it stopped."""
    from pipelines import tables
    from pipelines.config import load
    from pipelines.execute import execute, plan, run_directory
    from pipelines.job import prepare
    from results.store import fresh_directory

    job = prepare(load(config, overrides or ()))
    directory = run_directory(job, output)
    if fresh:
        # Chosen here, so that an interrupted run can be told where it goes on.
        directory = fresh_directory(directory)
    console = tables.console()
    if dry_run:
        tables.print_pairs(console, plan(job, directory))
        return
    try:
        directory, summary = execute(job, directory, fresh=fresh, console=console)
    except KeyboardInterrupt:
        again = ["lilliput", "run", config, *(overrides or ()), "--output", str(directory)]
        raise Interrupted(shlex.join(again) if fresh else None) from None
    tables.print_run(console, summary, directory)
    raise typer.Exit(_too_many_failed(summary, job.config.max_failed))


@app.command()
def report(run: Run) -> None:
    """Write report.html from the records of a run."""
    from results.report import write_report

    print(write_report(run))


@app.command()
def compare(run_a: Run, run_b: Run) -> None:
    """Compare two runs item by item; exit code 1 when the second is worse at anything."""
    from pipelines import tables
    from results.compare import compare as compare_runs

    comparison = compare_runs(run_a, run_b)
    tables.print_comparison(tables.console(), comparison)
    raise typer.Exit(1 if comparison.worse else 0)


@app.command()
def score(
    run: Run,
    overrides: Overrides = None,
    output: Annotated[str | None, typer.Option(help="The new run directory.")] = None,
) -> None:
    """Grade and rank again from the records, with no model; the original stays as it is."""
    from pipelines import tables
    from pipelines.rescore import rescore

    console = tables.console()
    directory, summary = rescore(run, overrides or (), output, console)
    tables.print_run(console, summary, directory)


@app.command()
def show(
    task: Annotated[str, typer.Argument(help="A task's name, or a config.")],
    overrides: Overrides = None,
    model: Annotated[
        str, typer.Option(help="Whose tokenizer and template to use.")
    ] = "bundled:smollm2-135m-instruct",
    item: Annotated[int, typer.Option(help="Which item, from 0.", min=0)] = 0,
) -> None:
    """Show one rendered prompt as text and as token ids, with its BOS count."""
    from pipelines.inspect import show as show_prompt

    print(show_prompt(task, overrides or (), model, item))


@app.command()
def ls(what: Annotated[Listing, typer.Argument(help="What to list.")]) -> None:
    """List tasks, models, engines, rankers, scorers or configs."""
    from pipelines import tables
    from pipelines.inspect import listing

    tables.print_pairs(tables.console(), listing(what))


@app.command()
def validate(config: Config, overrides: Overrides = None) -> None:
    """Check a config, its data and its model files; start nothing."""
    from pipelines.config import load
    from pipelines.job import prepare

    job = prepare(load(config, overrides or ()))
    print(f"{config}: valid; {job.check_rows()} items of {job.task.name}; digest {job.digest}")


@app.command()
def export(
    run: Run,
    to: Annotated[Format, typer.Option(help="File format.")] = Format.parquet,
    output: Annotated[
        Path | None, typer.Option(help="The file; beside the records by default.")
    ] = None,
) -> None:
    """Write a run's records as one Parquet or JSONL file."""
    from results.export import export as export_records

    path = output or run / f"records.{to.value}"
    print(export_records(run, to.value, path))


@app.command()
def doctor(
    model: Annotated[
        str, typer.Option(help="Model of the smoke prompt.")
    ] = "bundled:smollm2-135m-instruct",
) -> None:
    """Check versions, devices, Ray and disk, and ask a model one question."""
    from pipelines import tables
    from pipelines.inspect import diagnose

    failed = tables.print_checks(tables.console(), diagnose(model))
    raise typer.Exit(4 if failed else 0)


def _too_many_failed(summary: Any, max_failed: float) -> int:
    """Exit code 3 when more items failed than allowed: a share below 1, a count from 1 on."""
    failed = summary.items_failed
    allowed = max_failed if max_failed >= 1 else max_failed * sum(summary.items.values())
    if failed <= allowed:
        return 0
    print(f"{failed} items failed; max_failed allows {allowed:g}", file=sys.stderr)
    return 3


def main() -> None:
    """Entry point of the console script."""
    # Taken out by hand, so that it may stand anywhere on the line.
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    said = "interrupted"
    try:
        code = app(args=arguments, standalone_mode=False)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Interrupted as error:
        code, said = INTERRUPTED, str(error)
    # Broad, because errors of every room arrive here: `_explain` turns those with a name into lines
    # and an exit code, and re-raises the rest, which are bugs.
    except Exception as error:
        code = _explain(error)
        if len(arguments) < len(sys.argv) - 1:
            traceback.print_exception(error)
    # Typer turns most interrupts into this code by itself, without a word.
    if code == INTERRUPTED:
        print(said, file=sys.stderr)
    raise SystemExit(code)


def _explain(error: Exception) -> int:
    """Print the lines that a user needs; returns the exit code. An error without a name here is
    a bug: re-raised.
    """
    from actors.types import ConfigError, EngineError
    from results.errors import ResultsError

    if isinstance(error, TyperException):
        print(f"lilliput: {error.format_message()}; see `lilliput --help`", file=sys.stderr)
        return 2
    codes = ((ConfigError, 2), (ResultsError, 2), (EngineError, 4))
    for kind, code in codes:
        if isinstance(error, kind):
            print(f"lilliput: {error}", file=sys.stderr)
            return code
    raise error
