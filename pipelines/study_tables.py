"""What the terminal shows of a study of decodings, of cost, and of what a probe had foretold."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from pipelines.plain import figure, plain_table
from results.decodings import DecodingRow
from results.forecast import Forecast
from results.pools import ABOUT_TEXTS, PREFIX, Named
from results.references import Crossing
from results.summary import Row, Summary

MOST_SHOWN = 12
"""Categories that a terminal has a table of."""


def study(summary: Summary) -> Iterator[RenderableType]:
    """Of all items greedy against draws, the texts, categories, best-of-N, reference lines, costs;
    nothing of a run that is no study.
    """
    if not summary.decodings:
        return
    headline = next((row.metric for row in summary.rows), "")
    whole = [row for row in summary.decodings if not row.category]
    yield _decodings([row for row in whole if row.metric == headline], headline)
    yield _texts([row for row in whole if row.figure in ABOUT_TEXTS])
    parts = [row for row in summary.decodings if row.category and row.metric == headline]
    categories = len({row.category for row in parts})
    if 0 < categories <= MOST_SHOWN:
        yield _by_category(parts, headline)
    elif categories:
        yield f"by category: {categories} categories, in report.html and summary.json"
    rows = [row for row in summary.rows if row.metric == headline]
    yield _curves([row for row in rows if row.k], headline)
    if summary.crossings:
        yield _crossings(summary.crossings)
    yield costs(rows)


def costs(rows: Sequence[Row]) -> Table:
    """Each method at its largest k: what it is worth and what that took."""
    table = plain_table("what it took, per item: tokens, seconds of devices, money per 1,000 items")
    table.add_column("method", overflow="fold")
    money = any(row.money is not None for row in rows)
    shown = ("cpu_seconds", "gpu_seconds")
    seconds = [name for name in shown if any(getattr(row, name) is not None for row in rows)]
    names = ("k", "value", "generated", "read", "scored", "judged")
    for name in (*names, *(name.replace("_", " ") for name in seconds), *("money",) * money):
        table.add_column(name, justify="right")
    for row in {row.method: row for row in sorted(rows, key=lambda row: row.k)}.values():
        if Named.read(row.method).method.startswith(PREFIX):
            continue
        tokens = (row.generated, row.prompt_tokens, row.scored, row.judged)
        cells = [_each(value, row.items, "{:,.0f}") for value in tokens]
        cells += [_each(getattr(row, name), row.items, "{:,.3g}") for name in seconds]
        if money:
            cells.append(_each(row.money, row.items / 1000, "{:,.3g}"))
        table.add_row(row.method, str(row.k or "-"), figure(row.value, row.metric), *cells)
    return table


def forecasts(rows: Sequence[Forecast]) -> Table:
    """Foretold, and what happened."""
    known = any(row.actual is not None for row in rows)
    probed = rows[0].probed
    table = plain_table(f"forecast from a probe of {probed:,} items, 95 % intervals over these")
    table.add_column("figure")
    for name in ("forecast", "interval", *("actual", "actual / forecast") * known):
        table.add_column(name, justify="right")
    for row in rows:
        interval = "" if row.low is None else f"{row.low:,.4g} to {row.high:,.4g}"
        cells = [row.figure, f"{row.value:,.4g}", interval]
        if known:
            told = row.actual is not None and row.value
            cells.append("" if row.actual is None else f"{row.actual:,.4g}")
            cells.append(f"{(row.actual or 0.0) / row.value:.2f}" if told else "")
        table.add_row(*cells)
    return table


def _decodings(rows: Sequence[DecodingRow], metric: str) -> Table:
    """A line for each member and penalty's greedy, and for each pool of draws."""
    table = plain_table(
        f"{metric} in points, greedy and drawn, 95 % intervals; best, worst, delta and std0 "
        "(ddof 0) describe these runs; !: a std above the bound of independent items"
    )
    for name in ("member", "decoding"):
        table.add_column(name, overflow="fold")
    for name in (
        *("mean", "interval", "std0", "std", "interval", "bound", "indep.", "best", "worst"),
        *("delta", "greedy - mean", "p", "runs", "items"),
    ):
        table.add_column(name, justify="right")
    for found in _by_pool(rows).values():
        table.add_row(*_decoding(found))
    return table


