"""What a run survives of its cluster: nodes that die, come, and are drained; a head that pauses."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SLOW = (
    "models.small.fake.latency=3",
    "models.small.in_flight=5",
    "models.small.cpus=1",
    "models.small.replicas=auto",
    "models.small.stall_timeout=4",
)


@dataclass(frozen=True)
class Nodes:
    """A cluster of two nodes and a head without CPUs."""

    address: str
    tell: Callable[[str], None]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    script = Path(__file__).with_name("nodes.py")
    keeper = subprocess.Popen(
        [sys.executable, str(script)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    stdin, stdout = keeper.stdin, keeper.stdout
    address = stdout.readline().strip()
    assert address, "the cluster didn't start"

    def tell(command: str) -> None:
        stdin.write(f"{command}\n")
        stdin.flush()
        assert stdout.readline() == f"done {command}\n"

    yield Nodes(address, tell)
    stdin.close()
    keeper.wait(60)


def disturbed(
    tools: Any,
    inputs: Path,
    nodes: Nodes,
    *commands: str,
) -> "subprocess.CompletedProcess[str]":
    """A run during which the cluster is told these commands, each after one more shard; `up N` is
    no command, but waits for so many healthy replicas."""
    run = inputs / "runs" / "sums"
    where = f"cluster={{address: '{nodes.address}'}}"
    process = tools.started(inputs, "run", "sums.yaml", *SLOW, where)

    def num_up() -> int:
        states = tools.read_json(run / "status.json")["replicas"]
        return sum(state["state"] == "up" for state in states)

    for command in commands:
        if command.startswith("up "):
            tools.until(process, lambda wanted=int(command[3:]): num_up() == wanted)
            continue
        before = len(list(run.glob("records/*.arrow")))
        tools.until(process, lambda before=before: len(list(run.glob("records/*.arrow"))) > before)
        nodes.tell(command)
    stdout, stderr = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def test_nodes_die_come_and_are_drained_the_head_pauses_and_nothing_is_lost(
    tools: Any, inputs: Path, base: tuple[Path, Any], nodes: Nodes
) -> None:
    steps = ("kill 0", "add", "add", "up 3", "pause 2", "drain 1")
    done = disturbed(tools, inputs, nodes, *steps)
    assert done.returncode == 0, done.stderr
    assert "its node is being drained" in done.stderr
    run = inputs / "runs" / "sums"
    (timing,) = tools.read_json(run / "run.json")["about"]["timing"]
    assert timing["restarts"] >= 1, "the killed node's replica has another place"
    replicas = tools.read_json(run / "status.json")["replicas"]
    assert len(replicas) == 3, "the pool grew onto the new nodes"
    assert sum(replica["deaths"] for replica in replicas) >= 2, "one killed, one drained"
    assert tools.drawn(run) == tools.drawn(base[0] / "runs" / "sums")
