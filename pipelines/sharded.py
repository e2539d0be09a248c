"""Shards worked off in runner actors: what `cluster.runners` is about.

    driver: shards, in order --window--> least-loaded runner --------------------> tally
            its own loop does no more                 | own share of every model's replicas,
                                                      | own line: solve, grade, commit
                                                      | dies: its shards go to another runner

A runner commits by itself, into the same directory, and a part is made once whoever makes it. So a
runner may end at any moment, between writing and committing too, and its shards are asked again;
and what is committed doesn't depend on how many runners there are.
"""

import asyncio
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from actors.host import HostInfo
from actors.sandbox.types import Program, Verdict
from actors.types import ConfigError, EngineError, Item, ItemError, LilliputError, Preview
from cluster import RUNNER, Fleet, launch
from cluster.plan import Share
from cluster.pool import Pool
from cluster.replica import ReplicaState
from pipelines.config import RunConfig
from pipelines.job import Job, Shard, regrading
from pipelines.progress import Progress, Tally
from pipelines.runner import Line, Window, first, open_items, owed
from results.directories import Directory, LocalDirectory
from results.errors import ResultsError
from results.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One run, as a runner elsewhere needs it: no row, no data file."""

    config: RunConfig
    identity: Mapping[str, Any]
    digest: str
    directory: str
    """An absolute path, or a URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a runner's fleet stands."""

    number: int = 0
    life: int = 0
    """Both of the runner."""
    replicas: tuple[ReplicaState, ...] = ()
    restarts: int = 0
    busy_seconds: Mapping[str, float] = field(default_factory=dict)
    """By model."""
    infos: tuple[Mapping[str, Any], ...] = ()
    """See `Fleet.infos`."""


class ShardRunner:
    """One runner. Build it, `start()` it once, then call it as often as you like, concurrently; the
    cluster makes an actor of it. `counts`: replicas of each model that all runners have together.
    """

    def __init__(
        self,
        errands: Sequence[Errand],
        counts: Mapping[str, int],
        number: int = 0,
        life: int = 0,
    ) -> None:
        self._errands = errands
        self._counts = counts
        self._number = number
        self._life = life
        self._config = errands[0].config
        self._stack = AsyncExitStack()
        self._fleet: Fleet | None = None
        self._lines: dict[str, Line] = {}
        self._feeding = asyncio.Lock()
        self._pulse = 0

    def __repr__(self) -> str:
        """As a `Host` has it."""
        return f"{RUNNER}-{self._number}.{self._life}"

    async def start(self) -> HostInfo:
        """Launch the share of the fleet. Raises ConfigError (the run directory is not to be seen
        from here) and what `launch` raises.
        """
        begin = time.monotonic()
        work = [(e, regrading(e.config, e.identity), _join(e)) for e in self._errands]
        share = Share(self._number, self._config.cluster.runners)
        pools = {name: pool for _, job, _ in work for name, pool in job.pools.items()}
        self._fleet = await self._stack.enter_async_context(
            launch(self._config.cluster, pools, counts=self._counts, share=share)
        )
        self._lines = {e.directory: Line(job, store, self._fleet) for e, job, store in work}
        for line in self._lines.values():
            await line.trusted()
        return HostInfo(
            pid=os.getpid(),
            node=platform.node(),
            device="",
            context=0,
            seconds=time.monotonic() - begin,
            probe=(),
        )

    async def run_shard(self, directory: str, shard: Shard) -> Tally | Exception:
        """Work off a shard and commit it. What would fail on every runner, such as a wrong request
        or a full disk, is returned; a fleet that can't go on ends the process, and whoever started
        it puts another in its place.
        """
        tally = Tally()
        failure: Exception | None = None
        try:
            # One shard after the other, so that the first to come is the first to be committed.
            async with asyncio.TaskGroup() as group, self._feeding:
                await self._lines[directory].feed(shard, group, tally)
        except* (LilliputError, ResultsError) as errors:
            failure = first(errors)
        if isinstance(failure, EngineError):
            print(f"the runner can't go on: {failure}", file=sys.stderr, flush=True)
            os._exit(1)
        return failure or tally

    async def preview(self, model: str, item: Item) -> Preview | None:
        """See `roles.Model.preview`."""
        assert self._fleet is not None, "start() the runner first"
        return await self._fleet.models[model].preview(item)

    async def test(self, program: Program) -> Verdict:
        """See `roles.Sandbox`."""
        assert self._fleet is not None, "start() the runner first"
        assert self._fleet.sandbox is not None, "Job.pools has one for every task that runs code"
        return await self._fleet.sandbox.run(program)

    async def look(self) -> Look:
        """How its fleet stands."""
        assert self._fleet is not None, "start() the runner first"
        return Look(
            number=self._number,
            life=self._life,
            replicas=tuple(self._fleet.replicas()),
            restarts=self._fleet.restarts,
            busy_seconds=self._fleet.busy_seconds,
            infos=tuple(self._fleet.infos()),
        )

    async def pulse(self) -> int:
        """Grows with every call: a runner that answers works, and watches its replicas itself."""
        self._pulse += 1
        return self._pulse

    async def probe(self) -> tuple[float, ...]:
        """Nothing: its replicas are probed by itself."""
        return ()

    async def stop(self) -> None:
        """Stop its fleet."""
        await self._stack.aclose()


