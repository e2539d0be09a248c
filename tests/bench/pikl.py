"""pikl: how long the game of equilibrium ranking takes for a large run's questions.

Measured   wall time and peak memory of a process that plays 100,000 games of 4 candidates, 5,000
           iterations each, in float64 on all cores (`python -m tests.bench.pikl 100000`).
Against    30 s and 512 MiB; and the same update one question at a time in NumPy, as it is written
           in the paper, measured on 5 questions and scaled up to all of them.
Reading    at most 1. The games cost no model calls: this is all that they add to a run.
"""

import sys
import time
from collections.abc import Iterator

import numpy as np

from pipelines.methods.pikl import solve
from tests.bench.measure import PYTHON, Result, Scale, Side, finish, shown
from tests.pipelines.consensus_oracle import first_policies, games, naive

ITEMS, CANDIDATES, ITERATIONS = 100_000, 4, 5000
LIMIT_SECONDS, LIMIT_MIB = 30.0, 512.0
FEW = 5
REPEATS = 3


def measure(scale: Scale) -> Iterator[Result]:
    """Three results: seconds twice, and MiB."""
    items, repeats = scale.items or ITEMS, scale.repeats or REPEATS
    command = [PYTHON, "-m", "tests.bench.pikl", str(items)]
    seconds, memory = Side(command=shown(*command)), Side(command=shown(*command))
    single = Side(command=f"one question at a time: {FEW} questions, scaled to {items:,}")
    for _ in range(repeats):
        finished = finish(command)
        seconds.values.append(finished.seconds)
        memory.values.append(finished.peak_mib)
        single.values.append(_one_at_a_time() * items / FEW)
    limit = Side(command="the limit", values=[LIMIT_SECONDS * items / ITEMS])
    ceiling = Side(command="the limit", values=[LIMIT_MIB])
    what = f"{items:,} games, {ITERATIONS:,} iterations"
    yield Result(what=what, unit="s", ours=seconds, other=limit, at_most=1.0)
    yield Result(what=f"{what}; one by one", unit="s", ours=seconds, other=single, at_most=1.0)
    yield Result(what=f"{what}; memory", unit="MiB", ours=memory, other=ceiling, at_most=1.0)


def _one_at_a_time() -> float:
    """Seconds for FEW questions."""
    log_generator, log_discriminator = games(0, FEW, CANDIDATES)
    pairs = zip(log_generator[:, None], log_discriminator[:, None], strict=True)
    anchored = [first_policies(pair) for pair in pairs]
    begin = time.perf_counter()
    for tau in anchored:
        naive(tau, num=ITERATIONS)
    return time.perf_counter() - begin


def main(items: int) -> None:
    """Play that many games. Raises RuntimeError where a policy isn't one."""
    found = solve(*games(0, items, CANDIDATES), iterations=ITERATIONS)
    if not np.allclose(found.generator_QVN.sum(axis=-1), 1.0):
        raise RuntimeError("wanted policies that sum to 1")


if __name__ == "__main__":
    main(int(sys.argv[1]))
