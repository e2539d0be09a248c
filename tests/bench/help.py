"""help: how long the command line takes to say what it is.

Measured   wall time of `lilliput --help`, median of 10.
Against    0.5 s, above which a command line feels slow.
Reading    at most 1. More means that something heavy is imported before it is asked for.
"""

from collections.abc import Iterator

from tests.bench.measure import LILLIPUT, Result, Scale, Side, finish, shown

LIMIT_SECONDS = 0.5
REPEATS = 10


def measure(scale: Scale) -> Iterator[Result]:
    """One result, in seconds."""
    command = [LILLIPUT, "--help"]
    values = [finish(command).seconds for _ in range(scale.repeats or REPEATS)]
    ours = Side(command=shown(*command), values=values)
    limit = Side(command="the limit", values=[LIMIT_SECONDS])
    yield Result(what="lilliput --help", unit="s", ours=ours, other=limit, at_most=1.0)
