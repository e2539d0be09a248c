"""demo: how long a newcomer waits for the first report, with everything installed.

Measured   wall time of `lilliput run demo` on this machine.
Against    6 minutes on 2 cores.
Reading    at most 1.
"""

from collections.abc import Iterator

from tests.bench.measure import LILLIPUT, Result, Scale, Side, lilliput_run, shown

LIMIT_SECONDS = 360.0
REPEATS = 1


def measure(scale: Scale) -> Iterator[Result]:
    """One result, in seconds."""
    arguments = ("demo", *(() if scale.items is None else (f"task.num_items={scale.items}",)))
    values = [lilliput_run(*arguments)[0].seconds for _ in range(scale.repeats or REPEATS)]
    ours = Side(command=shown(LILLIPUT, "run", *arguments), values=values)
    limit = Side(command="the limit", values=[LIMIT_SECONDS])
    yield Result(what="lilliput run demo", unit="s", ours=ours, other=limit, at_most=1.0)
