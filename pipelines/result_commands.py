"""The commands that judge finished runs. Nothing heavy is imported before one is called."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipelines.gates import Gate
    from results.compare import Comparison

INCONCLUSIVE = 3

Run = Annotated[str, typer.Argument(help="A run directory, a folder of them, or a URL.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for machines, with ids of items.")]


def compare(
    run_a: Run,
    run_b: Run,
    gate: Annotated[
        str | None, typer.Option(help="A policy: a YAML file, or a shipped one such as no_worse.")
    ] = None,
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="The runs are over different items of one data set.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare two runs item by item; exit code 1 when the second is worse at anything.

    With a gate: 0 pass, 1 fail, 3 inconclusive.
    """
    from actors.types import ConfigError
    from pipelines import result_tables, tables
    from pipelines.gates import judge, load_policy
    from results.compare import compare_all
    from results.pairs import read_pairs

    if gate is not None and unpaired:
        raise ConfigError("--unpaired: a gate judges differences item by item; leave one of them")
    policy = load_policy(gate) if gate is not None else None
    pairs = read_pairs(run_a, run_b)
    comparisons = compare_all(pairs, paired=not unpaired)
    found = judge(policy, pairs) if policy is not None else None
    if found is not None:
        code = {"pass": 0, "fail": 1, "inconclusive": INCONCLUSIVE}[found.verdict]
    else:
        code = int(any(comparison.worse for comparison in comparisons))
    if as_json:
        print(json.dumps(_told(comparisons, found, code)))
    else:
        console = tables.console()
        for comparison in comparisons:
            result_tables.print_comparison(console, comparison)
        if found is not None:
            result_tables.print_gate(console, found)
    raise typer.Exit(code)


def _told(comparisons: Sequence["Comparison"], gate: "Gate | None", code: int) -> dict[str, Any]:
    return {
        "comparisons": [
            {
                **asdict(comparison),
                "rows": [{**asdict(row), "verdict": row.verdict} for row in comparison.rows],
            }
            for comparison in comparisons
        ],
        "gate": None if gate is None else {**asdict(gate), "verdict": gate.verdict},
        "exit_code": code,
    }


def verify(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Run directories, folders of them, URLs.")
    ],
    as_json: Json = False,
) -> None:
    """Work every figure of finished runs out once more; exit code 1 when one differs."""
    from pipelines import result_tables, tables
    from pipelines.rescore import answering
    from results.manifest import find_runs
    from results.verify import verify as verify_run

    ok, told = True, []
    for where in runs:
        for run in find_runs(where).values():
            found = verify_run(run, answering(run))
            ok &= found.ok
            told.append({**asdict(found), "ok": found.ok})
            if not as_json:
                result_tables.print_verification(tables.console(), found)
    if as_json:
        print(json.dumps(told))
    raise typer.Exit(0 if ok else 1)
