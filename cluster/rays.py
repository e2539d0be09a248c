"""Everything that touches Ray, and the only file that imports it.

A replica is one async Ray actor around a `Host`. Ray restarts and retries nothing: the pool does,
since only it knows which calls an actor held. Ray's errors stop here; callers see ReplicaDied or
what the host itself raised.
"""

import asyncio
import contextlib
import os
import platform
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from actors.config import Placement
from actors.types import EngineError, LilliputError
from cluster.config import ClusterConfig
from cluster.logs import EngineLogs
from cluster.plan import Node, bundles
from cluster.pool import Pool
from cluster.replica import ActorSpec, ReplicaDied

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Ray would otherwise hide the devices from an actor that asks for none, by an empty
# CUDA_VISIBLE_DEVICES: what a CPU actor wants anyway, and Ray says at each start that this will
# change.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import ray._private.state
import ray._private.worker
import ray.exceptions
from ray._private.ray_constants import PROCESS_TYPE_GCS_SERVER, PROCESS_TYPE_RAYLET
from ray._private.ray_logging import global_worker_stdstream_dispatcher as _lines
from ray.util.metrics import Counter, Gauge
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

# Ray would print what workers write, and a paragraph for each that dies, among the driver's own
# output; `EngineLogs` gets the lines either way.
ray._private.worker._worker_logs_enabled = False

HEAD_PROCESSES = (PROCESS_TYPE_GCS_SERVER, PROCESS_TYPE_RAYLET)
"""Without these a cluster on this machine is none."""
LOG_DELAY = 1.5
"""Seconds that the last lines of a process take to arrive."""
MAX_CONCURRENT_CALLS = 10_000
"""Of one actor. The pool bounds what is in flight; this must only not be the smaller number."""
METERS_INTERVAL = 5.0
"""Seconds between two reports of how a pool stands."""
TASK_SECONDS = 30.0
"""For a task of a moment on another node."""


@contextlib.contextmanager
def session(config: ClusterConfig, logs: EngineLogs | None = None) -> Iterator[None]:
    """Join or start Ray. A process that has Ray already keeps the one it has. `logs` gets what the
    engines write.

    Raises EngineError when there is no cluster there.
    """
    if ray.is_initialized():
        with _received(logs):
            yield
        return
    in_main_thread = threading.current_thread() is threading.main_thread()
    # Ray puts a handler of its own in place, which ends the process without a word.
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            # Without "local", Ray would join whatever RAY_ADDRESS or an earlier `ray start` names.
            address=config.address or "local",
            num_cpus=None if config.address else config.cpus,
            num_gpus=None if config.address else config.gpus,
            include_dashboard=None if config.address else False,
            configure_logging=True,
            logging_level="ERROR",
            log_to_driver=True,
        )
    except SystemExit:
        # From Ray's handler, which is in place from its first step on.
        ray.shutdown()
        raise KeyboardInterrupt from None
    except Exception as error:  # Ray raises as little as this, for a node that doesn't come up.
        where = config.address or "this machine"
        hint = "; if it wants a token, set RAY_AUTH_MODE=token" if config.address else ""
        raise EngineError(
            f"Ray on {where} can't be reached: {' '.join(str(error).split())[:300]}{hint}"
        ) from None
    try:
        if in_main_thread:
            signal.signal(signal.SIGTERM, on_term)
        with _received(logs):
            yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _received(logs: EngineLogs | None) -> Iterator[None]:
    """Hand the lines that all nodes publish to `logs`."""
    if logs is None:
        yield
        return
    name = f"lilliput-{id(logs)}"
    _lines.add_handler(name, logs.receive)
    try:
        yield
    finally:
        _lines.remove_handler(name)


def machine(config: ClusterConfig) -> Node:
    """What an embedded Ray would hand out on this machine, without starting it."""
    gpus = config.gpus
    if gpus is None:
        from ray._private.accelerators import get_accelerator_manager_for_resource

        gpus = get_accelerator_manager_for_resource("GPU").get_current_node_num_accelerators()
    from ray._private.utils import get_num_cpus, get_system_memory

    cpus = config.cpus or get_num_cpus()
    free = {"CPU": float(cpus), "GPU": float(gpus), "memory": 0.7 * get_system_memory()}
    return Node(name=platform.node(), free=free)


def free_nodes() -> list[Node]:
    """The nodes that are alive and not being drained, with what is free there now."""
    free = ray._private.state.available_resources_per_node()
    leaving = ray._private.state.state.get_draining_nodes()
    return [
        Node(
            name=node["NodeManagerHostname"],
            free=free.get(node["NodeID"], {}),
            labels=node.get("Labels", {}),
        )
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] not in leaving
    ]


def fallen() -> str:
    """A process of Ray's own that this one started, can't go on without, and that has ended: its
    name; empty: there is none.
    """
    node = ray._private.worker._global_node
    dead = dict(node.dead_processes()) if node is not None else {}
    return next((name for name in HEAD_PROCESSES if name in dead), "")


