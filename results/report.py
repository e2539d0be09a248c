"""report.html: one page that opens from a disk, without a network, made of the records alone.

Everything that a model or a data set wrote goes through Jinja's escaping; the charts carry only
names and numbers.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly import graph_objects as go
from plotly import offline

from results.directories import Where, open_directory, unwritable
from results.parts import read_records
from results.pitfalls import MANY_TRUNCATED
from results.schema import UNBOUNDED
from results.store import Manifest, read_manifest
from results.summary import Row, Summary, summarize_run, write_summary

SHOWN_ITEMS = 20
SHARES = {"tickformat": ".0%"}
METHODS = {"autorange": "reversed", "automargin": True}
"""The y axis of values, and of methods from the first one down."""
ALARM = 0.05
"""Share of truncated candidates, or of those without an answer, from which the page warns, and a
summary not yet (`pitfalls`)."""
VERSUS = (
    ("versus_greedy", "vs greedy"),
    ("versus_first", "vs one draw"),
    ("versus_likeliest", "vs G"),
)
"""Differences of a row, and how the page calls them."""
COLORS = ("#3b82f6", "#e8590c", "#12a150", "#9353d3", "#d6336c", "#0ca5b0", "#b08900", "#7c7c85")


def write_report(run_dir: Where, summary: Summary | None = None) -> str:
    """Write report.html into a run directory, and summary.json anew from the records unless the
    caller has just made that summary; returns the page's path or URL.

    Raises ResultsError: no run directory, damaged records, no access.
    """
    run_dir = open_directory(run_dir)
    manifest = read_manifest(run_dir)
    if summary is None:
        summary = summarize_run(run_dir, manifest)
        write_summary(run_dir, summary)
    metric = summary.rows[0].metric if summary.rows else ""
    rows = [row for row in summary.rows if row.metric == metric]
    page = (
        _environment()
        .get_template("report.html")
        .render(
            name=run_dir.name,
            title=" · ".join(filter(None, [rows[0].task, rows[0].member]))
            if rows
            else run_dir.name,
            metric=metric,
            warnings=[*unfinished(summary, manifest), *warnings(summary)],
            headline=headline(summary.rows),
            summary=summary,
            outcomes=_shares(summary.outcomes),
            versus=[
                (name, title)
                for name, title in VERSUS
                if any(getattr(row, name) is not None for row in summary.rows)
            ],
            charts=_charts(rows),
            plotly_js=offline.get_plotlyjs() if rows else "",
            manifest=json.dumps(asdict(manifest), indent=2),
            items=list(islice(read_records(run_dir), SHOWN_ITEMS)),
            num_items=sum(summary.items.values()),
        )
    )
    try:
        run_dir.put("report.html", page.encode(errors="replace"))
    except OSError as error:
        raise unwritable(run_dir, "report.html", error) from error
    return f"{run_dir}/report.html"


def unfinished(summary: Summary, manifest: Manifest) -> list[str]:
    """Says so when the run holds fewer items than it was asked for."""
    there, wanted = sum(summary.items.values()), manifest.about.get("num_items", 0)
    if there >= wanted:
        return []
    return [f"Unfinished: {there:,} of {wanted:,} items are committed; run the same command again."]


def warnings(summary: Summary) -> list[str]:
    """What a reader must know before any figure, worst first."""
    found = []
    if summary.limited:
        found.append("Limited run: a subset of the data set, not comparable with full runs.")
    if summary.items_failed:
        total = sum(summary.items.values())
        reasons = ", ".join(
            f"{count:,} {outcome.replace('_', ' ')}"
            for outcome, count in summary.items.items()
            if outcome != "ok" and count
        )
        found.append(
            f"{summary.items_failed:,} of {total:,} items failed ({reasons}); no mean has them."
        )
    total = max(sum(summary.outcomes.values()), 1)
    for outcome, most, advice in (
        ("truncated", MANY_TRUNCATED, "raise max_tokens before reading the figures"),
        ("no_answer", 1.0, "check the prompt and the answer format"),
    ):
        share = summary.outcomes[outcome] / total
        if ALARM < share <= most:
            found.append(f"{share:.1%} of the candidates: {outcome.replace('_', ' ')}; {advice}.")
    found += [f"{warning[0].upper()}{warning[1:]}." for warning in summary.warnings]
    if not summary.rows:
        found.append("No item has an answer, so there are no figures.")
    return found


def headline(rows: Sequence[Row]) -> list[Row]:
    """Each method at its largest k, in the order of the summary."""
    largest = {(row.metric, row.method): row for row in rows}
    for row in rows:
        if row.k > largest[row.metric, row.method].k:
            largest[row.metric, row.method] = row
    return list(largest.values())


def _charts(rows: Sequence[Row]) -> list[dict[str, str]]:
    if not rows:
        return []
    rows = [row for row in rows if row.metric not in UNBOUNDED]
    if not rows:
        return []
    by_k = any(row.k for row in rows)
    return [(_accuracy_by_k if by_k else _accuracy_by_method)(rows), _accuracy_by_tokens(rows)]


def _accuracy_by_method(rows: Sequence[Row]) -> dict[str, str]:
    """Of methods that draw nothing."""
    figure = go.Figure()
    for color, row in zip(_colors(rows), rows, strict=True):
        figure.add_scatter(
            x=[row.value],
            y=[row.method],
            error_x={
                "array": [row.high - row.value],
                "arrayminus": [row.value - row.low],
                "thickness": 2,
            },
            hovertemplate="%{x:.1%}",
            mode="markers",
            name=row.method,
            showlegend=False,
            marker={"size": 11, "color": color},
        )
    title, label = f"{rows[0].metric} by method", f"{rows[0].metric}, 95 % interval"
    return _chart(figure, "method", title, label, SHARES, y_axis=METHODS)


def _accuracy_by_k(rows: Sequence[Row]) -> dict[str, str]:
    figure = go.Figure()
    ks = sorted({row.k for row in rows if row.k > 0}) or [1]
    for color, (method, curve) in zip(_colors(rows), _curves(rows).items(), strict=True):
        if curve[0].k == 0:
            # Greedy has no k: its interval runs the whole width.
            curve, xs = [curve[0], curve[0]], [ks[0] / 1.08, ks[-1] * 1.08]
            style = {"color": color, "width": 2, "dash": "dash"}
        else:
            xs, style = [float(row.k) for row in curve], {"color": color, "width": 2}
        band = {"fill": "toself", "fillcolor": _faint(color), "line": {"width": 0}}
        figure.add_scatter(
            x=[*xs, *reversed(xs)],
            y=[*(row.high for row in curve), *(row.low for row in reversed(curve))],
            legendgroup=method,
            showlegend=False,
            hoverinfo="skip",
            mode="lines",
            **band,
        )
        figure.add_scatter(
            x=xs,
            y=[row.value for row in curve],
            customdata=[[row.low, row.high] for row in curve],
            hovertemplate="%{y:.1%} (%{customdata[0]:.1%} to %{customdata[1]:.1%})",
            mode="lines" if curve[0].k == 0 else "lines+markers",
            name=method,
            legendgroup=method,
            line=style,
        )
    axis = {"type": "log", "tickvals": ks, "ticktext": [str(k) for k in ks]}
    return _chart(figure, "k", f"{rows[0].metric} against draws", "draws per item (k)", axis)


def _accuracy_by_tokens(rows: Sequence[Row]) -> dict[str, str]:
    figure = go.Figure()
    for color, (method, curve) in zip(_colors(rows), _curves(rows).items(), strict=True):
        points = [(row.tokens / row.items, row) for row in curve if row.tokens]
        figure.add_scatter(
            x=[tokens for tokens, _ in points],
            y=[row.value for _, row in points],
            error_y={
                "array": [row.high - row.value for _, row in points],
                "arrayminus": [row.value - row.low for _, row in points],
                "thickness": 1,
                "width": 3,
            },
            customdata=[[row.k] for _, row in points],
            hovertemplate="%{y:.1%} at %{x:,.0f} tokens (k = %{customdata[0]})",
            mode="lines+markers",
            name=method,
            line={"color": color, "width": 2},
            marker={"size": 11, "symbol": "star"} if curve[0].k == 0 else {"size": 6},
        )
    title = f"{rows[0].metric} against compute"
    return _chart(
        figure, "tokens", title, "tokens per item", {"type": "log", "dtick": math.log10(2)}
    )


def _chart(
    figure: Any,
    name: str,
    title: str,
    label: str,
    axis: dict[str, Any],
    y_axis: dict[str, Any] = SHARES,
) -> dict[str, str]:
    """Transparent: the page's light and dark colours show, and its script sets the text's."""
    figure.update_layout(
        margin={"l": 48, "r": 12, "t": 8, "b": 44},
        height=400,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="closest",
        legend={"orientation": "h", "y": -0.2},
        xaxis={"title": {"text": label}, **axis},
        yaxis=y_axis,
    )
    html = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"chart-{name}",
        config={"responsive": True, "displaylogo": False, "displayModeBar": False},
    )
    return {"title": title, "html": html}


def _curves(rows: Sequence[Row]) -> dict[str, list[Row]]:
    curves: dict[str, list[Row]] = {}
    for row in rows:
        curves.setdefault(row.method, []).append(row)
    return curves


def _colors(rows: Sequence[Row]) -> list[str]:
    return [COLORS[index % len(COLORS)] for index in range(len(_curves(rows)))]


def _faint(color: str) -> str:
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.14)"


def _shares(counts: dict[str, int]) -> list[tuple[str, int, float]]:
    total = max(sum(counts.values()), 1)
    return [(name, count, count / total) for name, count in counts.items()]


def _figure(value: float, metric: str) -> str:
    """In per cent, but for a scorer's own values."""
    return f"{value:.4g}" if metric in UNBOUNDED else f"{100 * value:.1f}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("results", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _figure
    environment.filters["percent"] = lambda value: f"{100 * value:.1f}"
    environment.filters["signed"] = lambda value: f"{100 * value:+.1f}".replace("-", "−")
    environment.filters["p"] = lambda value: "< 0.001" if value < 0.001 else f"{value:.3f}"
    return environment
