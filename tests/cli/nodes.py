"""A Ray cluster of several nodes on this machine, ruled line by line: a script for tests.

    stdin: `add`, `kill N`, `drain N`, `pause SECONDS`, end of file; stdout: the address, then one
    line for each command that is done

Each node but the head offers 1 CPU and 1 `slot`.
"""

import os
import signal
import sys
import time
from typing import Any

from ray._raylet import GcsClient
from ray.cluster_utils import Cluster

PREEMPTION = 2
"""Ray's reason for draining a node that somebody will take away."""


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes: list[Any] = []

    def add() -> None:
        nodes.append(cluster.add_node(num_cpus=1, resources={"slot": 1}))

    def kill(number: str) -> None:
        cluster.remove_node(nodes[int(number)], allow_graceful=False)

    def drain(number: str) -> None:
        deadline = int(1000 * (time.time() + 600))
        client = GcsClient(address=cluster.address)
        accepted, why = client.drain_node(
            nodes[int(number)].node_id, PREEMPTION, "a rehearsal", deadline
        )
        assert accepted, why

    def pause(seconds: str) -> None:
        pid = cluster.head_node.all_processes["gcs_server"][0].process.pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(float(seconds))
        os.kill(pid, signal.SIGCONT)

    add()
    add()
    print(cluster.address, flush=True)
    commands = {"add": add, "kill": kill, "drain": drain, "pause": pause}
    for line in sys.stdin:
        name, *arguments = line.split()
        commands[name](*arguments)
        print("done", line.strip(), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
