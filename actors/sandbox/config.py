"""Config schema of the sandbox."""

import os
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from actors.config import Placement, Replicas

MOST_REPLICAS = 8
"""By default: beyond it, let a replica run several programs at once."""

SANDBOX = "sandbox"
"""Name of the pool, and of its section in a config."""


def _one_per_core() -> Replicas:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    num = min(MOST_REPLICAS, cores or 1)
    return Replicas(min=num, max=num)


class SandboxConfig(Placement):
    """Under `sandbox:`, for tasks that run what a model wrote. Its pool is called `sandbox`."""

    section: ClassVar[str] = ""

    replicas: Replicas = Field(default_factory=_one_per_core)
    """By default one for each core of the machine that starts the run, and at most 8."""
    cpus: float = Field(0.0, ge=0.0)
    """Reserved per replica. By default none: programs run on the cores that engines leave idle."""
    in_flight: int | None = Field(None, ge=1)
    """Programs that one replica runs at once; None: `cpus`, and at least one."""
    backend: Literal["auto", "bubblewrap", "namespaces", "landlock"] = "auto"
    """What keeps a program in; `auto`: the first of these that works on the replica's machine."""
    allow_unsafe_code: bool = False
    """Where no backend works, run programs with limits but otherwise unprotected."""
    memory_mib: int = Field(1024, ge=64)
    """Address space of a program."""
    cpu_seconds: int = Field(5, ge=1)
    """That a program may compute."""
    wall_seconds: float = Field(30.0, gt=0.0)
    """That a program may take in all, waiting for a core included."""
    file_mib: int = Field(16, ge=1)
    """What a program may write to its /tmp."""
    python: str | None = None
    """The interpreter of programs, which brings its installed packages; None: the one that runs
    Lilliput, with the standard library only."""

    @property
    def room(self) -> int:
        """Programs that one replica runs at once."""
        return self.in_flight or max(1, int(self.cpus))

    @property
    def limits(self) -> dict[str, Any]:
        """What decides verdicts, as plain data."""
        return self.model_dump(
            mode="json",
            include={"memory_mib", "cpu_seconds", "wall_seconds", "file_mib", "python"},
        )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.replicas.max is None and not self.cpus:
            raise ValueError(
                "replicas: auto fills the cluster's free CPUs, so it wants cpus above 0"
            )
        return self
