"""A Ray cluster of several nodes on this machine, made for one drill, so that nodes can be killed.

Each node is a `ray start --block` in a session of its own; the head has no CPUs, so every replica
lives on a node that may be killed. Only what was started here is ever ended.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Self

import psutil

from actors.types import EngineError
from cluster import nodes as cluster_nodes
from cluster.config import ClusterConfig
from pipelines.drill.driver import kill

START_SECONDS = 120.0
"""For all nodes to be there."""


class LocalNodes:
    """A head and `num` other nodes of that many CPUs; a context manager. `log`: a file for what
    Ray says.

    Raises EngineError when they don't start.
    """

    def __init__(self, num: int, cpus: float, log: Path) -> None:
        self.config = ClusterConfig()
        """How to join it; once it has started."""
        self._num = num
        self._cpus = cpus
        self._log = log
        # Short, because sockets lie in it, and one's own, because Ray keeps the address there that
        # others join by `auto`.
        self._folder = tempfile.mkdtemp(prefix="drill-")
        # Nobody else may join, and no token of another cluster is to be shown here; drivers, which
        # are children too, find it in their environment.
        self._environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self._before = {name: os.environ.get(name) for name in self._environment}
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._gone: list[psutil.Process] = []

    def __enter__(self) -> Self:
        os.environ.update(self._environment)
        try:
            port = _free_port()
            self.config = ClusterConfig(address=f"127.0.0.1:{port}")
            head = ["--head", f"--port={port}", "--num-cpus=0", f"--temp-dir={self._folder}"]
            client = f"--ray-client-server-port={_free_port()}"
            self._nodes.append(self._started(*head, client, "--include-dashboard=false"))
            self._until(lambda: _listens(port))
            self._nodes += [self._another() for _ in range(self._num)]
            self._until(self._complete)
        except BaseException:  # Whatever it is, no node must outlive it.
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hosting(self, pids: Collection[int]) -> list[tuple[int, psutil.Process, list[int]]]:
        """The nodes that have one of these processes: number from 1, raylet, which ones."""
        found = []
        for number, node in enumerate(self._nodes[1:], 1):
            for raylet in _raylets(node.pid):
                here = [child.pid for child in _children(raylet) if child.pid in pids]
                if here:
                    found.append((number, raylet, here))
        return found

    def replace(self, number: int) -> None:
        """Start another node in a dead one's place; comes back before it is up."""
        self._end(self._nodes[number])
        self._nodes[number] = self._another()

    def close(self) -> None:
        """End every node."""
        for node in reversed(self._nodes):
            self._end(node)
        self._nodes = []
        for process in self._gone:
            kill(process)
        shutil.rmtree(self._folder, ignore_errors=True)
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

    def _complete(self) -> bool:
        # The head listens before it answers.
        with contextlib.suppress(EngineError):
            return len(cluster_nodes(self.config)) > self._num
        return False

    def _another(self) -> "subprocess.Popen[bytes]":
        return self._started(f"--address={self.config.address}", f"--num-cpus={self._cpus:g}")

    def _started(self, *options: str) -> "subprocess.Popen[bytes]":
        # Ports that Ray leaves at fixed numbers would be taken on the second node of a machine.
        ports = ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
        here = ["--node-ip-address=127.0.0.1", "--num-gpus=0", "--disable-usage-stats", "--block"]
        with open(self._log, "ab") as file:
            return subprocess.Popen(
                [str(Path(sys.executable).with_name("ray")), "start", *options, *ports, *here],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _end(self, node: "subprocess.Popen[bytes]") -> None:
        with contextlib.suppress(psutil.Error):
            self._gone += psutil.Process(node.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if time.monotonic() > deadline or any(n.poll() is not None for n in self._nodes):
                said = self._log.read_text(errors="replace").splitlines()[-5:]
                raise EngineError(
                    f"wanted {self._num} Ray nodes and a head on this machine, and they did not "
                    f"start; Ray said: {' '.join(' '.join(said).split())[:600]}"
                )
            time.sleep(0.2)


def _raylets(pid: int) -> list[psutil.Process]:
    try:
        family = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return [process for process in family if _name(process) == "raylet"]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children(recursive=True)
    except psutil.Error:
        return []
    return found


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return ""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
