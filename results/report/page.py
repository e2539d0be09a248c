"""report.html, made of summaries, manifests and as many items as fit."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from results.compare import Comparison, compare
from results.directories import Directory, Where, open_directory, unwritable
from results.errors import ResultsError
from results.manifest import Manifest, read_manifest
from results.overlap import OverlapRow
from results.parts import read_records
from results.pools import Named
from results.report import text
from results.report.browser import Packed, pack
from results.report.cautions import cautions, headline
from results.report.figures import charts, headline_metric, numbers
from results.report.svg import NUM_COLORS, share_axis, value_axis
from results.report.sweeps import by_category, by_pool, greedy_and_draws
from results.report.types import Chart, Dots, Track
from results.schema import OUTCOMES
from results.summarize import summarize_run
from results.summary import Row, Summary, read_summary, write_summary

VERSUS = (
    ("versus_greedy", "vs greedy"),
    ("versus_first", "vs one draw"),
    ("versus_likeliest", "vs G"),
)
"""Differences of a row, and how the page calls them."""
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'sha256-{script}'; connect-src {connect}"
)
"""Only the page's own script runs, whatever else gets into it, and nothing is loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A run as it is shown."""

    name: str
    directory: Directory
    manifest: Manifest
    summary: Summary

    @property
    def num_items(self) -> int:
        return sum(self.summary.items.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A run beside the first one: B minus A, or why there is no such thing."""

    a: str
    b: str
    comparison: Comparison | None
    why_not: str = ""


def write_report(run_dir: Where, summary: Summary | None = None) -> str:
    """Write report.html into a run directory, and summary.json anew from the records unless the
    caller has just made that summary; returns the page's path or URL.

    Raises ResultsError: no run directory, damaged records, no access.
    """
    shown = load(run_dir, summary)
    return put(shown.directory, "report.html", render([shown]))


def put(directory: Directory, name: str, content: str) -> str:
    """Write a file; returns its path or URL. Raises ResultsError."""
    try:
        directory.put(name, content.encode(errors="replace"))
    except OSError as error:
        raise unwritable(directory, name, error) from error
    return f"{directory}/{name}"


def load(run_dir: Where, summary: Summary | None = None) -> Shown:
    """A run with its summary, made anew from the records unless given. Raises ResultsError."""
    directory = open_directory(run_dir)
    manifest = read_manifest(directory)
    if summary is None:
        summary = summarize_run(directory, manifest)
        write_summary(directory, summary)
    return Shown(name=directory.name, directory=directory, manifest=manifest, summary=summary)


def served_page(directory: Directory) -> str:
    """The page of a run whose items are asked for. Its figures are those of summary.json: nothing
    is computed, since runs of any size must open at once. Raises ResultsError where no run is.
    """
    manifest, summary = read_manifest(directory), read_summary(directory)
    missing = summary is None
    summary = summary or Summary(
        rows=(), outcomes=dict.fromkeys(OUTCOMES, 0), usage={}, items={"ok": 0}
    )
    shown = Shown(name=directory.name, directory=directory, manifest=manifest, summary=summary)
    return render([shown], served=True, missing=missing)


def render(runs: Sequence[Shown], *, served: bool = False, missing: bool = False) -> str:
    """The page. served: items are asked for, not held. missing: there is no summary yet."""
    packed = [] if served else [pack(read_records(r.directory), 1 / len(runs)) for r in runs]
    script = files("results.report").joinpath("browser.js").read_text(encoding="utf-8")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = POLICY.format(script=digest, connect="'self'" if served else "'none'")
    beside = [headline_metric(run.summary.rows) for run in runs]
    return (
        _environment()
        .get_template("page.html")
        .render(
            policy=policy,
            script=script,
            title=_title(runs),
            runs=runs,
            missing=missing,
            served=served,
            charts=[charts(run.summary, [r for rows in beside for r in rows]) for run in runs],
            compared=compared(runs),
            packed=packed,
            setup=_setup(runs, packed, served=served),
            outcomes=OUTCOMES,
        )
    )


def compared(runs: Sequence[Shown]) -> list[Compared]:
    """Each run beside the first."""
    found = []
    for other in runs[1:]:
        comparison, why_not = None, ""
        try:
            comparison = compare(runs[0].directory, other.directory)
        except ResultsError as error:
            why_not = str(error)
        names = {"a": runs[0].name, "b": other.name}
        found.append(Compared(**names, comparison=comparison, why_not=why_not))
    return found


def tables(run: Shown) -> list[list[Row]]:
    """The headline rows, metric by metric."""
    found: dict[str, list[Row]] = {}
    for row in headline(run.summary.rows):
        found.setdefault(row.metric, []).append(row)
    return list(found.values())


def track(bounded: Sequence[Any], *, differences: bool = False) -> Track:
    """A scale for all of these intervals, with 0 in it for differences."""
    if differences:
        ends = [100 * end for one in bounded for end in (one.low, one.high)]
        axis = value_axis("", [*ends, 0.0])
        ticks = [(v / 100, f"{v:+.3g}".replace("-", "−") if v else "0") for v, _ in axis.ticks]
        zero = next(place for place, (v, _) in enumerate(ticks) if not v)
        stride = max(len(ticks) // 3, 1)
        return Track(axis.low / 100, axis.high / 100, ticks[zero % stride :: stride])
    if bounded[0].metric in text.PLAIN:
        axis = value_axis("", [end for one in bounded for end in (one.low, one.high)])
    else:
        axis = share_axis("", bounded)
    return Track(axis.low, axis.high, axis.ticks[:: max(len(axis.ticks) // 3, 1)])


def peers(runs: Sequence[Shown], metric: str) -> list[Row]:
    """Headline rows of all runs under a metric, which share a scale."""
    return [row for run in runs for row in headline(run.summary.rows) if row.metric == metric]


def dot_track(dots: Sequence[Dots]) -> Track:
    """A scale for greedy decoding and draws."""
    return track([row for one in dots for row in (one.greedy, one.draw) if row])


def dots_of(runs: Sequence[Shown]) -> list[Dots]:
    """Greedy decoding and draws of all runs, each with its run's name where there are several."""
    return [
        dots if len(runs) < 2 else replace(dots, label=f"{dots.label} · {run.name}")
        for run in runs
        if run.summary.rows
        for dots in greedy_and_draws(run.summary)
    ]


def versus(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """The differences that some row has."""
    return [
        (name, title)
        for name, title in VERSUS
        if any(getattr(row, name) is not None for row in rows)
    ]


def overlaps(run: Shown) -> list[tuple[str, list[str], dict[tuple[str, str], Any]]]:
    """Of each pool its name, its methods, and how often two of them agree."""
    pools: dict[str, list[OverlapRow]] = {}
    for row in run.summary.overlaps:
        pools.setdefault(Named.read(row.first).pool, []).append(row)
    return [
        (
            pool,
            list(dict.fromkeys(name for row in rows for name in (row.first, row.second))),
            {(row.first, row.second): row for row in rows},
        )
        for pool, rows in pools.items()
    ]


def _setup(runs: Sequence[Shown], packed: Sequence[Packed], *, served: bool) -> dict[str, Any]:
    """What the browser's script must know."""
    summaries = [run.summary for run in runs]
    members = [row for summary in summaries for row in summary.members]
    categories = [row.category for summary in summaries for row in summary.categories]
    return {
        "served": served,
        "runs": [run.name for run in runs],
        "total": sum(r.num_items or r.manifest.about.get("num_items", 0) for r in runs),
        "held": sum(one.num_items for one in packed),
        "outcome": [o for o in OUTCOMES if served or any(s.outcomes[o] for s in summaries)],
        "member": list(dict.fromkeys(row.member for row in members)),
        "decoding": list(dict.fromkeys(row.decoding for row in members)),
        "category": sorted(set(categories))[:500],
    }


def _title(runs: Sequence[Shown]) -> str:
    names = []
    for rows in (run.summary.rows for run in runs if run.summary.rows):
        members = "+".join(dict.fromkeys(row.member for row in rows))
        names.append(" · ".join(filter(None, [rows[0].task, members])))
    title = ", ".join(dict.fromkeys(names)) or runs[0].name
    return title if len(runs) < 2 else f"{title}: {', '.join(run.name for run in runs)}"


def _side_by_side(charts: Sequence[Sequence[Chart]]) -> list[tuple[int, Chart]]:
    """The first chart of each run, the second of each, ...; with the run's number."""
    longest = max(map(len, charts), default=0)
    return [
        (run, own[place])
        for place in range(longest)
        for run, own in enumerate(charts)
        if place < len(own)
    ]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("results.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("figure", "signed", "p_value", "count", "parameters")
    environment.filters.update({name: getattr(text, name) for name in names})
    environment.filters["dots"] = dots_of
    environment.filters["zipped"] = _side_by_side
    environment.filters["manifest"] = lambda manifest: json.dumps(asdict(manifest), indent=2)
    environment.globals.update(
        by_pool=by_pool,
        by_category=by_category,
        cautions=cautions,
        tables=tables,
        track=track,
        dot_track=dot_track,
        largest=headline,
        versus=versus,
        overlaps=overlaps,
        peers=peers,
        numbers=numbers,
        NUM_COLORS=NUM_COLORS,
        plain=text.PLAIN,
    )
    return environment
