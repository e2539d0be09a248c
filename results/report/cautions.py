"""What a reader must know before any figure."""

from collections.abc import Sequence
from typing import TypeVar

from results.figure import Figure
from results.manifest import Manifest
from results.pitfalls import MANY_TRUNCATED
from results.report.text import PLAIN
from results.summary import Row, Summary

ALARM = 0.05
"""Share of truncated candidates, or of those without an answer, from which the page warns, and a
summary not yet (`pitfalls`)."""
WIDE = 0.2
"""Width of an interval from which figures tell little apart: 20 points."""


def cautions(summary: Summary, manifest: Manifest) -> list[str]:
    """All that is to be said of a run, worst first."""
    return [*unfinished(summary, manifest), *warnings(summary)]


def unfinished(summary: Summary, manifest: Manifest) -> list[str]:
    """Says so when the run holds fewer items than it was asked for."""
    there, wanted = sum(summary.items.values()), manifest.about.get("num_items", 0)
    if there >= wanted:
        return []
    return [f"Unfinished: {there:,} of {wanted:,} items are committed; run the same command again."]


def warnings(summary: Summary) -> list[str]:
    """Worst first."""
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
        share, whose = summary.outcomes[outcome] / total, ""
        if share <= ALARM:
            # One of many may be hidden among the others.
            share, whose = _worst(summary, outcome)
        if share > ALARM and (whose or share <= most):
            what = outcome.replace("_", " ")
            found.append(f"{share:.1%} of the candidates{whose}: {what}; {advice}.")
    found += [f"{warning[0].upper()}{warning[1:]}." for warning in summary.warnings]
    if not summary.rows:
        found.append("No item has an answer, so there are no figures.")
    return found + _wide(headline(summary.rows))


def _worst(summary: Summary, outcome: str) -> tuple[float, str]:
    """The largest share of one member and decoding, and whose it is."""
    shares = [
        (row.outcomes[outcome] / max(sum(row.outcomes.values()), 1), row) for row in summary.members
    ]
    share, row = max(shares, key=lambda one: one[0], default=(0.0, None))
    return share, f" of {row.member} {row.decoding}" if row else ""


S = TypeVar("S", bound=Figure)


def headline(rows: Sequence[S]) -> list[S]:
    """Each method at its largest k under each metric, in the order given."""
    largest = {(row.metric, row.method): row for row in rows}
    for row in rows:
        if row.k > largest[row.metric, row.method].k:
            largest[row.metric, row.method] = row
    return list(largest.values())


def _wide(rows: Sequence[Row]) -> list[str]:
    shares = [row for row in rows if row.metric == rows[0].metric and row.metric not in PLAIN]
    widest = max(shares, key=lambda row: row.high - row.low, default=None)
    if widest is None or widest.high - widest.low <= WIDE:
        return []
    points = 100 * (widest.high - widest.low)
    return [
        f"Wide intervals: up to {points:.0f} points ({widest.method}, {widest.items:,} items); "
        "four times the items would halve them."
    ]
