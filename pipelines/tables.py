"""What the terminal shows: plain tables that stay readable in a log file."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines.plain import figure, plain_table
from pipelines.standings import print_standings
from pipelines.study_tables import costs, forecasts, study
from results.arms import ArmRow, ScoreMean
from results.bounds import is_open, range_of
from results.categories import MACRO, CategoryRow
from results.columns import READ as CHOOSERS
from results.directories import Where
from results.judges import JudgeRow
from results.marginals import MarginalRow
from results.summary import Row, Summary

WIDTH = 160
"""Columns of a table that goes to a file: no terminal says how wide it is, and nothing is cut."""


def console(*, stderr: bool = False) -> Console:
    """Standard output, or error; wide and without colours when it isn't a terminal. Brackets are
    text: names of models and categories are other people's.
    """
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH
    return Console(stderr=stderr, width=width, markup=False, emoji=False)


def print_run(out: Console, summary: Summary, directory: Where) -> None:
    """The result: one row for each method and k, outcomes, and where everything is.

    Metrics behind the headline one are shown at the largest k only; summary.json has every row.
    """
    headline, *others = dict.fromkeys(row.metric for row in summary.rows) or [""]
    for part in study(summary):
        out.print(part, "")
    if summary.decodings:
        headline, others = "", []
    if summary.arms:
        out.print(_arms(summary.arms), "")
        headline, others = "", []
        if summary.rows:
            out.print(_figures(summary.rows), "")
    if headline:
        shown = [row for row in summary.rows if row.metric == headline]
        out.print(_result(shown, headline), "")
        if any(row.money is not None for row in shown):
            out.print(costs(shown), "")
    rest = [row for row in summary.rows if row.metric in others]
    for metric in dict.fromkeys(row.metric for row in rest if row.k):
        out.print(_result(_largest([row for row in rest if row.metric == metric]), metric), "")
    if further := [row for row in rest if not row.k and row.method != "greedy"]:
        out.print(_figures(further), "")
    print_standings(out, summary)
    if summary.judges:
        out.print(_judges(summary.judges), "")
    if summary.marginals:
        out.print(_marginals(summary.marginals), "")
    if summary.forecast:
        out.print(forecasts(summary.forecast), "")
    if macro := [row for row in summary.categories if row.category == MACRO]:
        out.print(_macro(macro), "")
    improvements = [_improvement(row) for row in summary.rows if _is_choice(row)]
    counts = {kind: count for kind, count in summary.outcomes.items() if count}
    total = sum(counts.values())
    shares = ", ".join(f"{kind} {count:,} ({count / total:.1%})" for kind, count in counts.items())
    say = list(filter(None, improvements))
    say += [f"candidates: {total:,}: {shares}" if total else "candidates: none"]
    say.append("items: " + ", ".join(f"{kind} {count:,}" for kind, count in summary.items.items()))
    say += [f"warning: {warning}" for warning in summary.warnings]
    if summary.limited:
        say.append("limited: a subset of the data set; not comparable with full results")
    say += [f"records: {directory}/records/*.arrow", f"report:  {directory}/report.html"]
    for line in say:
        # Without markup: a warning may hold an interval in brackets, or a name from a config.
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def _figures(rows: Sequence[Row]) -> Table:
    """Further figures of methods that draw nothing: a line for each."""
    table = plain_table("further figures, 95 % intervals over items")
    table.add_column("figure", overflow="fold")
    for name in ("value", "interval", "items"):
        table.add_column(name, justify="right")
    for row in rows:
        value, low, high = (figure(v, row.metric) for v in (row.value, row.low, row.high))
        table.add_row(f"{row.method}: {row.metric}", value, f"{low} to {high}", f"{row.items:,}")
    return table


def _judges(rows: Sequence[JudgeRow]) -> Table:
    table = plain_table("judges, 95 % intervals over items")
    table.add_column("judge", overflow="fold")
    table.add_column("figure", overflow="fold")
    for name in ("value", "interval", "unbiased", "items"):
        table.add_column(name, justify="right")
    for row in rows:
        unbiased = "" if row.unbiased is None else f"{row.unbiased:.2f}"
        interval = f"{row.low:.2f} to {row.high:.2f}"
        cells = (row.figure, f"{row.value:.2f}", interval, unbiased, f"{row.items:,}")
        table.add_row(row.judge, *cells)
    return table


def _arms(rows: Sequence[ArmRow]) -> Table:
    """Arms of conversations: scores, tokens, and what a token costs."""
    table = plain_table("arms, 95 % intervals over conversations; tokens over all of them")
    table.add_column("arm", overflow="fold")
    scorers = list(dict.fromkeys(name for row in rows for name in row.scores))
    counted = ("changes", "cut", "tokens", "prompt tokens", "fresh", "cached")
    for name in (*scorers, *counted, "parameters", "memory"):
        table.add_column(name, justify="right")
    for row in rows:
        efforts = list(row.efforts.values())
        numbers = [
            row.changes,
            row.cut,
            *(
                sum(getattr(effort, name) for effort in efforts)
                for name in ("tokens", "prompt_tokens", "fresh_tokens", "cached_tokens")
            ),
        ]
        table.add_row(
            row.arm,
            *(_score(row.scores.get(name)) for name in scorers),
            *(f"{number:,}" for number in numbers),
            *("unknown" if p is None else f"{p / 1e9:.4g}B" for p in (row.parameters, row.memory)),
        )
    return table


def _score(mean: ScoreMean | None) -> str:
    if mean is None:
        return "no verdict"
    if mean.low is None:
        return f"{mean.value:.3g}"
    return f"{mean.value:.3g} ({mean.low:.3g} to {mean.high:.3g})"


def _marginals(rows: Sequence[MarginalRow]) -> Table:
    """Of each method and metric the largest k."""
    table = plain_table("what each member's draws add, in points, at equal k, 95 % intervals")
    for name in ("member", "method", "metric"):
        table.add_column(name, overflow="fold")
    for name in ("k", "with", "without", "difference", "p", "items"):
        table.add_column(name, justify="right")
    largest = {(row.member, row.method, row.metric): row for row in rows}
    for row in largest.values():
        table.add_row(
            *(row.member, row.method, row.metric, str(row.k)),
            *(f"{row.value:.1%}", f"{row.without:.1%}"),
            f"{100 * row.difference:+z.1f} ({100 * row.low:+z.1f} to {100 * row.high:+z.1f})",
            *(f"{row.p:.3f}", f"{row.items:,}"),
        )
    return table


def _macro(rows: Sequence[CategoryRow]) -> Table:
    table = plain_table(f"{MACRO}, each counting the same")
    table.add_column("method", overflow="fold")
    for name in ("metric", "value", "interval"):
        table.add_column(name, justify="right")
    for row in rows:
        interval = f"{row.low:.1%} to {row.high:.1%}"
        table.add_row(row.method, row.metric, f"{row.value:.1%}", interval)
    return table


def replica_table(replicas: Iterable[Mapping[str, Any]]) -> Table:
    """A line for each `ReplicaState`, as a mapping."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("replica", "state", "node"):
        table.add_column(name)
    for name in ("process", "load", "deaths"):
        table.add_column(name, justify="right")
    for replica in replicas:
        cells = [f"{replica['model']}-{replica['number']}"]
        cells += [str(replica[k] or "") for k in ("state", "node", "pid")]
        table.add_row(*cells, str(replica["load"]), str(replica["deaths"]))
    return table


