"""Who works a run off: this process on a fleet of its own, or runners elsewhere.

cluster.runners: 0   OwnFleet           items flow through this process
cluster.runners: N   sharded.Runners    shards go to N runners; this process keeps count
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from actors.sandbox.types import Program, Verdict
from actors.types import Item, Preview
from cluster import Fleet, launch, launch_runners
from cluster.replica import ReplicaState
from pipelines import runner
from pipelines.job import Job
from pipelines.progress import Progress
from pipelines.sharded import Runners, ShardRunner, errand
from results.store import Store


class Crew(Protocol):
    """What a driver does with whoever works."""

    @property
    def restarts(self) -> int: ...

    @property
    def busy_seconds(self) -> Mapping[str, float]:
        """By model: of all its replicas together, while they held calls."""
        ...

    def replicas(self) -> Sequence[ReplicaState]: ...

    def infos(self) -> Sequence[Mapping[str, Any]]:
        """Of every replica that was healthy: its model, node, device, context, seconds to load."""
        ...

    async def look(self) -> None:
        """Bring all of the above up to date."""
        ...

    async def preview(self, model: str, item: Item) -> Preview | None:
        """See `roles.Model.preview`."""
        ...

    async def test(self, program: Program) -> Verdict:
        """See `roles.Sandbox`; of a job that runs code."""
        ...

    async def run(self, job: Job, store: Store, progress: Progress, stop: asyncio.Event) -> bool:
        """See `runner.run`."""
        ...


class OwnFleet:
    """A fleet that this process feeds."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    @property
    def restarts(self) -> int:
        return self._fleet.restarts

    @property
    def busy_seconds(self) -> Mapping[str, float]:
        return self._fleet.busy_seconds

    def replicas(self) -> Sequence[ReplicaState]:
        return self._fleet.replicas()

    def infos(self) -> Sequence[Mapping[str, Any]]:
        return self._fleet.infos()

    async def look(self) -> None:
        """All of it is known here at any time."""

    async def preview(self, model: str, item: Item) -> Preview | None:
        return await self._fleet.models[model].preview(item)

    async def test(self, program: Program) -> Verdict:
        assert self._fleet.sandbox is not None, "Job.pools has one for every task that runs code"
        return await self._fleet.sandbox.run(program)

    async def run(self, job: Job, store: Store, progress: Progress, stop: asyncio.Event) -> bool:
        return await runner.run(job, store, self._fleet, progress, stop)


@asynccontextmanager
async def assemble(runs: Sequence[tuple[Job, Store]]) -> AsyncIterator[Crew]:
    """Start what the config of these runs asks for; end it at the end. Of a fleet that several runs
    share the engines' logs are with the first.

    Raises as `launch` and `launch_runners` do.
    """
    (job, store), *_ = runs
    cluster = job.config.cluster
    pools = {name: pool for each, _ in runs for name, pool in each.pools.items()}
    if not cluster.runners:
        async with launch(cluster, pools, logs=store.logs) as fleet:
            yield OwnFleet(fleet)
        return
    errands = tuple(errand(job, store.directory) for job, store in runs)
    async with launch_runners(cluster, pools, ShardRunner, errands, logs=store.logs) as launched:
        yield Runners(*launched)
