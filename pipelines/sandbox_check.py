"""`lilliput check-sandbox`: the sandbox's self-test alone, in this process."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from actors.config import parse
from actors.sandbox.backends import about
from actors.sandbox.checks import self_test
from actors.sandbox.config import SandboxConfig
from actors.sandbox.host import choose
from pipelines.config import merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One check, as a line of the terminal."""

    name: str
    ok: bool
    text: str


def check_sandbox(overrides: Sequence[str]) -> Iterator[Line]:
    """Find the backend and try all that a run tries before its first program. Raises ConfigError:
    none works here, or something got through.
    """
    config = parse(SandboxConfig, merge({}, overrides, "check-sandbox"), "sandbox")
    backend, _ = asyncio.run(choose(config))
    yield from described(backend)
    for name, verdict in asyncio.run(self_test(config, backend)).items():
        text = ": ".join(filter(None, [verdict.outcome, verdict.why.rstrip(": ")]))
        yield Line(name=name, ok=True, text=text)


def described(backend: str) -> Iterator[Line]:
    """What a backend keeps programs from, and what it doesn't."""
    found = about(backend)
    yield Line(name=f"sandbox {backend}", ok=True, text=found.keeps)
    yield Line(name="not kept", ok=True, text=found.lacks)