def kill_process(config: ClusterConfig, node: str, pid: int) -> bool:
    """End an actor's process on the node of that host name, by SIGKILL from a task there. False: no
    such node, or no actor behind that process id.

    Raises EngineError when the cluster can't be reached.
    """
    with session(config):
        there = [n for n in ray.nodes() if n["Alive"] and n["NodeManagerHostname"] == node]
        if not there:
            return False
        on_it = NodeAffinitySchedulingStrategy(there[0]["NodeID"], soft=False)
        task = ray.remote(_kill_actor).options(num_cpus=0, scheduling_strategy=on_it, max_retries=0)
        try:
            return bool(ray.get(task.remote(pid), timeout=TASK_SECONDS))
        except ray.exceptions.RayError:
            return False


def _kill_actor(pid: int) -> bool:
    try:
        # The number may be another process's by now.
        if not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::"):
            return False
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


class RayReplica:
    """One actor, as `slots.Replica`."""

    def __init__(self, spec: ActorSpec, logs: EngineLogs, number: int, life: int) -> None:
        self._name = f"{spec.name}-{number}.{life}"
        self._logs = logs
        self._group: Any = None
        actor = ray.remote(spec.kind).options(
            max_concurrency=MAX_CONCURRENT_CALLS,
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": dict(spec.env)},
            **self._options(spec.placement),
        )
        self._actor = actor.remote(*spec.args, number, life)

    def _options(self, config: Placement) -> dict[str, Any]:
        """Options that say where. A replica of several devices reserves them in one group, all or
        none; over several nodes the engine places its own actors in that group.
        """
        bundle, *others = bundles(config)
        amounts = dict(bundle)
        own = {
            "num_cpus": amounts.pop("CPU"),
            "num_gpus": 0.0 if others else amounts.pop("GPU"),
            "memory": int(amounts.pop("memory", 0.0)) or None,
            "resources": {} if others else config.resources,
        }
        if config.gpus <= 1:
            return own | {"label_selector": dict(config.labels) or None}
        self._group = placement_group(
            [bundle, *others],
            strategy="PACK" if others else "STRICT_PACK",
            bundle_label_selector=[dict(config.labels)] * (1 + len(others)),
        )
        inside = PlacementGroupSchedulingStrategy(
            self._group,
            placement_group_bundle_index=0,
            placement_group_capture_child_tasks=bool(others),
        )
        return own | {"scheduling_strategy": inside}

    async def call(self, method: str, *args: Any) -> Any:
        """See `slots.Replica.call`."""
        try:
            return await getattr(self._actor, method).remote(*args)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, LilliputError):
                raise cause from None
            raise EngineError(f"{method} failed: {' '.join(str(cause).split())[:600]}") from None
        except ray.exceptions.RayActorError as error:
            raise ReplicaDied(_first_line(error)) from None
        except ray.exceptions.RayError as error:
            raise ReplicaDied(f"{type(error).__name__}: {_first_line(error)}") from None

    def kill(self) -> None:
        """See `slots.Replica.kill`."""
        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(self._actor, no_restart=True)
            if self._group is not None:
                remove_placement_group(self._group)

    async def leaving(self) -> bool:
        """See `slots.Replica.leaving`."""
        return await asyncio.to_thread(self._on_leaving_node)

    def _on_leaving_node(self) -> bool:
        leaving = ray._private.state.state.get_draining_nodes()
        if not leaving:
            return False
        about = ray._private.state.actors(self._actor._actor_id.hex())
        return about.get("Address", {}).get("NodeID") in leaving

    async def last_lines(self, num: int) -> Sequence[str]:
        """See `slots.Replica.last_lines`."""
        await asyncio.sleep(LOG_DELAY)
        return self._logs.tail(self._name, num)


class Meters:
    """What Ray's dashboard and Prometheus show of a pool: requests, tokens and restarts counted,
    the queue is measured. Series of several runners add up.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._counters = {
            kind: Counter(f"lilliput_{kind}", description=description, tag_keys=("model",))
            for kind, description in (
                ("requests", "calls that replicas answered"),
                ("tokens", "tokens that replicas generated"),
                ("restarts", "replicas that were replaced"),
            )
        }
        self._queue = Gauge(
            "lilliput_queue", description="calls that no replica holds yet", tag_keys=("model",)
        )
        self._told = dict.fromkeys(self._counters, 0)

    async def report(self) -> None:
        """Tell Ray how the pool stands, for ever."""
        while True:
            self.tell()
            await asyncio.sleep(METERS_INTERVAL)

    def tell(self) -> None:
        """Tell Ray how the pool stands now."""
        pool, tags = self._pool, {"model": self._pool.name}
        now = {
            "requests": pool.num_answered,
            "tokens": pool.num_tokens,
            "restarts": pool.restarts,
        }
        for kind, value in now.items():
            if value > self._told[kind]:
                self._counters[kind].inc(value - self._told[kind], tags=tags)
        self._told = now
        self._queue.set(pool.num_waiting, tags=tags)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
