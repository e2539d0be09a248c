"""What the driver's work costs on this machine, in seconds of one core: measured, not guessed.

Short runs of an engine that answers at once, each heavy in something else (candidates, tokens,
shards, replicas), give the driver's CPU time; non-negative least squares gives what each item,
candidate, token, commit and probe has in it, besides what a run costs once. The choice of a
replica, which grows with their number, is timed on a pool in this process.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls

from actors.config import ModelConfig, Replicas
from actors.host import HostInfo
from cluster.pool import Pool
from tests.bench.cluster_model import Costs
from tests.bench.watched import looks

CONFIG = "tests/bench/fake.yaml"
ITEMS = 2000
LONG = "word " * 298 + "#### 1"
"""300 tokens with the answer marked, as a model that follows its prompt ends them."""
ROUND_TRIP = 0.0015
"""Seconds; a call of an async Ray actor on one idle machine takes 1.3 ms, without a network."""
POOLS, CALLS = (64, 1024), 500

RUNS: Sequence[tuple[float, int, int, int, str]] = (
    (0.05, 1, 1024, 1, ""),
    (1.0, 1, 1024, 1, ""),
    (0.5, 16, 1024, 1, ""),
    (0.1, 16, 1024, 1, LONG),
    (1.0, 1, 16, 1, ""),
    (1.0, 1, 16, 16, ""),
)
"""(share of the items, candidates, shard size, replicas, text)"""


def fit(num_items: int = ITEMS) -> Costs:
    """Measure all of it: six runs, each of a few seconds and a start."""
    rows, seconds = [], []
    for share, num, shard, replicas, text in RUNS:
        items = max(32, round(share * num_items))
        cpu, tokens = _driver_cpu(
            f"task.num_items={items}",
            f"pipeline.n={num}",
            "pipeline.greedy=false",
            f"shard_size={shard}",
            f"models.fake.replicas={replicas}",
            "models.fake.cpus=0.02",
            *([f'models.fake.fake.texts=["{text}"]'] if text else []),
        )
        commits = -(-items // shard)
        probes = commits * min(shard, replicas)
        rows.append([items, items * num, tokens, commits, probes, 1])
        seconds.append(cpu)
    item, candidate, token, commit, probe, _ = solve(rows, seconds)
    return Costs(
        item=item,
        candidate=candidate,
        token=token,
        commit=commit,
        probe=probe,
        choice=asyncio.run(_choice()),
        round_trip=ROUND_TRIP,
    )


def solve(rows: Sequence[Sequence[float]], seconds: Sequence[float]) -> list[float]:
    """Seconds of each column, none below 0; a run counts as much as another, long or short."""
    weights = 1 / np.asarray(seconds, dtype=float)
    found, _ = nnls(np.asarray(rows, dtype=float) * weights[:, None], np.ones(len(seconds)))
    return [float(value) for value in found]


def _driver_cpu(*changes: str) -> tuple[float, float]:
    """The driver's CPU seconds while items are open, and the tokens they got."""
    begin, end, tokens = None, None, 0
    with tempfile.TemporaryDirectory() as folder:
        for look in looks(CONFIG, *changes, directory=f"{folder}/run"):
            if begin is None and look.status:
                begin = look.cpu_seconds
            if end is None and look.status.get("state") == "finished":
                end, tokens = look.cpu_seconds, look.status["tokens"]
    if begin is None or end is None:
        raise RuntimeError(f"the run with {' '.join(changes)} was over before it was seen")
    return end - begin, tokens


async def _choice() -> float:
    """Seconds per call and replica, from what a call costs in a small and in a large pool."""
    small, large = [await _call_seconds(num) for num in POOLS]
    return max(0.0, (large - small) / (POOLS[1] - POOLS[0]))


async def _call_seconds(num_replicas: int) -> float:
    config = ModelConfig(engine="fake", replicas=Replicas(min=num_replicas, max=num_replicas))
    pool = Pool("fake", config, lambda number, life: _Instant())
    await pool.start()
    begin = time.process_time()
    await asyncio.gather(*(pool.call("generate") for _ in range(CALLS)))
    seconds = (time.process_time() - begin) / CALLS
    await pool.stop()
    return seconds


class _Instant:
    """A replica that answers at once."""

    async def call(self, method: str, *args: Any) -> Any:
        if method == "start":
            return HostInfo(pid=0, node="", device="", context=0, seconds=0.0, probe=())
        return None

    def kill(self) -> None:
        """There is no process."""

    async def leaving(self) -> bool:
        return False

    async def last_lines(self, num: int) -> Sequence[str]:
        return ()