def print_pairs(out: Console, pairs: Sequence[tuple[str, str]]) -> None:
    """Names and texts, aligned; a long text goes on under its own column."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in pairs:
        table.add_row(name, text)
    out.print(table, highlight=False)


def print_accuracies(out: Console, found: Iterable[Any]) -> None:
    """How often each way to score finds the better of two held-out replies."""
    table = plain_table("held-out pairs, 95 % intervals over prompts")
    table.add_column("the better reply has", overflow="fold")
    for name in ("accuracy", "interval", "pairs"):
        table.add_column(name, justify="right")
    for one in found:
        interval = f"{one.interval.low:.1%} to {one.interval.high:.1%}"
        table.add_row(one.name, f"{one.value:.1%}", interval, f"{one.pairs:,}")
    out.print(table)


def print_checks(out: Console, checks: Iterable[Any]) -> bool:
    """Each check as it comes; returns whether one failed."""
    failed = False
    for check in checks:
        failed |= not check.ok
        mark = "ok  " if check.ok else "FAIL"
        out.print(f"{mark}  {check.name}: {check.text}", highlight=False, markup=False)
    return failed


def _result(rows: Sequence[Row], metric: str) -> Table:
    first = rows[0]
    whose = f" with {first.member}" if first.member else ""
    table = plain_table(f"{first.task}{whose}: {metric}, 95 % intervals over items")
    # On a narrow terminal a name goes on in the next line: cut names can't be told apart.
    table.add_column("method", overflow="fold")
    drawn = any(row.k or row.method == "greedy" for row in rows)
    baseline = ["vs greedy"] if drawn else ["vs G"] if any(map(_is_choice, rows)) else []
    missing = ["if missing"] if any(map(is_open, rows)) else []
    names = ["k", "value", "interval", *missing, *baseline, "items"]
    for name in (*names, *(("truncated", "no answer") if drawn else ()), "tokens"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.method,
            str(row.k or "-"),
            figure(row.value, row.metric),
            f"{figure(row.low, row.metric)} to {figure(row.high, row.metric)}",
            *(range_of(row) if is_open(row) else "" for _ in missing),
            *(_versus(row, "versus_greedy" if drawn else "versus_likeliest") for _ in baseline),
            f"{row.items:,}",
            *((f"{row.truncated:.1%}", f"{row.no_answer:.1%}") if drawn else ()),
            "unknown" if row.tokens is None else f"{row.tokens:,.0f}",
        )
    return table


def _largest(rows: Sequence[Row]) -> list[Row]:
    """Each method at its largest k."""
    return list({row.method: row for row in sorted(rows, key=lambda row: row.k)}.values())


def _is_choice(row: Row) -> bool:
    """It ranks given choices, without any draw."""
    return not row.k and row.method in CHOOSERS


def _improvement(row: Row) -> str:
    """What the game gained over G, as a share of G's value."""
    likeliest = row.value - (row.versus_likeliest or 0.0)
    if row.versus_likeliest is None or not likeliest or not row.method.startswith("equil"):
        return ""
    low, high = (row.versus_likeliest_low or 0.0), (row.versus_likeliest_high or 0.0)
    return (
        f"{row.method} over G: {row.versus_likeliest / likeliest:+.1%} "
        f"({low / likeliest:+.1%} to {high / likeliest:+.1%}) of G's {row.metric}"
    )


def _versus(row: Row, name: str) -> str:
    value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    return "" if value is None else f"{100 * value:+z.1f} ({100 * low:+z.1f} to {100 * high:+z.1f})"
