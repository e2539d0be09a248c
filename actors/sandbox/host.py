"""One replica of the sandbox's pool."""

import os
import platform
import time

from actors.host import HostInfo
from actors.sandbox import checks
from actors.sandbox.backends import BACKENDS, NONE, command
from actors.sandbox.config import SandboxConfig
from actors.sandbox.runs import run
from actors.sandbox.types import Program, Verdict
from actors.types import ConfigError, EngineError, ItemError


class SandboxHost:
    """Runs programs, each in a sandbox of its own. Build it, `start()` it once, then call it as
    often as you like, concurrently; the cluster makes an actor of it.
    """

    def __init__(self, name: str, config: SandboxConfig, number: int = 0, life: int = 0) -> None:
        self._name = name
        self._config = config
        self._number = number
        self._life = life
        self._steps = 0
        self._command: list[str] = []

    def __repr__(self) -> str:
        """As a `Host` has it."""
        return f"{self._name}-{self._number}.{self._life}"

    async def start(self) -> HostInfo:
        """Find the backend and try it out. Raises ConfigError: none works here, or it lets a
        hostile program through.
        """
        begin = time.monotonic()
        backend, self._command = await choose(self._config)
        await checks.self_test(self._config, backend)
        return HostInfo(
            pid=os.getpid(),
            node=platform.node(),
            device=backend,
            context=0,
            seconds=time.monotonic() - begin,
            probe=await self.probe(),
        )

    async def run(self, program: Program) -> Verdict:
        """See `runs.run`."""
        try:
            return await run(program, self._command, self._config.wall_seconds)
        finally:
            self._steps += 1

    async def probe(self) -> tuple[float, ...]:
        """1 for a program that is right, 0 for one that is wrong: what a replica says whose
        verdicts can be trusted.
        """
        verdicts = [await self.run(program) for program in checks.KNOWN]
        return tuple(float(verdict.outcome == "passed") for verdict in verdicts)

    async def pulse(self) -> int:
        """See `Host.pulse`."""
        return self._steps

    async def stop(self) -> None:
        """Nothing outlives a call."""


async def choose(config: SandboxConfig) -> tuple[str, list[str]]:
    """The name of the first backend that works here, and its command. Raises ConfigError."""
    names = list(BACKENDS) if config.backend == "auto" else [config.backend]
    reasons = []
    for name in names:
        started = command(name, config)
        reason = "not installed" if started is None else await _trouble(started, config)
        if started is not None and reason is None:
            return name, started
        reasons.append(f"{name}: {reason}")
    if config.allow_unsafe_code:
        return NONE, command(NONE, config) or []
    raise ConfigError(
        f"no sandbox works on {platform.node()}, so code of models is not run there "
        f"({'; '.join(reasons)}); install bubblewrap, or let the container make user namespaces, "
        "or run it unprotected with --allow-unsafe-code"
    )


async def _trouble(started: list[str], config: SandboxConfig) -> str | None:
    """Why a right program does not pass there."""
    try:
        verdict = await run(checks.KNOWN[0], started, config.wall_seconds)
    except (EngineError, ItemError) as error:
        return str(error)
    return None if verdict.outcome == "passed" else f"a right program {verdict.outcome}"
