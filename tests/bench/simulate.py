"""simulate: a run on thousands of GPUs, and whether the model that says so can be believed.

Measured   the model of cluster_model.py, with driver costs measured here (driver_fit.py) and the
           published pace of an 8B model on an H100: tokens per second of 8 to 4,096 replicas of one
           GPU each, 1,000 items per GPU, 16 draws of about 300 tokens. Then real runs of paced fake
           replicas on this machine (paced.yaml): items per second.
Against    what the engines do with `in_flight` sequences at every step; for the real runs, what the
           model predicts of them, without anything fitted to them but the driver's costs.
Reading    the ratio is the share of the ideal that is reached. What is missing is the driver's (its
           core is busy all the time: more drivers, each with its share of replicas and items), the
           tail's (longer runs), or that of calls whose short candidates have ended and whose
           longest has not (a larger `in_flight`). Real runs: 1, or the model is wrong.

Where a driver can't keep up, a pool leaves its last replicas dry from early on: they count as tail.
Drivers share nothing, so one of them is simulated, and its tokens per second are multiplied. A run
of more than MAX_ITEMS is simulated shorter, which makes its tail look larger. `--items` is the
number of items per replica; `--repeats` repeats the real runs.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from pipelines.config import load
from tests.bench import driver_fit
from tests.bench.cluster_model import Costs, Engine, Forecast, Work, forecast
from tests.bench.measure import LILLIPUT, Result, Scale, Side, shown
from tests.bench.watched import finished

FLEETS = (8, 64, 512, 4096)
ITEMS = 1000
CANDIDATES = 16
MEAN_TOKENS, MAX_TOKENS = 300, 2048
SPREAD = 0.5
"""Assumed: of the log of a length, once for the item and once for each draw of it. The longest of
16 is then about twice as long as the mean."""
MAX_ITEMS = 600_000
BUSY = 0.8
"""Share of its time that a driver may be at work, where the number of drivers is chosen."""
NETWORK = 0.0005
"""Seconds; assumed for the way to another machine and back, on top of Ray's own."""

# Llama-3.1-8b-instruct, NVIDIA NIM 1.8.0, from docs.nvidia.com/nim/benchmarking/llm/1.0.0/
# performance: (sequences at once, output tokens/s). Prefill is in these figures. That page's tables
# name H100 80G; of these very rows an excerpt was read, without device count, engine and precision.
NIM = ((1, 214.56), (5, 1076.88), (25, 4678.88), (50, 8018.23), (100, 12214.97), (150, 12988.89))
# Llama 3.1 8B, vLLM 0.6.0 with 10 scheduler steps, max-num-seq=256: 8,088 output tokens/s, from
# github.com/LambdaLabsML/vllm-benchmark benchmark_v0.md. That table doesn't say whether the GPU was
# its H100 or its A100. The step without sequences: 16 GB of weights at 3.35 TB/s (H100 SXM).
VLLM_STEP = 16e9 / 3.35e12
VLLM = Engine(step=VLLM_STEP, each=1 / 8088.35 - VLLM_STEP / 256)

CHECK = "tests/bench/paced.yaml"
CHECK_REPLICAS = (1, 2, 4, 8, 16)
CHECK_ITEMS = 60
REPEATS = 3


def measure(scale: Scale) -> Iterator[Result]:
    """The driver against one GPU, fleets, what `in_flight` is worth, then the real runs."""
    items = scale.items or ITEMS
    costs = driver_fit.fit(min(driver_fit.ITEMS, 40 * items))
    far = replace(costs, round_trip=costs.round_trip + NETWORK)
    engine = published(NIM)
    one = forecast(_work(1, ITEMS), engine, far, num_replicas=1)
    fed = replicas_fed(far, one.items_per_second)
    yield _driver(far, one, fed)
    for num_gpus in FLEETS:
        for drivers in sorted({1, ceil(num_gpus / fed)}):
            yield _fleet("NIM 1.8", engine, far, num_gpus=num_gpus, drivers=drivers, items=items)
    yield _fleet("vLLM 0.6", VLLM, far, num_gpus=512, drivers=1, items=items)
    yield _in_flight(engine, far, items)
    yield from _check(costs, scale)


def published(points: tuple[tuple[int, float], ...]) -> Engine:
    """The line through seconds per step, which is sequences at once / tokens per second."""
    num, rate = np.array(points, dtype=float).T
    each, step = np.polyfit(num, num / rate, 1)
    return Engine(step=float(step), each=float(each))


def lengths(rng: np.random.Generator, num: int) -> NDArray[np.int64]:
    """Tokens of the candidates of one item: log-normal around the item's own log-normal mean."""
    logs = rng.normal(-(SPREAD**2) / 2, SPREAD) + rng.normal(-(SPREAD**2) / 2, SPREAD, num)
    tokens: NDArray[np.int64] = np.rint(MEAN_TOKENS * np.exp(logs)).astype(np.int64)
    return tokens.clip(1, MAX_TOKENS)


