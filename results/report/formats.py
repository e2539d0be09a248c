"""A report as Markdown, CSV or JSON: the same summaries and comparisons, for other tools."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from results.directories import Directory, LocalDirectory, Where, open_directory
from results.errors import ResultsError
from results.report.cautions import cautions, headline
from results.report.page import Compared, Shown, compared, load, put, render
from results.report.text import PLAIN, count, figure, p_value, signed
from results.summary import Row

MARK = b'<meta name="generator" content="lilliput">'
"""In the head of every page: what has it may be replaced by another."""


def report(run_dirs: Sequence[Where], to: str = "html", output: str | None = None) -> str:
    """Write a report of one run, into its directory, or of several side by side, as `report.html`
    here; or to `output`. Returns its path or URL.

    Raises ResultsError: an unknown format, no run, damaged records, no access, and a file in the
    place of a report of several runs that isn't one.
    """
    if to not in FORMATS:
        raise ResultsError(f"wanted a format of {', '.join(FORMATS)}, got {to!r}")
    runs = [load(run_dir) for run_dir in run_dirs]
    name, directory = f"report.{to}", runs[0].directory
    if output is not None:
        path = Path(output)
        directory, name = LocalDirectory(path.parent), path.name
    elif len(runs) > 1:
        directory = open_directory(Path())
    if len(runs) > 1 and output is None:
        _refuse_foreign(directory, name)
    return put(directory, name, FORMATS[to](runs))


def _refuse_foreign(directory: Directory, name: str) -> None:
    """A working directory holds other people's files too."""
    if name not in directory.names():
        return
    if name.endswith(".html") and MARK in directory.get(name)[:4096]:
        return
    raise ResultsError(f"wanted to write {name}, got a file of that name; give --output FILE")


def _json(runs: Sequence[Shown]) -> str:
    """Runs with their warnings and summaries, and each compared with the first."""
    content = {
        "runs": [
            {
                "name": run.name,
                "digest": run.manifest.digest,
                "warnings": cautions(run.summary, run.manifest),
                "summary": asdict(run.summary),
            }
            for run in runs
        ],
        "comparisons": [
            {
                "a": pair.a,
                "b": pair.b,
                "why_not": pair.why_not,
                **({} if pair.comparison is None else asdict(pair.comparison)),
            }
            for pair in compared(runs)
        ],
    }
    return json.dumps(content, indent=2, allow_nan=False, default=str) + "\n"


def _csv(runs: Sequence[Shown]) -> str:
    """One line for each row of the summaries, all of their fields, and the run in front."""
    text = io.StringIO()
    names = [field.name for field in fields(Row)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", *names])
    for run in runs:
        writer.writerows([run.name, *(getattr(r, n) for n in names)] for r in run.summary.rows)
    return text.getvalue()


def _markdown(runs: Sequence[Shown]) -> str:
    """Warnings, headline rows, outcomes and comparisons."""
    lines: list[str] = []
    for run in runs:
        rows = headline(run.summary.rows)
        lines += [f"# {_cell(run.name)}", ""]
        lines += [f"> {_cell(text)}\n" for text in cautions(run.summary, run.manifest)]
        lines += _table(
            "method metric k value interval vs_greedy vs_greedy_interval p tokens_per_item items",
            map(_row, rows),
        )
        total = max(sum(run.summary.outcomes.values()), 1)
        counts = (
            (name, f"{n:,}", figure(n / total, "")) for name, n in run.summary.outcomes.items()
        )
        lines += _table("outcome candidates share_%", counts)
    for pair in compared(runs):
        lines += [f"# {_cell(pair.b)} minus {_cell(pair.a)}", ""]
        lines += [f"> {_cell(pair.why_not)}\n"] if pair.comparison is None else _differences(pair)
    return "\n".join(lines).rstrip() + "\n"


def _row(row: Row) -> list[str]:
    low, high = row.versus_greedy_low, row.versus_greedy_high
    known = row.versus_greedy is not None and low is not None and high is not None
    return [
        row.method,
        row.metric + ("" if row.metric in PLAIN else ", %"),
        str(row.k or "–"),
        figure(row.value, row.metric),
        f"{figure(row.low, row.metric)} to {figure(row.high, row.metric)}",
        signed(row.versus_greedy or 0.0, row.metric) if known else "–",
        f"{signed(low or 0.0, row.metric)} to {signed(high or 0.0, row.metric)}" if known else "–",
        "–" if row.versus_greedy_p is None else p_value(row.versus_greedy_p),
        "–" if row.tokens is None else count(row.tokens / row.items),
        count(row.items),
    ]


def _differences(pair: Compared) -> list[str]:
    assert pair.comparison is not None
    rows = (
        (
            row.method,
            row.metric,
            str(row.k or "–"),
            figure(row.a, ""),
            figure(row.b, ""),
            signed(row.difference),
            f"{signed(row.low)} to {signed(row.high)}",
            p_value(row.p),
            p_value(row.p_holm),
            f"{row.gains}/{row.losses}",
        )
        for row in pair.comparison.rows
    )
    return _table("method metric k A_% B_% difference interval p p_(Holm) gains/losses", rows)


def _table(head: str, rows: Iterable[Iterable[str]]) -> list[str]:
    names = [name.replace("_", " ") for name in head.split()]
    lines = [names, ["---"] * len(names), *([_cell(cell) for cell in row] for row in rows)]
    return [*("| " + " | ".join(line) + " |" for line in lines), ""]


def _cell(text: str) -> str:
    """On one line, and no markup of its own."""
    kept = " ".join(text.split())
    for mark in "\\`*_{}[]<>|":
        kept = kept.replace(mark, "\\" + mark)
    return kept


FORMATS: Mapping[str, Callable[[Sequence[Shown]], str]] = {
    "html": render,
    "md": _markdown,
    "csv": _csv,
    "json": _json,
}