def _join(errand: Errand) -> Store:
    try:
        return Store.join(errand.directory, errand.digest)
    except ResultsError as error:
        raise ConfigError(
            f"a runner on {platform.node()} can't see the run directory: {error}; give an --output "
            "that all nodes share, or an object store"
        ) from None


def errand(job: Job, directory: Directory) -> Errand:
    """What a runner needs of a run."""
    return Errand(
        config=job.config,
        identity=job.identity,
        digest=job.digest,
        directory=whereabouts(directory),
    )


def whereabouts(directory: Directory) -> str:
    """A run directory in words that mean the same in another process."""
    if isinstance(directory, LocalDirectory):
        return str(directory.path.resolve())
    return str(directory)


class Runners:
    """The driver's side: hands out shards, and knows how all fleets stand as of the last `look`."""

    def __init__(self, pool: Pool, counts: Mapping[str, int]) -> None:
        self._pool = pool
        self._counts = counts
        self._looks: dict[tuple[int, int], Look] = {}
        """By number and life of the runner; of those that are gone the last one counts."""

    @property
    def restarts(self) -> int:
        """Of runners and of their replicas."""
        return self._pool.restarts + sum(look.restarts for look in self._looks.values())

    @property
    def busy_seconds(self) -> Mapping[str, float]:
        """See `crew.Crew`."""
        total: Counter[str] = Counter()
        for look in self._looks.values():
            total.update(look.busy_seconds)
        return total

    def replicas(self) -> Sequence[ReplicaState]:
        """The runners, then the replicas of those that are up."""
        runners = self._pool.replicas()
        looks = [
            self._looks.get((runner.number, runner.deaths), Look())
            for runner in runners
            if runner.state == "up"
        ]
        return [*runners, *(state for look in looks for state in look.replicas)]

    def infos(self) -> Sequence[Mapping[str, Any]]:
        """See `crew.Crew`."""
        return [info for look in self._looks.values() for info in look.infos]

    async def look(self) -> None:
        """Ask every runner how its fleet stands."""
        for look in (await self._pool.each("look")).values():
            self._looks[look.number, look.life] = look

    async def preview(self, model: str, item: Item) -> Preview | None:
        """See `crew.Crew`."""
        preview: Preview | None = await self._pool.call("preview", model, item)
        return preview

    async def test(self, program: Program) -> Verdict:
        """See `crew.Crew`."""
        verdict: Verdict = await self._pool.call("test", program)
        return verdict

    async def run(self, job: Job, store: Store, progress: Progress, stop: asyncio.Event) -> bool:
        """See `runner.run`."""
        window = Window(lambda: self._limit(job))
        directory = whereabouts(store.directory)
        try:
            async with asyncio.TaskGroup() as group:
                for shard in owed(job, store, progress):
                    await window.enter(len(shard.items))
                    if stop.is_set():
                        return False
                    group.create_task(self._one(directory, shard, window, progress))
        except* (LilliputError, ResultsError) as errors:
            raise first(errors) from None
        return True

    async def _one(self, directory: str, shard: Shard, window: Window, progress: Progress) -> None:
        num = len(shard.items)
        progress.opened(num)
        try:
            done = await self._pool.call("run_shard", directory, shard, weight=num)
        except ItemError as error:
            # A poison item is found out by the runner; this shard ends the runner itself.
            raise EngineError(f"shard {shard.id} can't be worked off: {error}") from None
        if isinstance(done, Exception):
            raise done
        progress.add(done)
        window.leave(num)

    def _limit(self, job: Job) -> int:
        """Open items: what all replicas need, and for each runner a shard to go on with."""
        config, up = job.config, Counter(state.model for state in self.replicas())
        room = sum(
            max(up[name], self._counts[name]) * config.models[name].room
            for name in config.roles.shares
        )
        return open_items(job, room) + config.cluster.runners * job.shard_size
