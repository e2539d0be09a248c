"""Programs per second through the sandbox's pool, and how that grows with its replicas.

HumanEval's reference programs, each several times over with a comment of its own so that none is
run once for several, go through Ray as in a run: one call for each program. Nothing is generated.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence

from actors.config import Replicas
from actors.sandbox.config import SANDBOX, SandboxConfig
from actors.sandbox.types import Program
from cluster import ClusterConfig, launch
from pipelines.tasks import load_task
from tests.bench.measure import Result, Scale, Side

REPLICAS = (1, 2)
ITEMS = 164
REPEATS = 3


def programs(num: int) -> list[Program]:
    """That many, all right and no two alike."""
    task = load_task({"name": "humaneval"})
    pairs = list(task.solutions())  # type: ignore[attr-defined]
    found = []
    for number in range(num):
        item, right = pairs[number % len(pairs)]
        program = task.program(item, f"```python\n{right}\n# {number}\n```", "stop")
        assert program is not None
        found.append(program)
    return found


async def rates(replicas: int, wanted: Sequence[Program], repeats: int) -> list[float]:
    """Programs per second of each repeat, on a pool that is healthy already."""
    config = SandboxConfig(replicas=Replicas(min=replicas, max=replicas))
    async with launch(ClusterConfig(), {SANDBOX: config}) as fleet:
        sandbox = fleet.sandbox
        assert sandbox is not None
        found = []
        for _ in range(repeats):
            begin = time.monotonic()
            verdicts = await asyncio.gather(*map(sandbox.run, wanted))
            found.append(len(wanted) / (time.monotonic() - begin))
            assert all(verdict.outcome == "passed" for verdict in verdicts)
        return found


def measure(scale: Scale) -> Iterator[Result]:
    """Two replicas against one."""
    wanted, repeats = programs(scale.items or ITEMS), scale.repeats or REPEATS
    one, two = (
        Side(command=f"sandbox.replicas={num}", values=asyncio.run(rates(num, wanted, repeats)))
        for num in REPLICAS
    )
    yield Result(
        what="programs through the sandbox's pool: two replicas against one",
        unit="programs/s",
        ours=two,
        other=one,
    )
