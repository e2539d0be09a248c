"""Where actors live: turns models and configs into pools of replicas, and pools into the
`Model`s that pipelines see.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from actors.config import ModelConfig
from cluster.config import ClusterConfig
from cluster.hosted import PooledModel
from cluster.logs import EngineLogs
from cluster.plan import check_fits
from cluster.pool import Pool

__all__ = ["ClusterConfig", "Fleet", "check", "launch", "resources"]


@dataclass(frozen=True, slots=True)
class Fleet:
    """All pools of a run, healthy."""

    pools: dict[str, Pool]

    @property
    def models(self) -> dict[str, PooledModel]:
        """What pipelines get: hosted models by name."""
        return {name: PooledModel(pool) for name, pool in self.pools.items()}

    def replicas(self) -> list[dict[str, Any]]:
        """Of each healthy replica: its model, node, device, context and seconds to load."""
        return [
            {"model": name, **asdict(info)}
            for name, pool in self.pools.items()
            for info in pool.infos
        ]


def resources(config: ClusterConfig) -> dict[str, float]:
    """Free resources of the cluster, under Ray's names, without starting one on this machine.

    Raises EngineError when the address can't be reached.
    """
    from cluster import rays

    if config.address is None:
        return rays.machine_resources(config)
    with rays.session(config) as free:
        return free


def check(config: ClusterConfig, models: Mapping[str, ModelConfig]) -> None:
    """Refuse models that this machine can't hold, before a run directory or Ray is made.

    A cluster elsewhere is asked when it is joined. Raises ConfigError.
    """
    if config.address is None:
        check_fits(models, resources(config), "this machine")


@asynccontextmanager
async def launch(
    config: ClusterConfig, models: Mapping[str, ModelConfig], *, logs: Path | None = None
) -> AsyncIterator[Fleet]:
    """Start or join Ray, start every pool, wait until all replicas are healthy; undo it all at the
    end. `logs`: a directory for what the engines write, a file for each replica.

    Raises ConfigError when the models don't fit, EngineError when Ray or an engine doesn't start.
    """
    from cluster import rays

    kept = EngineLogs(logs)
    with rays.session(config, kept) as free:
        check_fits(models, free, config.address or "this machine")
        pools = {
            name: Pool(name, model, partial(rays.RayReplica, name, model, kept))
            for name, model in models.items()
        }
        try:
            await asyncio.gather(*(pool.start() for pool in pools.values()))
            yield Fleet(pools)
        finally:
            await asyncio.gather(*(pool.stop() for pool in pools.values()))
