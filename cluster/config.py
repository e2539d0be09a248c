"""Config schema of the cluster."""

from pydantic import Field

from actors.config import StrictConfig


class ClusterConfig(StrictConfig):
    """Where the actors live."""

    address: str | None = None
    """Of a running Ray cluster (`auto`, `ray://...`, `host:port`); None starts Ray on this
    machine for this run."""
    cpus: int | None = Field(None, ge=1)
    """CPUs that an embedded Ray may hand out; None: all there are."""
    gpus: int | None = Field(None, ge=0)
    """GPUs that an embedded Ray may hand out; None: all there are."""
    runners: int = Field(0, ge=0)
    """Actors that items are worked off in, each on its own share of every model's replicas, so that
    one driver is enough for any number of them; 0: items are worked off in the driver."""
