"""Where actors live: turns models and configs into pools of replicas, and pools into the
`Model`s that pipelines see.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from actors.config import ModelConfig
from cluster.config import ClusterConfig
from cluster.hosted import PooledModel
from cluster.logs import EngineLogs
from cluster.plan import Node, fits, largest_first, place
from cluster.pool import Pool
from cluster.receipts import Receipt

__all__ = ["ClusterConfig", "Fleet", "check", "launch", "nodes", "where"]


@dataclass(frozen=True, slots=True)
class Fleet:
    """All pools of a run, healthy."""

    pools: dict[str, Pool]

    @property
    def models(self) -> dict[str, PooledModel]:
        """What pipelines get: hosted models by name."""
        return {name: PooledModel(pool) for name, pool in self.pools.items()}

    async def vouch(self, receipts: Sequence[Receipt]) -> bool:
        """Whether every replica that gave one of these answers still computes what its pool does;
        one that doesn't is replaced.
        """
        latest: dict[tuple[int, int], Receipt] = {}
        for receipt in receipts:
            latest[id(receipt.slot), receipt.life] = receipt
        found = [self.pools[receipt.model].vouch(receipt) for receipt in latest.values()]
        return all(await asyncio.gather(*found))

    def replicas(self) -> list[dict[str, Any]]:
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


def check(config: ClusterConfig, models: Mapping[str, ModelConfig]) -> None:
    """Refuse models that this machine can't hold, before a run directory or Ray is made.

    A cluster elsewhere is asked when it is joined. Raises ConfigError.
    """
    if config.address is None:
        place(models, nodes(config), where(config))


def where(config: ClusterConfig) -> str:
    """The cluster, in words."""
    return config.address or "this machine"


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
    with rays.session(config, kept):
        counts = place(models, rays.free_nodes(), where(config))
        pools = {
            name: Pool(
                name,
                models[name],
                partial(rays.RayReplica, name, models[name], kept),
                num=counts[name],
                has_room=partial(_has_room, models[name]),
            )
            # What asks first is placed first.
            for name in largest_first(models)
        }
        try:
            await asyncio.gather(*(pool.start() for pool in pools.values()))
            yield Fleet({name: pools[name] for name in models})
        finally:
            await asyncio.gather(*(pool.stop() for pool in pools.values()))


def _has_room(config: ModelConfig) -> bool:
    from cluster import rays

    return fits(config, rays.free_nodes())
