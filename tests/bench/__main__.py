"""python -m tests.bench [NAME ...] [--items N] [--repeats N]: measure, and print a table.

From the project root, on a machine that does nothing else. Without names, all of them. `--items`
and `--repeats` make a rehearsal of it. Exit code 1 when a wanted ratio is missed.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping

from rich.console import Console
from rich.table import Table

from tests.bench import (
    choice_parity,
    choice_speed,
    demo,
    driver_cost,
    help,
    overhead,
    pikl,
    recovery,
    replay_sizes,
    reward_speed,
    sandbox_speed,
    simulate,
    start_to_finish,
)
from tests.bench.measure import Result, Scale, Side, hardware

BENCHMARKS: Mapping[str, Callable[[Scale], Iterator[Result]]] = {
    "help": help.measure,
    "overhead": overhead.measure,
    "demo": demo.measure,
    "pikl": pikl.measure,
    "start_to_finish": start_to_finish.measure,
    "driver_cost": driver_cost.measure,
    "recovery": recovery.measure,
    "simulate": simulate.measure,
    "choice_parity": choice_parity.measure,
    "choice_speed": choice_speed.measure,
    "reward_speed": reward_speed.measure,
    "sandbox_speed": sandbox_speed.measure,
    "replay_sizes": replay_sizes.measure,
}
"""The quick ones first."""


def main() -> int:
    """Measure what is asked for; every result is printed as it comes, the table at the end."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--items", type=int, help="items of each run; for a rehearsal")
    parser.add_argument("--repeats", type=int, help="repeats of each measurement")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; known: {', '.join(BENCHMARKS)}")
    scale = Scale(items=asked.items, repeats=asked.repeats)
    console = Console(width=max(120, Console().width))
    console.print(hardware(), highlight=False, markup=False)
    results = []
    for name in asked.names or BENCHMARKS:
        for result in BENCHMARKS[name](scale):
            results.append((name, result))
            console.print(
                f"\n{name}: {result.what}\n{commands(result)}", highlight=False, markup=False
            )
    console.print(table(results))
    console.print(f"load at the end: {os.getloadavg()[0]:.1f}", highlight=False, markup=False)
    return int(any(result.verdict == "MISSED" for _, result in results))


def commands(result: Result) -> str:
    """Both commands, and every repeat of each."""
    sides = {"ours": result.ours, "other": result.other}
    lines = [
        f"  {label:5}  {side.command}\n         {_repeats(side)}" for label, side in sides.items()
    ]
    return "\n".join([*lines, *([f"  skipped: {result.skipped}"] if result.skipped else [])])


def table(results: list[tuple[str, Result]]) -> Table:
    """One row for each result: medians, ratio, verdict."""
    rows = Table("benchmark", "measured", "unit", title="medians")
    for name in ("ours", "other", "ratio"):
        rows.add_column(name, justify="right")
    rows.add_column("wanted")
    rows.add_column("verdict")
    for name, result in results:
        ours, other = (_number(side) for side in (result.ours, result.other))
        ratio = "-" if result.ratio is None else f"{result.ratio:.2f}"
        rows.add_row(
            name, result.what, result.unit, ours, other, ratio, result.wanted, result.verdict
        )
    return rows


def _number(side: Side) -> str:
    return f"{side.median:,.4g}" if side.values else "-"


def _repeats(side: Side) -> str:
    return "  ".join(f"{value:,.4g}" for value in side.values) or "not run"


if __name__ == "__main__":
    sys.exit(main())
