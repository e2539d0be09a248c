"""overhead: what the driver itself can do, with an engine that answers at once.

Measured   items per second while items are open (status.json) with 4, 8, 16 and 64 replicas, and
           the driver's peak resident memory on 100,000 generated items; on as many as the
           environment variable LARGE_ITEMS says, such as 1000000, where it is set.
Against    the same with 1 replica, and on 10,000 items.
Reading    throughput: about 1. One driver feeds all replicas, and here each item is nothing but
           driver work, so more replicas can't help; they must not hurt. Where the machine has few
           cores the replicas' own processes take some of the driver's.
           Memory: near 1 is flat: a run of any size fits. The records are in shards on disk.
"""

import os
from collections.abc import Iterator

from tests.bench.measure import LILLIPUT, Result, Scale, Side, lilliput_run, shown
from tests.bench.watched import finished

CONFIG = "tests/bench/fake.yaml"
ITEMS = 10_000
REPLICAS = (4, 8, 16, 64)
REPEATS = 3


def measure(scale: Scale) -> Iterator[Result]:
    """Items per second at each number of replicas, then MiB at each size."""
    items = scale.items or ITEMS
    repeats = scale.repeats or REPEATS
    yield from _throughput(items, repeats)
    yield from _memory(items)


def _throughput(items: int, repeats: int) -> Iterator[Result]:
    """They take turns, so that a busy minute hits them all."""
    sides = {}
    for replicas in (1, *REPLICAS):
        changes = (
            f"models.fake.replicas={replicas}",
            "models.fake.cpus=0.02",
            f"task.num_items={items}",
            "pipeline.n=1",
        )
        sides[changes] = Side(command=shown(LILLIPUT, "run", CONFIG, *changes))
    for _ in range(repeats):
        for changes, side in sides.items():
            side.values.append(items / finished(CONFIG, *changes)["seconds"])
    one, *others = sides.values()
    for replicas, side in zip(REPLICAS, others, strict=True):
        what = f"{replicas} replicas against 1, {items:,} items, n=1"
        yield Result(what=what, unit="items/s", ours=side, other=one, at_least=0.8)


def _memory(items: int) -> Iterator[Result]:
    """Once each: a peak varies little, and the large run takes minutes."""
    asked = os.environ.get("LARGE_ITEMS")
    small = _peak(items)
    for count in (10 * items, *([int(asked)] if asked else [])):
        what = f"driver's peak memory, {count:,} items against {items:,}, n=2"
        yield Result(what=what, unit="MiB", ours=_peak(count), other=small, at_most=1.5)


def _peak(items: int) -> Side:
    changes = (f"task.num_items={items}", "pipeline.n=2")
    run, _ = lilliput_run(CONFIG, *changes)
    command = shown(LILLIPUT, "run", CONFIG, *changes)
    return Side(command=command, values=[run.peak_mib])