def _decoding(found: Mapping[str, DecodingRow]) -> list[str]:
    first = found.get("mean") or found["greedy"]
    cells = [first.member, first.decoding, _points(first.value), _ends(first)]
    std, versus = found.get("std"), found.get("greedy_minus_mean")
    names = ("best", "worst", "delta")
    cells += [
        _point(found, "std_ddof0"),
        "" if std is None else f"{_points(std.value, 2)}{'!' if std.above_bound else ''}",
        "" if std is None else _ends(std, 2),
        _point(found, "bound"),
        _point(found, "independent_std"),
        *(_points(found[name].value) if name in found else "" for name in names),
        "" if versus is None else f"{100 * versus.value:+z.1f} ({_ends(versus, sign='+')})",
        "" if versus is None else f"{versus.p:.3f}",
        str(first.runs),
        f"{first.items:,}",
    ]
    return cells


def _texts(rows: Sequence[DecodingRow]) -> Table:
    table = plain_table(
        "replies, means with 95 % intervals: lengths, share cut by the limit, repeats"
    )
    for name in ("member", "decoding"):
        table.add_column(name, overflow="fold")
    names = ("tokens", "characters", "truncated", "duplicates")
    for name in names:
        table.add_column(name, justify="right")
    for found in _by_pool(rows).values():
        first = next(iter(found.values()))
        cells = [_text(found[name]) if name in found else "" for name in names]
        table.add_row(first.member, first.decoding, *cells)
    return table


def _text(row: DecodingRow) -> str:
    if row.figure in ("truncated", "duplicates"):
        return f"{row.value:.1%} ({row.low:.1%} to {row.high:.1%})"
    return f"{row.value:,.1f} ({row.low:,.1f} to {row.high:,.1f})"


def _by_category(rows: Sequence[DecodingRow], metric: str) -> Table:
    table = plain_table(
        f"{metric} in points by category: greedy; mean (interval), std of runs, delta"
    )
    for name in ("category", "member", "decoding"):
        table.add_column(name, overflow="fold")
    for name in ("mean", "interval", "std", "delta", "greedy - mean", "items"):
        table.add_column(name, justify="right")
    for category in dict.fromkeys(row.category for row in rows):
        for found in _by_pool([row for row in rows if row.category == category]).values():
            first = found.get("mean") or found["greedy"]
            versus = found.get("greedy_minus_mean")
            table.add_row(
                category,
                first.member,
                first.decoding,
                _points(first.value),
                _ends(first),
                _point(found, "std"),
                _points(found["delta"].value) if "delta" in found else "",
                "" if versus is None else f"{100 * versus.value:+z.1f} ({_ends(versus, sign='+')})",
                f"{first.items:,}",
            )
    return table


def _curves(rows: Sequence[Row], metric: str) -> Table:
    """Best-of-N: a line for each method and pool, a column for each k."""
    table = plain_table(
        f"{metric} in points by draws, 95 % intervals; prefix: of the first k, as published"
    )
    for name in ("member", "decoding", "method"):
        table.add_column(name, overflow="fold")
    ks = sorted({row.k for row in rows})
    for k in ks:
        table.add_column(f"k={k}", justify="right")
    curves: dict[str, dict[int, Row]] = {}
    for row in rows:
        curves.setdefault(row.method, {})[row.k] = row
    for name, curve in curves.items():
        cells = [f"{_points(curve[k].value)} ({_ends(curve[k])})" if k in curve else "" for k in ks]
        named = Named.read(name)
        table.add_row(named.member, named.decoding, named.method, *cells)
    return table


def _crossings(rows: Sequence[Crossing]) -> Table:
    table = plain_table(
        "draws with which a method reaches a line, by its value and by its 95 % interval"
    )
    for name in ("line", "member", "decoding", "method"):
        table.add_column(name, overflow="fold")
    for name in ("draws", "at least", "surely with"):
        table.add_column(name, justify="right")
    for row in rows:
        method = Named.read(row.method).method
        if method.startswith(PREFIX):
            continue
        sizes = (row.k, row.low, row.high)
        table.add_row(
            f"{row.reference} {100 * row.level:g}",
            row.member,
            row.decoding,
            method,
            *(f"not within {row.within}" if size is None else str(size) for size in sizes),
        )
    return table


def _by_pool(rows: Sequence[DecodingRow]) -> dict[tuple[str, str], dict[str, DecodingRow]]:
    found: dict[tuple[str, str], dict[str, DecodingRow]] = {}
    for row in rows:
        found.setdefault((row.member, row.decoding), {})[row.figure] = row
    return found


def _points(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}"


def _point(found: Mapping[str, DecodingRow], name: str) -> str:
    return _points(found[name].value, 2) if name in found else ""


def _ends(row: Any, digits: int = 1, sign: str = "") -> str:
    if row.low is None or row.high is None:
        return "unknown"
    return f"{100 * row.low:{sign}z.{digits}f} to {100 * row.high:{sign}z.{digits}f}"


def _each(total: float | None, items: float, form: str) -> str:
    return "unknown" if total is None else form.format(total / items)
