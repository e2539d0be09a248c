"""overhead: what the driver itself can do, with an engine that answers at once.

Measured   items per second while items are open (status.json) with 4, 8, 16 and 64 replicas, and
           the driver's peak resident memory on 100,000 generated items; on as many as the
           environment variable LARGE_ITEMS says, such as 1000000, where it is set. Then items per
           second of 16 replicas with their items worked off in 1 and 2 runners.
Against    the same with 1 replica, on 10,000 items, and in the driver (`cluster.runners: 0`).
Reading    throughput: about 1. One driver feeds all replicas, and here each item is nothing but
           driver work, so more replicas can't help; they must not hurt. Where the machine has few
           cores the replicas' own processes take some of the driver's.
           Runners: 1 costs what sending shards costs. 2 double the throughput where there are cores
           for them; on two cores, which the replicas share, they can't.
           Memory: near 1 is flat: a run of any size fits. The records are in shards on disk.
"""

import os
from collections.abc import Iterator

from tests.bench.measure import LILLIPUT, Result, Scale, Side, lilliput_run, shown
from tests.bench.watched import finished

CONFIG = "tests/bench/fake.yaml"
ITEMS = 10_000
REPLICAS = (4, 8, 16, 64)
RUNNERS = (1, 2)
REPEATS = 3


def measure(scale: Scale) -> Iterator[Result]:
    """Items per second at each number of replicas, then MiB at each size."""
    items = scale.items or ITEMS
    repeats = scale.repeats or REPEATS
    yield from _throughput(items, repeats)
    yield from _runners(items, repeats)
    yield from _memory(items)


def _throughput(items: int, repeats: int) -> Iterator[Result]:
    """By number of replicas."""
    sides = [_side(items, f"models.fake.replicas={replicas}") for replicas in (1, *REPLICAS)]
    one, *others = _in_turn(sides, items, repeats)
    for replicas, side in zip(REPLICAS, others, strict=True):
        what = f"{replicas} replicas against 1, {items:,} items, n=1"
        yield Result(what=what, unit="items/s", ours=side, other=one, at_least=0.8)


def _runners(items: int, repeats: int) -> Iterator[Result]:
    """By number of runners; those have no start of a fleet in their time either."""
    sixteen = "models.fake.replicas=16"
    sides = [_side(items, sixteen, f"cluster.runners={runners}") for runners in (0, *RUNNERS)]
    none, *others = _in_turn(sides, items, repeats)
    for runners, side in zip(RUNNERS, others, strict=True):
        what = f"{runners} runners against the driver, 16 replicas, {items:,} items, n=1"
        yield Result(what=what, unit="items/s", ours=side, other=none, at_least=0.8)


Changes = tuple[str, ...]


def _side(items: int, *changes: str) -> tuple[Changes, Side]:
    changes = (*changes, "models.fake.cpus=0.02", f"task.num_items={items}", "pipeline.n=1")
    return changes, Side(command=shown(LILLIPUT, "run", CONFIG, *changes))


def _in_turn(sides: list[tuple[Changes, Side]], items: int, repeats: int) -> list[Side]:
    """They take turns, so that a busy minute hits them all."""
    for _ in range(repeats):
        for changes, side in sides:
            side.values.append(items / finished(CONFIG, *changes)["seconds"])
    return [side for _, side in sides]


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
