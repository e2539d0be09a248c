"""What a fleet wants against what there is, before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass

from actors.config import ModelConfig
from actors.types import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What one pool asks of the cluster."""

    model: str
    replicas: int
    cpus: float
    gpus: float
    memory_gib: float


def wants(models: Mapping[str, ModelConfig]) -> list[Want]:
    """One entry for each pool; amounts are for all its replicas together."""
    return [
        Want(
            model=name,
            replicas=m.replicas,
            cpus=m.replicas * m.cpus,
            gpus=m.replicas * m.gpus,
            memory_gib=m.replicas * (m.memory_gib or 0.0),
        )
        for name, m in models.items()
    ]


def check_fits(models: Mapping[str, ModelConfig], there: Mapping[str, float], where: str) -> None:
    """Refuse a fleet that the free resources can't hold; the pools are placed in the order of the
    config.

    `there` has Ray's names and units: CPU, GPU (devices), memory (bytes). Raises ConfigError naming
    the model and the resource that is short.
    """
    free = {
        "CPUs": there.get("CPU", 0.0),
        "GPUs": there.get("GPU", 0.0),
        "GiB of memory": there.get("memory", 0.0) / 2**30,
    }
    for want in wants(models):
        amounts = {"CPUs": want.cpus, "GPUs": want.gpus, "GiB of memory": want.memory_gib}
        for resource, amount in amounts.items():
            if amount > free[resource] + 1e-9:
                raise ConfigError(
                    f"models.{want.model}: {want.replicas} replica(s) want {amount:g} {resource}, "
                    f"and {where} has {free[resource]:g} free; lower models.{want.model}.replicas, "
                    "or give the cluster more"
                )
            free[resource] -= amount
