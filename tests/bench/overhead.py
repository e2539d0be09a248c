"""overhead: what the driver itself can do, with an engine that answers at once.

Measured   items per second of the generation phase (run.json's timing) with 8 replicas, and the
           driver's peak resident memory on 100,000 generated items.
Against    the same with 1 replica, and on 10,000 items.
Reading    throughput: about 1. One driver feeds all replicas, and here each item is nothing but
           driver work, so more replicas can't help; they must not hurt.
           Memory: near 1 is flat: a run of any size fits. The records are in shards on disk.
"""

from collections.abc import Iterator

from tests.bench.measure import LILLIPUT, Result, Scale, Side, lilliput_run, shown

CONFIG = "tests/bench/fake.yaml"
ITEMS = 10_000
REPEATS = 3


def measure(scale: Scale) -> Iterator[Result]:
    """Items per second at 1 and 8 replicas, then MiB at two sizes."""
    items = scale.items or ITEMS
    repeats = scale.repeats or REPEATS
    yield _throughput(items, repeats)
    yield _memory(items)


def _throughput(items: int, repeats: int) -> Result:
    sides = {}
    for replicas in (1, 8):
        changes = (f"models.fake.replicas={replicas}", f"task.num_items={items}", "pipeline.n=1")
        sides[changes] = Side(command=shown(LILLIPUT, "run", CONFIG, *changes))
    for _ in range(repeats):
        for changes, side in sides.items():
            _, timing = lilliput_run(CONFIG, *changes)
            side.values.append(items / timing["run_seconds"])
    one, eight = sides.values()
    what = f"8 replicas against 1, {items:,} items, n=1"
    return Result(what=what, unit="items/s", ours=eight, other=one, at_least=0.8)


def _memory(items: int) -> Result:
    """Once each: a peak varies little, and the large run takes minutes."""
    sides = []
    for count in (items, 10 * items):
        changes = (f"task.num_items={count}", "pipeline.n=2")
        finished, _ = lilliput_run(CONFIG, *changes)
        command = shown(LILLIPUT, "run", CONFIG, *changes)
        sides.append(Side(command=command, values=[finished.peak_mib]))
    small, large = sides
    what = f"driver's peak memory, {10 * items:,} items against {items:,}, n=2"
    return Result(what=what, unit="MiB", ours=large, other=small, at_most=1.5)
