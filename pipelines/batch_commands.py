"""The commands that score a data set, and those about reward models. Nothing heavy is imported
before one is called.
"""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipelines.job import Job
    from pipelines.start import Said
    from results.directories import Directory
    from results.summary import Summary

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A Parquet, Arrow, JSONL or CSV file, its URL, a folder of them, or a hub id.",
    ),
]
Model = Annotated[str, typer.Option("--model", "-m", help="A directory, a hub id, bundled:NAME.")]
Column = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PART=NAME",
        help="The column for prompt, response, messages, chosen, rejected, candidates or subset.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Config keys: models.model.cpus=2"),
]
Named = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="NAME", help="What new columns begin with, if not the scorer's own name."
    ),
]
Output = Annotated[str | None, typer.Option("--output", "-o", help="The run directory.")]
Engine = Annotated[str, typer.Option(help="A name that `lilliput ls engines` shows.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan; start nothing.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start anew beside an earlier run.")]
Json = Annotated[bool, typer.Option("--json", help="Progress and result as JSON lines.")]


def reward(
    data: Data,
    model: Model,
    overrides: Overrides = None,
    column: Column = None,
    named: Named = None,
    output: Output = None,
    engine: Engine = "reward",
    dry_run: DryRun = False,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Score every reply of a data set with a reward model; the same command again goes on."""
    asked = (data, model, engine, overrides, column, named)
    _score("reward", asked, output=output, dry_run=dry_run, fresh=fresh, as_json=as_json)


def judge(
    data: Data,
    model: Model,
    overrides: Overrides = None,
    column: Column = None,
    named: Named = None,
    output: Output = None,
    engine: Engine = "vllm",
    dry_run: DryRun = False,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Let a language model judge every reply of a data set."""
    asked = (data, model, engine, overrides, column, named)
    _score("judge", asked, output=output, dry_run=dry_run, fresh=fresh, as_json=as_json)


def rank(
    data: Data,
    model: Model,
    overrides: Overrides = None,
    column: Column = None,
    named: Named = None,
    by: Annotated[str, typer.Option(help="A name that `lilliput ls scorers` shows.")] = "pairwise",
    output: Output = None,
    engine: Annotated[
        str | None,
        typer.Option(help="vllm, or for reward models reward or pairrm, unless you say so."),
    ] = None,
    dry_run: DryRun = False,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Order the replies in each row of a data set, the best first."""
    from actors.engines import suited
    from actors.scorer_table import SCORERS

    asks = SCORERS[by].asks if by in SCORERS else ()
    usual = "reward" if "reward" in asks else "vllm"
    engine = engine or (suited(model, usual) if "pairs" in asks else usual)
    asked = (data, model, engine, overrides, column, named)
    _score(by, asked, output=output, dry_run=dry_run, fresh=fresh, as_json=as_json)


def train_reward(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Preferences, ratings, or a run directory.")
    ],
    base: Annotated[str, typer.Option(help="The model whose features are used.")],
    output: Annotated[str, typer.Option("--output", "-o", help="A folder; the model is in it.")],
    overrides: Overrides = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="A column of ratings; the first of several orders replies."),
    ] = None,
    hidden: Annotated[int, typer.Option(help="Width of the gate's layers.", min=1)] = 128,
    steps: Annotated[int, typer.Option(help="Of the gate's training.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="Of what is held out, and of the gate.")] = 0,
) -> None:
    """Fit an ArmoRM-style reward head on a model's frozen features."""
    from pipelines import tables
    from pipelines.reward_fit import Request
    from pipelines.train_reward import train

    request = Request(
        data=data,
        base=base,
        output=output,
        objectives=tuple(objective or ()),
        hidden=hidden,
        steps=steps,
        seed=seed,
        overrides=tuple(overrides or ()),
    )
    console = tables.console()
    tables.print_accuracies(console, train(request, console))
    console.print(f"model:   {output}/model", highlight=False, markup=False, soft_wrap=True)


def check_reward(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A directory or a hub id.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Of the model: dtype=bfloat16; with --by of the scorer: scorer.labels=[good,bad]",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="reward, for PairRM pairrm, with --by hf, unless you say so."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="pairwise or process: check a language model that is asked for labels."),
    ] = None,
) -> None:
    """Check a reward model as every run does before its first score."""
    from actors.engines import suited
    from pipelines import tables
    from pipelines.reward_check import check_model

    engine = engine or suited(model, "reward" if by is None else "hf")
    checks = check_model(model, engine, overrides or (), by=by)
    failed = tables.print_checks(tables.console(), checks)
    raise typer.Exit(1 if failed else 0)


def check_sandbox(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="sandbox.backend=landlock task.limit=20"),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Run this task's reference programs too: humaneval")
    ] = None,
) -> None:
    """Try the sandbox for model-written code, as every run does before it runs any."""
    from pipelines import tables
    from pipelines.sandbox_check import check_sandbox as check

    failed = tables.print_checks(tables.console(), check(task, overrides or ()))
    raise typer.Exit(1 if failed else 0)


def _score(
    scorer: str,
    asked: tuple[str, str, str, list[str] | None, list[str] | None, str | None],
    *,
    output: str | None,
    dry_run: bool,
    fresh: bool,
    as_json: bool,
) -> None:
    from pipelines import batch
    from pipelines.execute import run_directories
    from pipelines.job import prepare
    from pipelines.scored import check_written, write_scored
    from pipelines.start import Options, run_jobs

    data, model, engine, overrides, column, named = asked
    request = batch.Request(
        data=data,
        scorer=scorer,
        name=scorer if named is None else named,
        model=model,
        engine=engine,
        columns=batch.parsed_columns(column or ()),
        overrides=tuple(overrides or ()),
    )
    job = prepare(batch.config_of(request))
    batch.check_names(job)
    batch.check_compared(job)
    _, (directory,) = run_directories([job], output, fresh=fresh)
    check_written(job, directory)
    typer.echo(f"columns: {batch.guessed(job)}", err=as_json)
    options = Options(output=output, dry_run=dry_run, fresh=fresh, as_json=as_json)
    again = ["reward"] if scorer == "reward" else ["rank", "--by", scorer]
    again += [data, "--model", model, "--engine", engine, *(overrides or ())]
    again += [word for one in column or () for word in ("--column", one)]
    again += ["--as", named] if named else []

    def conclude(job: "Job", where: "Directory", summary: "Summary") -> "Said":
        scored = write_scored(job, where)
        return [*batch.sections(summary), f"scored:  {scored}"], {"scored": scored}

    raise typer.Exit(run_jobs([job], again, options, after=conclude))
