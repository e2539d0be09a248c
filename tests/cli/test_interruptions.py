"""What a run survives: signals to its driver, the death of a replica, items that fail.

One run is ended three times, by TERM, by Ctrl-C and by SIGKILL, and continued each time by the same
command. What it has drawn at the end must be what an undisturbed run draws.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SLOW = ("models.small.fake.latency=0.2", "models.small.in_flight=5")
"""One item at a time: its greedy candidate and four draws make five sequences."""


@dataclass
class Ending:
    """How one start of the driver ended."""

    code: int
    stderr: str
    shards: set[str]
    """In the run directory when it had ended."""
    orphans: list[int]
    """Processes of the driver's that outlived it for good and had to be killed."""


def descendants(pid: int) -> list[int]:
    """Process ids of the children of a process, and theirs. An ended process has none."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # It ended between the listing and the reading.
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, open_ends = [], [pid]
    while open_ends:
        children = parents.get(open_ends.pop(), [])
        found += children
        open_ends += children
    return found


def kept_alive(handles: dict[int, int], patience: float) -> list[int]:
    """Wait for processes, by pid and pidfd, to end; kill those that don't and return their pids."""
    waiting, deadline = dict(handles), time.monotonic() + patience
    while waiting and (left := deadline - time.monotonic()) > 0:
        ended, _, _ = select.select(list(waiting.values()), [], [], left)
        waiting = {pid: handle for pid, handle in waiting.items() if handle not in ended}
    for handle in waiting.values():
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    for handle in handles.values():
        os.close(handle)
    return list(waiting)


def end_agents(handles: dict[int, int]) -> None:
    """Ray's two agents notice only after a minute that their node is gone; nobody waits for that
    here.
    """
    for pid, handle in handles.items():
        try:
            agent = b"Agent" in Path(f"/proc/{pid}/cmdline").read_bytes()
            if agent:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        except OSError:  # It has ended already.
            continue


def shards(run: Path) -> set[str]:
    return {path.name for path in run.glob("records/part-*.arrow")}


def ended_by(number: signal.Signals, folder: Path, tools: Any) -> Ending:
    """Start the slow run, let it commit a shard more than there is, end it by that signal."""
    run = folder / "runs" / "sums"
    before = shards(run)
    process = tools.started(folder, "run", "sums.yaml", *SLOW)
    tools.until(process, lambda: len(shards(run)) > len(before))
    handles = {pid: os.pidfd_open(pid) for pid in descendants(process.pid)}
    assert handles, "a driver without Ray is no test"
    process.send_signal(number)
    _, stderr = process.communicate(timeout=tools.PATIENCE)
    if number == signal.SIGKILL:
        end_agents(handles)
    orphans = kept_alive(handles, tools.PATIENCE)
    return Ending(process.returncode, stderr, shards(run), orphans)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tools: Any) -> Path:
    path: Path = tools.write_inputs(tmp_path_factory.mktemp("ended"))
    return path


@pytest.fixture(scope="module")
def term(folder: Path, tools: Any) -> Ending:
    return ended_by(signal.SIGTERM, folder, tools)


@pytest.fixture(scope="module")
def interrupt(term: Ending, folder: Path, tools: Any) -> Ending:
    return ended_by(signal.SIGINT, folder, tools)


@pytest.fixture(scope="module")
def kill(interrupt: Ending, folder: Path, tools: Any) -> Ending:
    return ended_by(signal.SIGKILL, folder, tools)


@pytest.fixture(scope="module")
def rest(ray: str, kill: Ending, folder: Path, tools: Any) -> Any:
    """The same command once more, undisturbed, with many items at a time."""
    return tools.called(folder, "run", "sums.yaml", SLOW[0])


@pytest.mark.parametrize("name", ["term", "interrupt"])
def test_an_interrupted_run_says_so_and_ends_with_130(
    name: str, request: pytest.FixtureRequest
) -> None:
    ending: Ending = request.getfixturevalue(name)
    assert ending.stderr.splitlines() == [
        "interrupted; the same command goes on with what is not committed"
    ]
    assert ending.code == 130


def test_a_killed_driver_ends_by_that_signal(kill: Ending) -> None:
    assert kill.code == -signal.SIGKILL


@pytest.mark.parametrize("name", ["term", "interrupt", "kill"])
def test_no_process_outlives_its_driver(name: str, request: pytest.FixtureRequest) -> None:
    assert request.getfixturevalue(name).orphans == []


def test_the_second_ctrl_c_leaves_at_once_and_the_first_says_so(
    ray: str, inputs: Path, tools: Any
) -> None:
    run = inputs / "runs" / "sums"
    changes = ("models.small.fake.latency=3600", "models.small.stall_timeout=7200")
    there = f"cluster.address={ray}"
    process = tools.started(inputs, "run", "sums.yaml", *changes, there)
    tools.until(process, lambda: (run / "status.json").exists())
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    said = next(line for line in process.stdout if line.startswith("stopping: "))
    assert said.endswith("Ctrl-C again leaves at once\n")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=tools.PATIENCE)
    assert (process.returncode, len(stderr.splitlines())) == (130, 1)
    assert tools.read_json(run / "status.json")["state"] == "interrupted"
    assert shards(run) == set()


