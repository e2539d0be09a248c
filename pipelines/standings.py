"""What the terminal shows of players that were compared: rankings, and figures beside them."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pipelines.length_control import LengthControlled
from pipelines.plain import plain_table
from results.published import PublishedRow
from results.rankings import RankingRow
from results.summary import Summary


def print_standings(out: Console, summary: Summary) -> None:
    """Rankings by each judge, and figures on published scales."""
    for judge in dict.fromkeys(row.judge for row in summary.rankings):
        out.print(_ranking([row for row in summary.rankings if row.judge == judge]), "")
    if summary.published:
        out.print(_published(summary.published), "")


def print_length_controlled(out: Console, rows: Sequence[LengthControlled]) -> None:
    """Win rates with and without the length of the replies."""
    table = plain_table(
        "win rates against the baseline, at equal length, 95 % intervals over items"
    )
    table.add_column("judge", overflow="fold")
    table.add_column("player", overflow="fold")
    for name in ("win rate", "at equal length", "interval", "length over baseline's", "items"):
        table.add_column(name, justify="right")
    for row in rows:
        controlled = row.why_not if row.controlled is None else f"{row.controlled:.1%}"
        interval = "" if row.low is None else f"{row.low:.1%} to {row.high:.1%}"
        cells = (f"{row.win_rate:.1%}", controlled, interval, f"{row.longer:.2f}", f"{row.items:,}")
        table.add_row(row.judge, row.player, *cells)
    out.print(table)


def _ranking(rows: Sequence[RankingRow]) -> Table:
    first = rows[0]
    table = plain_table(
        f"ranking by {first.judge}: Bradley-Terry on the scale of Elo, {first.anchor} at 1000, "
        "95 % intervals over items"
    )
    table.add_column("player", overflow="fold")
    for name in ("rating", "interval", f"beats {first.anchor}", "interval", "bouts", "items"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.player,
            "none" if row.rating is None else f"{row.rating:,.0f}",
            f"{_end(row.low)} to {_end(row.high)}",
            "unknown" if row.win_rate is None else f"{row.win_rate:.1%}",
            f"{row.win_rate_low:.1%} to {row.win_rate_high:.1%}",
            f"{row.bouts:,.0f}",
            f"{row.items:,}",
        )
    return table


def _published(rows: Sequence[PublishedRow]) -> Table:
    table = plain_table("on published scales, 95 % intervals over items")
    for name in ("figure", "grader", "method"):
        table.add_column(name, overflow="fold")
    for name in ("k", "value", "interval"):
        table.add_column(name, justify="right")
    for row in rows:
        interval = f"{row.low:.1f} to {row.high:.1f}"
        k = str(row.k or "-")
        table.add_row(row.figure, row.grader, row.method, k, f"{row.value:.1f}", interval)
    return table


def _end(value: float | None) -> str:
    return "unbounded" if value is None else f"{value:,.0f}"
