"""A run that is watched and stopped from elsewhere: another terminal, another machine.

Real drivers on the fake engine. The cluster is a head and a node of its own in a session of their
own on this machine, ended by process id.
"""

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.conftest import until

SLOW = ("models.small.fake.latency=0.8", "models.small.in_flight=5")
"""One item at a time: its greedy candidate and four draws make five sequences."""
PATIENCE = 120.0
"""Seconds for what takes a few on an idle machine."""
RAY = str(Path(sys.executable).parent / "ray")


def shards(run: Path) -> set[str]:
    return {path.name for path in run.glob("records/part-*.arrow")}


@contextlib.contextmanager
def ended(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """A process that doesn't outlive a failure."""
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


@pytest.fixture(scope="module")
def watched(ray: str, tmp_path_factory: pytest.TempPathFactory, tools: Any) -> dict[str, Any]:
    """One slow run: looked at, stopped, looked at; what each said."""
    folder = tools.write_inputs(tmp_path_factory.mktemp("watched"))
    run = folder / "runs" / "sums"
    said: dict[str, Any] = {"run": run}
    there = f"cluster.address={ray}"
    with ended(tools.started(folder, "run", "sums.yaml", *SLOW, there)) as driver:
        until(driver, lambda: bool(shards(run)))
        said["status"] = tools.called(folder, "status", run)
        said["json"] = tools.called(folder, "status", run, "--json")
        said["stop"] = tools.called(folder, "stop", run)
        driver.communicate(timeout=PATIENCE)
    said["drained"] = (driver.returncode, shards(run), len(tools.by_item(run)))
    said["after"] = tools.called(folder, "status", run)
    said["again"] = tools.called(folder, "stop", run)
    return said


@pytest.fixture(scope="module")
def dropped(ray: str, tmp_path_factory: pytest.TempPathFactory, tools: Any) -> dict[str, Any]:
    """A run that is one open shard from its start to its end, stopped at once."""
    folder = tools.write_inputs(tmp_path_factory.mktemp("dropped"))
    run = folder / "runs" / "sums"
    changes = (*SLOW, "shard_size=24", f"cluster.address={ray}")
    with ended(tools.started(folder, "run", "sums.yaml", *changes)) as driver:
        until(driver, lambda: (run / "status.json").exists())
        stop = tools.called(folder, "stop", run, "--now")
        driver.communicate(timeout=PATIENCE)
    return {"stop": stop, "code": driver.returncode, "committed": shards(run)}


def test_status_shows_a_run_at_work(watched: dict[str, Any]) -> None:
    done = watched["status"]
    assert (done.returncode, done.stderr) == (0, "")
    words = [line.split() for line in done.stdout.splitlines()]
    assert ["state", "running"] in words
    assert [line for line in words if line[:2] == ["small-0", "up"]]
    told = json.loads(watched["json"].stdout)
    assert (told["state"], told["at_work"], told["items"]) == ("running", True, 24)


def test_stop_lets_open_shards_finish_and_says_what_is_committed(watched: dict[str, Any]) -> None:
    done = watched["stop"]
    code, committed, items = watched["drained"]
    assert (done.returncode, code) == (0, 130)
    assert 0 < items < 24
    assert items == 2 * len(committed)
    assert f"{items} of 24 items are committed" in done.stdout


def test_a_stopped_run_says_what_continues_it(watched: dict[str, Any]) -> None:
    assert "interrupted: the same command continues" in watched["after"].stdout
    assert watched["again"].returncode == 0
    assert watched["again"].stdout.startswith(f"no driver is at work in {watched['run']}")


def test_stop_now_drops_what_is_open(dropped: dict[str, Any]) -> None:
    assert (dropped["stop"].returncode, dropped["stop"].stderr) == (0, "")
    assert "0 of 24 items are committed" in dropped["stop"].stdout
    assert (dropped["code"], dropped["committed"]) == (130, set())


def test_status_of_a_finished_run_shows_its_headline(base: tuple[Path, Any], tools: Any) -> None:
    done = tools.called(base[0], "status", "runs/sums")
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["state", "finished"] in lines
    assert [line[:2] for line in lines if line[:1] == ["majority"]] == [["majority", "4"]]


@pytest.mark.parametrize("command", ["status", "stop"])
def test_a_folder_that_is_no_run_is_refused(command: str, tmp_path: Path, tools: Any) -> None:
    done = tools.called(tmp_path, command, tmp_path)
    assert done.returncode == 2
    assert "without run.json" in done.stderr
    assert done.stderr.count("\n") == 1


def test_submitting_where_no_head_is_takes_one_line(inputs: Path, tools: Any) -> None:
    address = f"http://127.0.0.1:{free_ports(1)[0]}"
    done = tools.called(inputs, "run", "sums.yaml", "--submit", address)
    assert done.returncode == 4
    assert done.stderr.startswith(f"lilliput: no Ray dashboard at {address}: ")
    assert done.stderr.count("\n") == 1


def free_ports(num: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(num)]
    ports = [s.getsockname()[1] for s in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """A head without CPUs and a node with the resource `far`; yields the addresses of the dashboard
    and of what Prometheus reads of the head."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # The head runs `python`.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Ray tells its meters when they are told, instead of every ten seconds.
    monkeypatch.setenv("RAY_metrics_report_interval_ms", "500")
    port, dashboard, client, meters = free_ports(4)
    # An agent that finds its usual port taken, by the other node's or by one that outlives a killed
    # driver of an earlier test, never takes a job.
    agent = "--dashboard-agent-listen-port=0"
    common = ["--object-store-memory=80000000", agent, "--block"]
    # Short, because sockets are made in it, and not where others look for a Ray of theirs.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as home:
        head = [
            *(RAY, "start", "--head", f"--port={port}", "--num-cpus=0", f"--temp-dir={home}"),
            *("--include-dashboard=true", f"--dashboard-port={dashboard}"),
            f"--metrics-export-port={meters}",
            *(f"--ray-client-server-port={client}", *common),
        ]
        processes = [start(head, Path(home, "head.log"))]
        try:
            found = written(processes[0], Path(home, "head.log"), rf"[\d.]+:{port}")
            node = [RAY, "start", f"--address={found}", "--num-cpus=1", *common]
            processes.append(start([*node, '--resources={"far": 1}'], Path(home, "node.log")))
            written(processes[1], Path(home, "node.log"), "Ray runtime started")
            yield f"http://127.0.0.1:{dashboard}", f"http://127.0.0.1:{meters}/metrics"
        finally:
            end(processes)


def metered(address: str, *, model: str) -> set[str]:
    """Names of the series of a model that Prometheus would read there."""
    with urllib.request.urlopen(address) as answer:
        lines = answer.read().decode().splitlines()
    return {line.partition("{")[0] for line in lines if f'model="{model}"' in line}


def start(command: list[str], log: Path) -> "subprocess.Popen[str]":
    """In a session of its own, so that a signal of ours reaches nobody else."""
    with log.open("w") as file:
        return subprocess.Popen(
            command, text=True, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )


def written(process: "subprocess.Popen[str]", log: Path, pattern: str) -> str:
    """Wait until a node has written what matches; returns that."""
    until(process, lambda: re.search(pattern, log.read_text()) is not None)
    return re.findall(pattern, log.read_text())[0]


def end(processes: "list[subprocess.Popen[str]]") -> None:
    """The node before the head, and what either leaves behind."""
    family = [psutil.Process(p.pid).children(recursive=True) for p in processes if p.poll() is None]
    for process in reversed(processes):
        process.terminate()
        process.wait(timeout=PATIENCE)
    _, left = psutil.wait_procs([child for children in family for child in children], timeout=2)
    for child in left:
        child.kill()


def test_a_submitted_run_works_on_the_cluster_and_can_be_stopped(
    cluster: tuple[str, str], inputs: Path, tools: Any
) -> None:
    run = inputs / "elsewhere"
    address, meters = cluster
    there = ("--submit", address, "--output", str(run), "--json")
    refused = tools.finished(inputs, "run", "sums.yaml", "models.small.resources.near=1", *there)
    assert refused.returncode == 2, refused.stderr
    assert "1 near" in refused.stderr
    far = "models.small.resources.far=1"
    with ended(tools.started(inputs, "run", "sums.yaml", *SLOW, far, *there)) as process:
        until(process, lambda: bool(shards(run)))
        shown = "ray_lilliput_requests_total", "ray_lilliput_tokens_total", "ray_lilliput_queue"
        until(process, lambda: set(shown) <= metered(meters, model="small"))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stderr
    assert {json.loads(line)["event"] for line in stdout.splitlines()} == {"progress"}
    assert "shipped: rows.jsonl" in stderr
    assert "open shards are finished first" in stderr
    assert 0 < len(tools.by_item(run)) == 2 * len(shards(run)) < 24
    (replica,) = tools.read_json(run / "status.json")["replicas"]
    assert replica["model"] == "small"
