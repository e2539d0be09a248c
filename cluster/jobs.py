"""What is sent whole to a cluster that somebody else keeps: a folder with a command, or a question
to every node. Beside `rays` the only file that imports Ray.

    folder --upload--> dashboard --> driver on the head --> replicas on every node
    our terminal <--log, outcome-- dashboard

The dashboard's port is all that must be reachable. Whoever watches may leave: the job goes on, and
a lost connection is taken up where it stood.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import ray
import ray.exceptions
from ray.job_submission import JobSubmissionClient
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.types import ConfigError, EngineError
from cluster import rays
from cluster.config import ClusterConfig

STOP_WAIT = 3600
"""Seconds that a driver has for its open shards after it was told to stop; then it is killed."""
PATIENCE = 60.0
"""Seconds without a word from the dashboard after which its cluster counts as lost."""
RETRY = 1.0
"""Seconds between two tries to reach it."""
TALKATIVE = (
    "ray.dashboard.modules.job.sdk",
    "ray.dashboard.modules.dashboard_sdk",
    "ray._private.runtime_env.packaging",
)
"""Loggers of Ray that tell of every upload, whatever level Ray's own has."""

_NO_AGENT = (
    "the head's dashboard agent doesn't listen: if its port was taken when the head started (52365 "
    "unless told), start it with --dashboard-agent-listen-port=0"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended: `Outcome(stopped=False, code=3, message="Job entrypoint ...")`."""

    stopped: bool
    """It was told to stop; what its driver ended with is not known then."""
    code: int | None
    """Exit code of the driver; None: it never started, or something killed it."""
    message: str


class SubmittedJob:
    """A job on a cluster, seen through the dashboard. Every method raises EngineError when that is
    out of reach."""

    def __init__(self, client: JobSubmissionClient, number: str) -> None:
        self.id = number
        self.address: str = client.get_address()
        self._client = client

    async def log(self) -> AsyncIterator[str]:
        """Yield what the driver writes, from the start until it has ended, in pieces of any
        length."""
        seen, heard = 0, time.monotonic()
        while True:
            position = 0
            try:
                async for text in self._client.tail_job_logs(self.id):
                    # A new connection starts at the beginning of the log.
                    new = text[max(0, seen - position) :]
                    position += len(text)
                    seen, heard = max(seen, position), time.monotonic()
                    if new:
                        yield new
                if await asyncio.to_thread(self._has_ended):
                    return
                heard = time.monotonic()
            except _UNREACHABLE as error:
                if time.monotonic() - heard > PATIENCE:
                    raise _lost(self.address, self.id, error) from None
            await asyncio.sleep(RETRY)

    def stop(self) -> None:
        """Send the driver a TERM: it finishes its open shards. Comes back at once."""
        try:
            self._client.stop_job(self.id)
        except _UNREACHABLE as error:
            raise _lost(self.address, self.id, error) from None

    def outcome(self) -> Outcome:
        """How it ended; to be asked when `log` has come to its end."""
        try:
            info = self._client.get_job_info(self.id)
        except _UNREACHABLE as error:
            raise _lost(self.address, self.id, error) from None
        return Outcome(
            stopped=str(info.status) == "STOPPED",
            code=info.driver_exit_code,
            message=info.message or "",
        )

    def _has_ended(self) -> bool:
        return bool(self._client.get_job_status(self.id).is_terminal())


def submit(address: str, folder: Path, command: str) -> SubmittedJob:
    """Upload a folder and run a shell command in a copy of it on the cluster's head.

    `address`: of the dashboard, `http://HEAD:8265`. Raises ConfigError for another kind of address,
    EngineError when nobody answers there, or when another version of Ray does.
    """
    if not address.startswith(("http://", "https://")):
        raise ConfigError(
            f"--submit: wanted the address of a Ray dashboard, http://HEAD:8265, got {address!r}"
        )
    client = _connect(address)
    # Of the driver and of all replicas; only Ray's own keeper of the job reads this one.
    env = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT)}
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            number = client.submit_job(
                entrypoint=command, runtime_env={"working_dir": str(folder), "env_vars": env}
            )
            return SubmittedJob(client, number)
        except _UNREACHABLE as error:
            # A head that has just started answers before its agent takes jobs.
            starting = "No available agent" in str(error)
            if not starting or time.monotonic() > deadline:
                advice = f"; {_NO_AGENT}" if starting else ""
                raise EngineError(
                    f"the cluster at {address} takes no job: {_one_line(error)}{advice}"
                ) from None
        time.sleep(RETRY)


def clocks(config: ClusterConfig) -> Mapping[str, float]:
    """By node: seconds that its clock is ahead of this machine's, as well as a round trip can tell.

    Raises EngineError when the cluster can't be reached or a node doesn't answer.
    """

    def now() -> float:
        # Inside, so that it travels as a whole: a node needn't have this module.
        import time

        return time.time()

    with rays.session(config):
        ask = ray.remote(now)
        found = {}
        for node in ray.nodes():
            if not node["Alive"]:
                continue
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked = ask.options(num_cpus=0, scheduling_strategy=there)
            try:
                # The first call waits for a process to start there; the second is quick.
                ray.get(asked.remote(), timeout=PATIENCE)
                begin = time.time()
                clock = ray.get(asked.remote(), timeout=PATIENCE)
            except ray.exceptions.RayError as error:
                name = node["NodeManagerHostname"]
                raise EngineError(f"node {name} doesn't answer: {_one_line(error)}") from None
            name = f"{node['NodeManagerHostname']} {node['NodeID'][:6]}"
            found[name] = clock - (begin + time.time()) / 2
        return found


def _connect(address: str) -> JobSubmissionClient:
    for module in TALKATIVE:
        logging.getLogger(module).setLevel(logging.ERROR)
    # Ray prefers what the environment names to what it is given.
    os.environ["RAY_API_SERVER_ADDRESS"] = address
    try:
        client = JobSubmissionClient(address)
    except ray.exceptions.AuthenticationError:
        raise EngineError(
            f"the cluster at {address} wants another token: set RAY_AUTH_MODE=token, and its token "
            "as RAY_AUTH_TOKEN or in the file ~/.ray/auth_token"
        ) from None
    except _UNREACHABLE as error:
        raise EngineError(
            f"no Ray dashboard at {address}: {_one_line(error)}; a head must run there, with "
            "'ray[default]' installed and --include-dashboard=true, and its port be reachable"
        ) from None
    # Private, but `get_version` tells the version of the job API.
    there, here = client._server_ray_version or "an unknown version", ray.__version__
    if there.split(".")[:2] != here.split(".")[:2]:
        raise EngineError(
            f"wanted Ray {here} on the cluster at {address}, got {there}; "
            "install the cluster's version here or this one there"
        )
    return client


def _lost(address: str, number: str, error: Exception) -> EngineError:
    return EngineError(
        f"lost the cluster at {address}: {_one_line(error)}; if it is still there, so is the job: "
        f"`ray job logs --follow {number} --address {address}`"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


_UNREACHABLE = (
    OSError,
    RuntimeError,
    ValueError,
    aiohttp.ClientError,
    ray.exceptions.RayError,
)
"""What the client raises: connection errors and time-outs of requests are OSErrors, refusals of
the dashboard RuntimeErrors, a lost stream is a ClientError, a refused token a RayError, and a
server that isn't Ray's doesn't answer in JSON."""