def test_a_term_to_the_whole_process_group_takes_ray_with_it_and_the_run_says_so(
    inputs: Path, tools: Any
) -> None:
    run = inputs / "runs" / "sums"
    # What is open can't be finished before Ray is missed.
    endless = ("models.small.fake.latency=3600", "models.small.stall_timeout=7200")
    process = tools.started(inputs, "run", "sums.yaml", *endless, start_new_session=True)
    tools.until(process, lambda: (run / "status.json").exists())
    os.killpg(process.pid, signal.SIGTERM)
    _, stderr = process.communicate(timeout=tools.PATIENCE)
    (line,) = stderr.splitlines()
    assert line.startswith("lilliput: Ray's ")
    assert "the same command goes on with what is not committed" in line
    assert process.returncode == 130
    assert tools.read_json(run / "status.json")["state"] == "failed"


def test_a_term_while_the_fleet_starts_is_an_interruption_too(inputs: Path, tools: Any) -> None:
    command = ("run", "sums.yaml", "--output")
    processes = [tools.started(inputs, *command, f"run-{number}") for number in range(3)]
    for seconds, process in zip((0.0, 1.0, 1.0), processes, strict=True):
        assert process.stdout is not None
        assert any(line.startswith("starting ") for line in process.stdout)
        # Ray is starting now, for some seconds, and has a handler of its own for a while.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
        process.send_signal(signal.SIGTERM)
    for process in processes:
        _, stderr = process.communicate(timeout=tools.PATIENCE)
        assert (process.returncode, len(stderr.splitlines())) == (130, 1), stderr


def test_what_is_committed_stays_through_every_end(
    term: Ending, interrupt: Ending, kill: Ending
) -> None:
    assert set() < term.shards < interrupt.shards < kill.shards
    assert len(kill.shards) < 12, "the run was over before it could be killed"


def test_a_continued_run_draws_what_an_undisturbed_one_draws(
    rest: Any, folder: Path, base: tuple[Path, Any], tools: Any
) -> None:
    assert (rest.returncode, rest.stderr) == (0, "")
    run, undisturbed = folder / "runs" / "sums", base[0] / "runs" / "sums"
    assert tools.drawn(run) == tools.drawn(undisturbed)
    summaries = [tools.read_json(path / "summary.json") for path in (run, undisturbed)]
    for summary in summaries:
        for row in summary["rows"]:
            assert row.pop("cpu_seconds") > 0
    assert summaries[0] == summaries[1], "but for the time that it took"
    assert not list(run.rglob("*.tmp"))


def test_a_replica_that_dies_is_replaced_and_changes_nothing(
    ray: str, inputs: Path, base: tuple[Path, Any], tools: Any
) -> None:
    faults = "models.small.fake.faults.die_after=6"
    done = tools.called(inputs, "run", "sums.yaml", faults)
    assert done.returncode == 0, done.stderr
    run = inputs / "runs" / "sums"
    (timing,) = tools.read_json(run / "run.json")["about"]["timing"]
    assert timing["restarts"] == 1
    assert tools.drawn(run) == tools.drawn(base[0] / "runs" / "sums")


def test_what_a_replica_said_since_it_went_wrong_is_asked_again(
    ray: str, inputs: Path, base: tuple[Path, Any], tools: Any
) -> None:
    faults = "models.small.fake.faults.drift_after=6"
    done = tools.called(inputs, "run", "sums.yaml", faults, "--output", "drifted")
    assert done.returncode == 0, done.stderr
    assert "nats off those of its pool" in done.stderr
    assert "items of shard 000001" in done.stderr
    assert tools.drawn(inputs / "drifted") == tools.drawn(base[0] / "runs" / "sums")


@pytest.fixture(scope="module")
def long(ray: str, tmp_path_factory: pytest.TempPathFactory, tools: Any) -> tuple[Path, Any]:
    """A run in which one prompt of 24 is longer than the context."""
    folder = tools.write_inputs(tmp_path_factory.mktemp("long"))
    path = folder / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[5]["question"] += " word" * 60
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder, tools.called(folder, "run", "sums.yaml", "models.small.fake.context=40")


def test_a_prompt_longer_than_the_context_is_recorded_and_the_run_goes_on(
    long: tuple[Path, Any], tools: Any
) -> None:
    folder, done = long
    assert (done.returncode, done.stderr) == (3, "1 items failed; max_failed allows 0\n")
    records = tools.by_item(folder / "runs" / "sums").values()
    (failed,) = [record for record in records if record.outcome != "ok"]
    assert len(records) == tools.NUM_ITEMS
    assert (failed.outcome, failed.error.kind, failed.candidates) == ("too_long", "too_long", ())
    assert "the prompt has 66 tokens; model 'small' reads at most 40" in failed.error.message
    summary = tools.read_json(folder / "runs" / "sums" / "summary.json")
    assert summary["items"] == {"ok": 23, "too_long": 1}
    assert {row["items"] for row in summary["rows"]} == {23}


@pytest.mark.parametrize(
    ("max_failed", "code"), [("1", 0), ("0.05", 0), ("0.04", 3), ("0", 3), ("2", 0)]
)
def test_max_failed_allows_a_count_or_a_share(
    long: tuple[Path, Any], tools: Any, max_failed: str, code: int
) -> None:
    change = ("models.small.fake.context=40", f"max_failed={max_failed}")
    assert tools.called(long[0], "run", "sums.yaml", *change).returncode == code
