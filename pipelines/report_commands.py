"""Commands that write or show what a run came to: `report`, `view`, `export`."""

import contextlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run directory, or its URL.")]


class Format(StrEnum):
    """What `export` writes."""

    parquet = "parquet"
    jsonl = "jsonl"


class ReportFormat(StrEnum):
    """What `report` writes."""

    html = "html"
    md = "md"
    csv = "csv"
    json = "json"


def report(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Run directories, or their URLs.")
    ],
    to: Annotated[ReportFormat, typer.Option(help="File format.")] = ReportFormat.html,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file; in the run by default, of several runs here."
        ),
    ] = None,
) -> None:
    """Write a report from the records of a run, or of several side by side."""
    from results.report import report as write

    print(write(runs, to.value, None if output is None else str(output)))


def view(
    run: Run,
    port: Annotated[int, typer.Option(help="0: any that is free.", min=0, max=65535)] = 0,
) -> None:
    """Serve the report of a run of any size to a browser on this machine, until Ctrl-C."""
    from results.report.view import Viewer

    with Viewer(run, port) as viewer:
        print(f"open {viewer.url} on this machine; Ctrl-C ends", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            viewer.serve_forever()


def export(
    run: Run,
    to: Annotated[Format, typer.Option(help="File format.")] = Format.parquet,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file; beside the records by default."),
    ] = None,
) -> None:
    """Write a run's records as one Parquet or JSONL file."""
    from results.export import export as export_records

    name = f"records.{to.value}"
    # A store keeps what was committed; a file made for somebody is wanted at hand.
    path = output or (Path(name) if "://" in run else Path(run) / name)
    print(export_records(run, to.value, path))
