"""Where actors live: turns models and configs into pools of replicas, and pools into the
`Model`s that pipelines see.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from actors.config import ModelConfig, Placement, Replicas
from actors.engines import environment
from actors.sandbox.config import SANDBOX, SandboxConfig
from actors.sandbox.host import SandboxHost
from cluster.config import ClusterConfig
from cluster.cores import PinnedHost
from cluster.hosted import PooledModel, PooledSandbox
from cluster.logs import EngineLogs
from cluster.plan import Node, Share, check_shares, fits, largest_first, place
from cluster.pool import Pool
from cluster.receipts import Receipt
from cluster.replica import ActorSpec, ReplicaState

__all__ = [
    "RUNNER",
    "ClusterConfig",
    "Fleet",
    "check",
    "launch",
    "launch_runners",
    "nodes",
    "where",
]

RUNNER = "runner"
"""Name of the pool of runners."""
WHOLE = Share()


@dataclass(frozen=True, slots=True)
class Fleet:
    """All pools of a run, healthy."""

    pools: dict[str, Pool]

    @property
    def models(self) -> dict[str, PooledModel]:
        """What pipelines get: hosted models by name."""
        return {name: PooledModel(pool) for name, pool in self.pools.items() if name != SANDBOX}

    @property
    def sandbox(self) -> PooledSandbox | None:
        """Where programs run; None: this run has none."""
        return PooledSandbox(self.pools[SANDBOX]) if SANDBOX in self.pools else None

    async def vouch(self, receipts: Sequence[Receipt]) -> bool:
        """Whether every replica that gave one of these answers still computes what its pool does;
        one that doesn't is replaced.
        """
        latest: dict[tuple[int, int], Receipt] = {}
        for receipt in receipts:
            latest[id(receipt.slot), receipt.life] = receipt
        found = [self.pools[receipt.model].vouch(receipt) for receipt in latest.values()]
        return all(await asyncio.gather(*found))

    @property
    def restarts(self) -> int:
        """Replicas that were replaced."""
        return sum(pool.restarts for pool in self.pools.values())

    @property
    def busy_seconds(self) -> dict[str, float]:
        """By model: of all its replicas together, while they held calls."""
        return {name: pool.busy_seconds for name, pool in self.pools.items()}

    def replicas(self) -> list[ReplicaState]:
        """How every place of every pool stands."""
        return [state for pool in self.pools.values() for state in pool.replicas()]

    def infos(self) -> list[dict[str, Any]]:
        """Of each healthy replica: its model, node, device, context and seconds to load."""
        return [
            {"model": name, **asdict(info)}
            for name, pool in self.pools.items()
            for info in pool.infos
        ]


def nodes(config: ClusterConfig) -> list[Node]:
    """The cluster's machines and what is free on them, without starting one on this machine.

    Raises EngineError when the address can't be reached.
    """
    from cluster import rays

    if config.address is None:
        return [rays.machine(config)]
    with rays.session(config):
        return rays.free_nodes()


def check(config: ClusterConfig, models: Mapping[str, Placement]) -> None:
    """Refuse models that this machine can't hold, before a run directory or Ray is made.

    A cluster elsewhere is asked when it is joined. Raises ConfigError.
    """
    if config.address is None:
        check_shares(place(models, nodes(config), where(config)), config.runners)


def where(config: ClusterConfig) -> str:
    """The cluster, in words."""
    return config.address or "this machine"


def fallen() -> str:
    """The name of a process that the cluster on this machine can't do without, if it has ended."""
    from cluster import rays

    return rays.fallen()


@asynccontextmanager
async def launch(
    config: ClusterConfig,
    models: Mapping[str, Placement],
    *,
    logs: Path | None = None,
    counts: Mapping[str, int] | None = None,
    share: Share = WHOLE,
) -> AsyncIterator[Fleet]:
    """Start or join Ray, start every pool, wait until all replicas are healthy; undo it all at the
    end. `logs`: a directory for what the engines write, a file for each replica. `counts`: replicas
    that all shares of each pool start with together; None: as many as `place` says.

    Raises ConfigError when the models don't fit, EngineError when Ray or an engine doesn't start.
    """
    from cluster import rays

    kept = EngineLogs(logs)
    with rays.session(config, kept):
        counts = counts or place(models, rays.free_nodes(), where(config))
        pools = {
            name: Pool(
                name,
                models[name].model_copy(update={"replicas": share.bounds(models[name].replicas)}),
                partial(rays.RayReplica, _hosts(name, models[name]), kept),
                num=share.of(counts[name]),
                numbers=share.numbers(),
                has_room=partial(_has_room, models[name]),
            )
            # What asks first is placed first.
            for name in largest_first(models)
        }
        meters = [rays.Meters(pool) for pool in pools.values()]
        reports = [asyncio.create_task(each.report()) for each in meters]
        try:
            await asyncio.gather(*(pool.start() for pool in pools.values()))
            yield Fleet({name: pools[name] for name in models})
        finally:
            for each, report in zip(meters, reports, strict=True):
                report.cancel()
                each.tell()
            await asyncio.gather(*(pool.stop() for pool in pools.values()))


@asynccontextmanager
async def launch_runners(
    config: ClusterConfig,
    models: Mapping[str, Placement],
    kind: type,
    *args: Any,
    logs: Path | None = None,
) -> AsyncIterator[tuple[Pool, Mapping[str, int]]]:
    """Start or join Ray and start `cluster.runners` runners, `kind(*args, counts, number, life)`,
    each of which launches its share of the pools; undo it all at the end. Yields the pool of
    runners and `counts`, the replicas of each model that all of them have together.

    Raises ConfigError when the models don't fit or don't go round, EngineError as `launch` does.
    """
    from cluster import rays

    kept = EngineLogs(logs)
    with rays.session(config, kept):
        counts = place(models, rays.free_nodes(), where(config))
        check_shares(counts, config.runners)
        placement = Placement(
            replicas=Replicas(min=config.runners, max=config.runners),
            # It works while its replicas wait, and they are what a node is shared by.
            cpus=0.0,
            # How much is open is for the driver to say.
            in_flight=sys.maxsize,
            start_timeout=2 * sum(model.start_timeout for model in models.values()),
        )
        spec = ActorSpec(name=RUNNER, kind=kind, args=(*args, counts), placement=placement)
        pool = Pool(RUNNER, placement, partial(rays.RayReplica, spec, kept))
        try:
            await pool.start()
            yield pool, counts
        finally:
            await pool.stop()


def _hosts(name: str, config: Placement) -> ActorSpec:
    if isinstance(config, SandboxConfig):
        return ActorSpec(name=name, kind=SandboxHost, args=(name, config), placement=config)
    assert isinstance(config, ModelConfig)
    env = environment(config)
    return ActorSpec(name=name, kind=PinnedHost, args=(name, config), placement=config, env=env)


def _has_room(config: Placement) -> bool:
    from cluster import rays

    return fits(config, rays.free_nodes())
