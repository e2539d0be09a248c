"""Replicas that are plain objects: no Ray, no engine."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from actors.config import ModelConfig
from actors.host import HostInfo
from cluster.pool import Pool

INFO = HostInfo(pid=1, node="here", device="none", context=64, seconds=0.0, probe=())


class ScriptedReplica:
    """Answers `work` as the script says; counts what it holds at once."""

    def __init__(self, script: Callable[[Any], Any]) -> None:
        self.script = script
        self.held: list[Any] = []
        self.most_held = 0
        self.arrived: list[Any] = []
        self.killed = False
        self.num_steps = 0
        self.node_leaves = False

    async def call(self, method: str, *args: Any) -> Any:
        if method == "start":
            return INFO
        if method == "stop":
            return None
        if method == "pulse":
            return self.num_steps
        self.arrived.append(args[0])
        self.held.append(args)
        self.most_held = max(self.most_held, len(self.held))
        try:
            result = self.script(args[0])
            return await result if asyncio.iscoroutine(result) else result
        finally:
            self.held.remove(args)

    def kill(self) -> None:
        self.killed = True

    async def leaving(self) -> bool:
        return self.node_leaves

    async def last_lines(self, num: int) -> Sequence[str]:
        return ["loading weights", "out of memory"][-num:]


async def started(
    script: Callable[[Any], Any] | list[Callable[[Any], Any]], **settings: Any
) -> tuple[Pool, list[ScriptedReplica]]:
    """A healthy pool, and every replica that it makes; a list of scripts is one for each replica in
    the order of their making."""
    scripts = script if isinstance(script, list) else None
    made: list[ScriptedReplica] = []

    def spawn(number: int, life: int) -> ScriptedReplica:
        made.append(ScriptedReplica(scripts[len(made)] if scripts else script))
        return made[-1]

    pool = Pool("small", ModelConfig(engine="fake", **settings), spawn, delay=0.0)
    await pool.start()
    return pool, made


async def settled() -> None:
    """Let every task that can run reach its next wait."""
    for _ in range(20):
        await asyncio.sleep(0)
