"""What a run survives of its cluster: nodes that die, come, and are drained; a head that pauses."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SLOW = (
    "models.small.fake.latency=1",
    "models.small.in_flight=5",
    "models.small.cpus=1",
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
    replicas: str,
    *commands: str,
    changes: Sequence[str] = (),
) -> "subprocess.CompletedProcess[str]":
    """A run during which the cluster is told these commands, each after one more shard; `up N` is
    no command, but waits for so many healthy replicas."""
    run = inputs / "runs" / "sums"
    where = f"cluster={{address: '{nodes.address}'}}"
    fleet = f"models.small.replicas={replicas}"
    process = tools.started(inputs, "run", "sums.yaml", *SLOW, where, fleet, *changes)

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


def test_a_killed_node_costs_its_replica_and_a_new_node_takes_its_place(
    tools: Any, inputs: Path, base: tuple[Path, Any], nodes: Nodes
) -> None:
    done = disturbed(tools, inputs, nodes, "2", "kill 0", "add")
    assert done.returncode == 0, done.stderr
    run = inputs / "runs" / "sums"
    (timing,) = tools.read_json(run / "run.json")["about"]["timing"]
    assert timing["restarts"] >= 1
    assert tools.drawn(run) == tools.drawn(base[0] / "runs" / "sums")


def test_a_pool_grows_onto_a_new_node_leaves_a_drained_one_and_outlives_a_paused_head(
    tools: Any, inputs: Path, base: tuple[Path, Any], nodes: Nodes
) -> None:
    slower = ("models.small.fake.latency=3",)
    steps = ("add", "up 3", "pause 2", "drain 1")
    done = disturbed(tools, inputs, nodes, "auto", *steps, changes=slower)
    assert done.returncode == 0, done.stderr
    assert "its node is being drained" in done.stderr
    run = inputs / "runs" / "sums"
    replicas = tools.read_json(run / "status.json")["replicas"]
    assert len(replicas) == 3
    assert sum(replica["deaths"] for replica in replicas) == 1
    assert tools.drawn(run) == tools.drawn(base[0] / "runs" / "sums")
