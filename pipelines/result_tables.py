"""What the terminal shows of comparisons, gates and verifications."""

from collections.abc import Iterable

from rich.console import Console

from pipelines.gates import Gate
from pipelines.plain import plain_table
from results.compare import UNDECIDED, Comparison, ComparisonRow
from results.power import about
from results.verify import Verification

SHOWN = 20
"""Differences of one run that are told one by one."""


def print_comparison(out: Console, comparison: Comparison) -> None:
    """Differences with intervals, p-values and flips."""
    over = f"on {comparison.items:,} items answered in both"
    if not comparison.paired:
        over = "unpaired, each over the items that it answered"
    table = plain_table(f"{comparison.task}: B minus A {over}")
    for name in ("method", "metric", "k", "A", "B", "B - A", "95 % interval", "p", "p (Holm)"):
        table.add_column(name, justify="left" if name in ("method", "metric") else "right")
    if comparison.paired:
        table.add_column("gains/losses", justify="right")
    table.add_column("verdict")
    for row in comparison.rows:
        table.add_row(
            row.method,
            row.metric,
            str(row.k or "-"),
            f"{row.a:.1%}",
            f"{row.b:.1%}",
            f"{100 * row.difference:+z.1f}",
            f"{100 * row.low:+z.1f} to {100 * row.high:+z.1f}",
            f"{row.p:.3f}",
            f"{row.p_holm:.3f}",
            *([f"{row.gains}/{row.losses}"] if comparison.paired else []),
            _verdict(row),
        )
    out.print(table)
    say = [_detectable(comparison)] if comparison.rows else []
    if comparison.setting:
        name, a, b = comparison.setting
        say.append(f"settings differ, first in {name}: A {a!r}, B {b!r}")
    if comparison.paired and (comparison.only_a or comparison.only_b):
        say.append(f"left out: {comparison.only_a} items only in A, {comparison.only_b} only in B")
    if comparison.mixed:
        say.append("one of the runs is limited to a subset of the data set, the other is not")
    for line in say:
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def print_gate(out: Console, gate: Gate) -> None:
    """Each check with its interval, and why it came out so."""
    out.print("")
    table = plain_table("gate: B minus A in points")
    for name in ("task", "method", "metric", "k", "demand"):
        table.add_column(name, justify="right" if name == "k" else "left")
    for name in ("B - A", f"{100 * gate.confidence:.4g} % interval"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for check in gate.checks:
        found = check.ruling.difference
        points, interval = "", ""
        if found is not None:
            points = f"{100 * found.value:+z.1f}"
            interval = f"{100 * found.low:+z.1f} to {100 * found.high:+z.1f}"
        table.add_row(
            *(check.task, check.method, check.metric, str(check.k or "-"), check.demand),
            *(points, interval, check.ruling.verdict),
        )
    out.print(table)
    for check in gate.checks:
        name = f"{check.task} {check.method} {check.metric} k={check.k}"
        said = f"{check.ruling.verdict}: {name}: {check.ruling.reason}"
        out.print(said, highlight=False, markup=False, soft_wrap=True)
    out.print(f"gate: {gate.verdict}", highlight=False)


def print_verification(out: Console, found: Verification) -> None:
    """One line where all is well, else one for each difference."""
    of = f"{found.items:,} items in {found.parts:,} parts"
    if found.ok:
        line = f"{found.run}: verified: {found.figures:,} figures and the page follow from {of}"
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    for one in found.mismatches[:SHOWN]:
        line = f"{found.run}: {one.name}: wanted {one.wanted}, got {one.got}"
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    if any(one.name.startswith("report.html, ") for one in found.mismatches):
        said = (
            f"{found.run}: a page of another version differs too; `lilliput report` makes it anew"
        )
        out.print(said, highlight=False, markup=False, soft_wrap=True)
    if len(found.mismatches) > SHOWN:
        out.print(f"{found.run}: and {len(found.mismatches) - SHOWN:,} more differences")


def _verdict(row: ComparisonRow) -> str:
    # With as many items as there are, Holm's adjustment alone may leave a row undecided.
    if row.verdict != UNDECIDED or (row.items_needed or 0) <= row.items:
        return row.verdict
    return f"{row.verdict} ({about(row.items_needed or 0)} items would)"


def _detectable(comparison: Comparison) -> str:
    items = f"{comparison.items:,} items" if comparison.paired else "so many items on each side"
    said = (
        f"smallest difference that {items} could show: "
        f"{_points(row.detectable for row in comparison.rows)} "
        "(found with 80 % power at p < 0.05, before Holm)"
    )
    if not comparison.paired:
        return said
    apart = _points(row.detectable_unpaired for row in comparison.rows)
    return f"{said}; were they different items in A and B: {apart}"


def _points(effects: Iterable[float]) -> str:
    shown = [f"{100 * effect:.1f}" for effect in effects]
    least, most = min(shown, key=float), max(shown, key=float)
    return f"{least} points" if least == most else f"{least} to {most} points by row"
