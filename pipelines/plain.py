"""What the tables of the terminal share."""

from rich.table import Table

from results.schema import UNBOUNDED


def plain_table(title: str) -> Table:
    """Without lines, so that it stays readable in a log file."""
    return Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")


def figure(value: float, metric: str) -> str:
    """In per cent, but for a scorer's own values."""
    return f"{value:.4g}" if metric in UNBOUNDED else f"{value:.1%}"