def item_cost(costs: Costs, num_candidates: int, num_tokens: float) -> float:
    """Seconds of the driver's core for one item, without the choice of a replica. In a large fleet
    nearly every item of a shard comes from another replica, which is probed.
    """
    return costs.item + costs.probe + costs.candidate * num_candidates + costs.token * num_tokens


def replicas_fed(costs: Costs, items_per_second: float) -> int:
    """Replicas R that keep a driver BUSY: R * rate * (cost + choice * R) = BUSY."""
    cost = item_cost(costs, CANDIDATES, CANDIDATES * MEAN_TOKENS)
    wanted = BUSY / items_per_second
    if not costs.choice:
        return max(1, int(wanted / cost))
    root = sqrt(cost**2 + 4 * costs.choice * wanted)
    return max(1, int((root - cost) / (2 * costs.choice)))


def _work(num_replicas: int, items: int) -> Work:
    num = min(MAX_ITEMS, num_replicas * items)
    shard = max(16, min(1024, ceil(num / 256)))  # As Job.shard_size.
    return Work(num_items=num, num_candidates=CANDIDATES, shard_size=shard, lengths=lengths)


def _driver(costs: Costs, one: Forecast, fed: int) -> Result:
    cost = item_cost(costs, CANDIDATES, CANDIDATES * MEAN_TOKENS)
    about = ", ".join(
        f"{name} {1e6 * getattr(costs, name):.3g}"
        for name in ("item", "candidate", "token", "commit", "probe", "choice")
    )
    ours = Side(command=f"1 / measured cost; in us: {about}", values=[1 / cost])
    other = Side(command="simulated: 1 replica", values=[one.items_per_second])
    what = f"one driver against one GPU; {BUSY:.0%} busy, it feeds {fed:,}"
    return Result(what=what, unit="items/s", ours=ours, other=other)


def _fleet(
    name: str, engine: Engine, costs: Costs, *, num_gpus: int, drivers: int, items: int
) -> Result:
    num_replicas = ceil(num_gpus / drivers)
    work = _work(num_replicas, items)
    found = forecast(work, engine, costs, num_replicas=num_replicas)
    number = f"{drivers} drivers" if drivers > 1 else "1 driver"
    what = (
        f"{num_gpus:,} GPUs ({name}), {number}: {found.driver_share:.0%} busy, "
        f"tail {found.tail_share:.1%}"
    )
    command = f"simulated: {num_replicas:,} replicas and {work.num_items:,} items of each driver"
    tokens = found.tokens_per_second * num_gpus / num_replicas
    ours = Side(command=command, values=[tokens])
    full = f"{engine.in_flight} sequences on every replica at every step"
    return Result(
        what=what,
        unit="tokens/s",
        ours=ours,
        other=Side(command=full, values=[engine.ideal * num_gpus]),
    )


def _in_flight(engine: Engine, costs: Costs, items: int) -> Result:
    sides = []
    for limit in (256, 128):
        set_to = replace(engine, in_flight=limit)
        found = forecast(_work(8, items), set_to, costs, num_replicas=8)
        command = f"simulated: 8 replicas, in_flight={limit}"
        sides.append(Side(command=command, values=[found.tokens_per_second]))
    large, small = sides
    what = "in_flight=256 against 128, 8 GPUs (NIM 1.8)"
    return Result(what=what, unit="tokens/s", ours=large, other=small)


def _check(costs: Costs, scale: Scale) -> Iterator[Result]:
    """Predicted and real items per second of the same runs."""
    per_replica = scale.items or CHECK_ITEMS
    for num_replicas in CHECK_REPLICAS:
        changes = (
            f"models.fake.replicas={num_replicas}",
            f"task.num_items={per_replica * num_replicas}",
        )
        predicted = check_forecast(costs, changes, num_replicas)
        real = Side(command=shown(LILLIPUT, "run", CHECK, *changes))
        for _ in range(scale.repeats or REPEATS):
            real.values.append(predicted.num_items / finished(CHECK, *changes)["seconds"])
        error = predicted.items_per_second / real.median - 1
        yield Result(
            what=f"{num_replicas} fake replicas, predicted against real: {error:+.1%}",
            unit="items/s",
            ours=Side(command="simulated: the same", values=[predicted.items_per_second]),
            other=real,
            at_least=0.9,
            at_most=1.1,
        )


def check_forecast(costs: Costs, changes: tuple[str, ...], num_replicas: int) -> Forecast:
    """The model of a run of CHECK, with everything read from that config."""
    config = load(CHECK, list(changes))
    model = config.models["fake"]
    num_words = np.array([len(text.split(" ")) for text in model.fake.texts])
    num_items = config.task["num_items"]
    work = Work(
        num_items=num_items,
        num_candidates=config.pipeline["n"],
        shard_size=max(16, min(1024, ceil(num_items / 256))),
        lengths=lambda rng, num: rng.choice(num_words, num),
    )
    engine = Engine(
        step=1 / model.fake.token_rate, latency=model.fake.latency, in_flight=model.room
    )
    return forecast(work, engine, costs, num_replicas=num_replicas)
