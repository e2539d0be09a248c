"""Pictures of a study of decodings: rows whose methods are named after a pool (`results.pools`)."""

from collections.abc import Iterable, Sequence
from typing import Any

from results.pools import ABOUT_TEXTS, Decoding, Named
from results.report.svg import Point, Series, at_axis, line_chart, share_axis
from results.report.text import percent
from results.report.types import Chart, Dots
from results.schema import UNBOUNDED
from results.summary import Row, Summary

SWEPT = {
    "temperature": "temperature (0: greedy)",
    "top_p": "top-p",
    "repetition_penalty": "repetition penalty",
}
ONE_DRAW = ("first", "greedy")
"""Methods that are worth one reply."""

Pool = tuple[str, Decoding]
"""Member and decoding."""


def pool_rows(rows: Iterable[Row]) -> dict[Pool, list[Row]]:
    """Rows of the headline metric by pool, with the pool left out of their methods' names."""
    named = [(row, Named.read(row.method)) for row in rows]
    known = [(row, name) for row, name in named if name.decoding]
    metrics = [row.metric for row, _ in known if row.metric not in ABOUT_TEXTS | UNBOUNDED]
    found: dict[Pool, list[Row]] = {}
    for row, name in known:
        if row.metric == metrics[0]:
            found.setdefault((name.member, Decoding.read(name.decoding)), []).append(row)
    return found


def one_draw(rows: Iterable[Row]) -> dict[Pool, Row]:
    """What one reply of each pool is worth: the greedy one, or a draw in the mean."""
    return {
        pool: row
        for pool, own in pool_rows(rows).items()
        for row in own
        if Named.read(row.method).method in ONE_DRAW
    }


def sweeps(summary: Summary) -> list[Chart]:
    """One for each setting that takes several values while the others stay."""
    worth = one_draw(summary.rows)
    found = [_sweep(worth, setting) for setting in SWEPT]
    return [chart for chart in found if chart is not None]


def greedy_and_draws(summary: Summary) -> list[Dots]:
    """Greedy decoding beside one draw, in the mean of the draws, for each member and decoding."""
    worth = one_draw(summary.rows)
    if worth:
        return [
            Dots(
                label=f"{member} {decoding}",
                greedy=worth.get((member, decoding.greedy)),
                draw=row,
                worst=_of_runs(summary, (member, decoding), "worst"),
                best=_of_runs(summary, (member, decoding), "best"),
            )
            for (member, decoding), row in worth.items()
            if decoding.temperature
        ]
    metric = summary.rows[0].metric
    rows = {row.method: row for row in summary.rows if row.metric == metric}
    if "first" not in rows:
        return []
    return [Dots(label=rows["first"].member, greedy=rows.get("greedy"), draw=rows["first"])]


def by_pool(summary: Summary) -> tuple[list[tuple[str, str]], dict[str, dict[Any, Any]]]:
    """Figures of each pool: the columns (metric and figure), and by pool what is in them."""
    return _cells((f"{row.member} {row.decoding}", row) for row in studied(summary))


def by_category(summary: Summary) -> tuple[list[tuple[str, str]], dict[Any, dict[Any, Any]]]:
    """The same of the first metric for each category and pool."""
    metric = next((row.metric for row in summary.rows), "")
    rows = [row for row in summary.decodings if row.category and row.metric == metric]
    return _cells(((row.category, f"{row.member} {row.decoding}"), row) for row in rows)


def _cells(rows: Iterable[tuple[Any, Any]]) -> tuple[list[tuple[str, str]], dict[Any, Any]]:
    columns: list[tuple[str, str]] = []
    found: dict[Any, dict[Any, Any]] = {}
    for name, row in rows:
        column = (row.metric, row.figure)
        columns += [column] * (column not in columns)
        found.setdefault(name, {})[column] = row
    return columns, found


def studied(summary: Summary) -> list[Any]:
    """What is known of each pool over all items."""
    return [row for row in summary.decodings if not row.category]


def _of_runs(summary: Summary, pool: Pool, figure: str) -> float | None:
    """Of the run scores of a pool."""
    member, decoding = pool
    for row in studied(summary):
        if (row.member, row.decoding, row.figure) == (member, str(decoding), figure):
            return float(row.value)
    return None


def _sweep(worth: dict[Pool, Row], setting: str) -> Chart | None:
    lines: dict[str, dict[float, Row]] = {}
    for (member, decoding), row in worth.items():
        for name in _lines(member, decoding, setting, worth):
            lines.setdefault(name, {})[getattr(decoding, setting)] = row
    lines = {name: dict(sorted(line.items())) for name, line in lines.items() if len(line) > 1}
    if not lines:
        return None
    series = [
        Series(name=name, points=_points(name, line), number=number)
        for number, (name, line) in enumerate(lines.items())
    ]
    metric = next(iter(worth.values())).metric
    title = f"{metric} against {SWEPT[setting].partition(' (')[0]}"
    points = [point for one in series for point in one.points]
    x = at_axis(SWEPT[setting], [point.x for point in points], log=False)
    svg = line_chart(title, series, x, share_axis(metric, points))
    note = (
        "One reply: the greedy one, or the mean over all draws. Bands: 95 % intervals over items."
    )
    return Chart(title=title, svg=svg, series=series, note=note)


def _lines(member: str, decoding: Decoding, setting: str, worth: Iterable[Pool]) -> list[str]:
    """The lines that a pool belongs to: one, but for greedy decoding, which is temperature 0 of
    every top-p."""
    if setting != "temperature" or decoding.temperature:
        return [_line(member, decoding, setting)]
    same = {
        other
        for name, other in worth
        if name == member and other.temperature and other.greedy == decoding
    }
    return [_line(member, other, setting) for other in sorted(same)]


def _line(member: str, decoding: Decoding, setting: str) -> str:
    """All that stays; a default goes without saying."""
    default = Decoding()
    kept = [
        f"{name.replace('_', ' ')} {value:g}"
        for name, value in decoding._asdict().items()
        if name != setting and (value != getattr(default, name))
    ]
    kept = ["greedy" if text == "temperature 0" else text for text in kept]
    return ", ".join([member, *kept])


def _points(name: str, line: dict[float, Row]) -> Sequence[Point]:
    return [
        Point(
            x=value,
            y=row.value,
            low=row.low,
            high=row.high,
            says=f"{name}, {value:g}: {percent(row.value, row.low, row.high)}",
        )
        for value, row in line.items()
    ]
