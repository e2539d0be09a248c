"""`lilliput`: the command line. Each command parses, calls one function and prints.

Exit codes: 0 done; 1 a comparison, a gate or a verification failed; 2 usage or config; 3 finished,
but more items failed than `max_failed`, or a gate is inconclusive; 4 cluster or engine failure; 130
interrupted: the message says which command goes on.
"""

import sys
import traceback
from enum import StrEnum
from typing import Annotated

import typer

from pipelines import batch_commands as batch
from pipelines import report_commands as reports
from pipelines import result_commands as result
from pipelines.exits import INTERRUPTED, Interrupted, explain

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
Unsafe = Annotated[
    bool,
    typer.Option(
        "--allow-unsafe-code", help="Where no sandbox works, run model-written code unprotected."
    ),
]
UNSAFE: dict[bool, list[str]] = {False: [], True: ["sandbox.allow_unsafe_code=true"]}
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run directory, or its URL.")]


class Listing(StrEnum):
    """What `ls` lists."""

    tasks = "tasks"
    models = "models"
    engines = "engines"
    rankers = "rankers"
    scorers = "scorers"
    judges = "judges"
    configs = "configs"
    gates = "gates"


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Run, grade and rank with small language models on a Ray cluster."""


@app.command()
def run(
    config: Config,
    overrides: Overrides = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="The run directory.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan; start nothing.")
    ] = False,
    probe: Annotated[
        int | None,
        typer.Option(help="With --dry-run: run so many items, forecast all.", min=1),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew beside an earlier run.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Progress and result as JSON lines, for machines.")
    ] = False,
    submit: Annotated[
        str | None, typer.Option(help="Run on a Ray cluster's head: http://HEAD:8265.")
    ] = None,
    allow_unsafe_code: Unsafe = False,
) -> None:
    """Run a config; the same command again goes on where it stopped."""
    if probe is not None and not dry_run:
        raise typer.BadParameter("it goes with --dry-run", param_hint="--probe")
    overrides = [*(overrides or ()), *UNSAFE[allow_unsafe_code]]
    if submit is not None:
        from pipelines import tables
        from pipelines.remote import submit_run

        given = {"--dry-run": dry_run, "--fresh": fresh, "--json": as_json}
        flags = [flag for flag, is_given in given.items() if is_given]
        flags += [] if probe is None else ["--probe", str(probe)]
        console = tables.console(stderr=as_json)
        raise typer.Exit(
            submit_run(submit, config, overrides or (), output=output, flags=flags, console=console)
        )
    from pipelines.config import load_all
    from pipelines.job import prepare

    jobs = [prepare(each) for each in load_all(config, overrides or ())]
    # It brings scipy.stats, which nobody whose config is refused should wait for.
    from pipelines.start import Options, run_jobs

    again = ["run", config, *(overrides or ())]
    options = Options(output=output, dry_run=dry_run, probe=probe, fresh=fresh, as_json=as_json)
    raise typer.Exit(run_jobs(jobs, again, options))


@app.command()
def status(
    run: Run,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False,
) -> None:
    """Show how a run stands, from any terminal; its figures when it has finished."""
    from pipelines import tables
    from pipelines.watch import print_status

    print_status(run, tables.console(), as_json=as_json)


@app.command()
def stop(
    run: Run,
    now: Annotated[
        bool, typer.Option("--now", help="Drop open shards; on the driver's host only.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Come back when the driver has ended.")] = True,
) -> None:
    """Let a run finish its open shards and end. Exit code 0 also where no driver is at work."""
    from pipelines import tables
    from pipelines.watch import stop_run

    stop_run(run, tables.console(), now=now, wait=wait)


@app.command()
@app.command()
def length_control(run: Run) -> None:
    """Win rates against a baseline at equal length of the replies, by alpaca_eval's own fit."""
    from pipelines import tables
    from pipelines.length_control import length_control as controlled
    from pipelines.standings import print_length_controlled

    print_length_controlled(tables.console(), controlled(run))


@app.command()
def score(
    run: Run,
    overrides: Overrides = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The new run directory.")
    ] = None,
    allow_unsafe_code: Unsafe = False,
) -> None:
    """Grade and rank again from the records, with no model; the original stays as it is."""
    from pipelines import tables
    from pipelines.rescore import rescore

    console = tables.console()
    changes = [*(overrides or ()), *UNSAFE[allow_unsafe_code]]
    directory, summary = rescore(run, changes, output, console)
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
    """List tasks, models, engines, rankers, scorers, judges' prompts, configs or gates."""
    from pipelines import tables
    from pipelines.inspect import listing

    tables.print_pairs(tables.console(), listing(what))


@app.command()
def validate(config: Config, overrides: Overrides = None) -> None:
    """Check a config, its data and its model files; start nothing."""
    from pipelines.config import load_all
    from pipelines.job import prepare

    for job in [prepare(each) for each in load_all(config, overrides or ())]:
        print(f"{config}: valid; {job.check_rows()} items of {job.task.name}; digest {job.digest}")


@app.command()
def doctor(
    config: Annotated[str | None, typer.Argument(help="A config: ask its models.")] = None,
    overrides: Overrides = None,
    model: Annotated[
        str, typer.Option(help="Model of the smoke prompt, without a config.")
    ] = "bundled:smollm2-135m-instruct",
) -> None:
    """Check versions, devices, Ray and disk, and ask each model one question."""
    from pipelines import tables
    from pipelines.config import load
    from pipelines.doctor import diagnose

    loaded = load(config, overrides or ()) if config else None
    failed = tables.print_checks(tables.console(), diagnose(loaded, model))
    raise typer.Exit(4 if failed else 0)


@app.command()
def drill(
    config: Config,
    overrides: Overrides = None,
    kills: Annotated[int, typer.Option(help="How many.", min=1)] = 8,
    seed: Annotated[int, typer.Option(help="Of what is killed, and when.")] = 0,
    nodes: Annotated[int, typer.Option(help="Start that many Ray nodes; kill some.", min=0)] = 0,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="A folder for both runs.")
    ] = None,
) -> None:
    """Prove recovery: run twice, kill replicas and the driver in the second, compare."""
    from pipelines import tables
    from pipelines.drill import Request
    from pipelines.drill import drill as run_drill

    changes = tuple(overrides or ())
    request = Request(
        config=config, overrides=changes, kills=kills, seed=seed, nodes=nodes, output=output
    )
    raise typer.Exit(run_drill(request, tables.console()))


for command in (
    result.compare,
    result.verify,
    reports.report,
    reports.view,
    reports.export,
    batch.reward,
    batch.judge,
    batch.rank,
    batch.train_reward,
    batch.check_reward,
    batch.check_sandbox,
):
    app.command()(command)


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
    # Broad, because errors of every room arrive here: `explain` turns those with a name into lines
    # and an exit code, and re-raises the rest, which are bugs.
    except Exception as error:
        code = explain(error)
        if len(arguments) < len(sys.argv) - 1:
            traceback.print_exception(error)
    # Typer turns most interrupts into this code by itself, without a word.
    if code == INTERRUPTED:
        print(said, file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
