"""recovery: how long a run stands still when its only vLLM replica is killed.

Measured   seconds from SIGKILL of the replica's process, in the middle of a run, to the first token
           that its replacement adds to the run.
Against    a cold start of the same engine in the same run: from `lilliput run` to its first token.
Reading    at most 1: the replacement loads the model and compiles as the first one did, and what it
           saves (Ray, the driver's own start) must not be lost in finding out that a replica died.

A token counts when its answer has come, so answers are short (16 tokens, one draw per item), and
status.json, where both moments are read, is a second old at worst. The run then goes on to its end
and must lose no item.
"""

import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.bench.measure import LILLIPUT, Result, Scale, Side, shown
from tests.bench.watched import Look, looks

CONFIG = "tests/bench/gsm8k.yaml"
CHANGES = (
    "models.small.replicas=1",
    "models.small.cpus=1",
    # So that most of the run is still to come when the first answer is there.
    "models.small.in_flight=2",
    "pipeline.n=1",
    "pipeline.greedy=false",
    "pipeline.sampling={max_tokens: 16}",
)
ITEMS = 80
REPEATS = 3


@dataclass(slots=True)
class Watch:
    """Sees the moments of one run; kills its replica at the first token."""

    first_token: float | None = None
    """Seconds since the command was started, as all moments here."""
    killed: float | None = None
    new_token: float | None = None
    pid: int = 0
    """Of the replica that was killed."""
    _tokens: int = 0
    """The most that the dead replica can have added."""

    def see(self, look: Look) -> int:
        """Take one look. Returns the process to be killed now, 0 for none."""
        replica = _only(look.status)
        tokens = look.status.get("tokens", 0)
        if self.first_token is None:
            if tokens:
                self.first_token = self.killed = look.seconds
                self.pid, self._tokens = replica["pid"], tokens
                return self.pid
        elif self.new_token is None:
            if replica["pid"] == self.pid:
                self._tokens = tokens
            elif tokens > self._tokens:
                self.new_token = look.seconds
        return 0


def measure(scale: Scale) -> Iterator[Result]:
    """One result, in seconds; each run gives both of its sides."""
    changes = (*CHANGES, f"task.limit={scale.items or ITEMS}")
    command = shown(LILLIPUT, "run", CONFIG, *changes)
    killed = Side(command=f"{command}, then kill -9 PID (status.json, replicas[0].pid)")
    cold = Side(command=command)
    for _ in range(scale.repeats or REPEATS):
        watch = killed_run(CONFIG, *changes)
        assert watch.first_token is not None
        assert watch.killed is not None
        assert watch.new_token is not None
        cold.values.append(watch.first_token)
        killed.values.append(watch.new_token - watch.killed)
    what = "first token after a kill, against a cold start"
    yield Result(what=what, unit="s", ours=killed, other=cold, at_most=1.0)


def killed_run(*arguments: str) -> Watch:
    """Run, kill the only replica once, run on to the end. Raises RuntimeError when the run was over
    too soon, or lost something.
    """
    watch, status = Watch(), {}
    with tempfile.TemporaryDirectory() as folder:
        for look in looks(*arguments, directory=f"{folder}/run"):
            status = look.status
            pid = watch.see(look)
            if pid:
                os.kill(pid, signal.SIGKILL)
    if watch.new_token is None:
        raise RuntimeError(f"no new token was seen after the kill; last status: {status}")
    if status["restarts"] != 1 or status["done"] != status["items"] or status["failed"]:
        raise RuntimeError(f"wanted one restart and every item done, got {status}")
    return watch


def _only(status: dict[str, Any]) -> dict[str, Any]:
    replicas = status.get("replicas") or [{"pid": 0}]
    found: dict[str, Any] = replicas[0]
    return found
