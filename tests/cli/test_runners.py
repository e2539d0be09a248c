"""Shards worked off in runner actors: the same run, whoever works it off, and whoever is killed.

Real drivers, real Ray, the fake engine.
"""

import json
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.conftest import until

RUNNERS = ("cluster.runners=2", "models.small.replicas=2")
SLOW = ("models.small.fake.latency=0.3", "models.small.in_flight=5")


def shards(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.glob("records/part-*.arrow")}


def test_runners_draw_what_the_driver_draws(
    ray: str, base: tuple[Path, Any], inputs: Path, tools: Any
) -> None:
    done = tools.called(inputs, "run", "sums.yaml", *RUNNERS)
    assert done.returncode == 0, done.stderr
    alone, run = base[0] / "runs/sums", inputs / "runs/sums"
    assert tools.drawn(run) == tools.drawn(alone)
    assert shards(run).keys() == shards(alone).keys()
    about = tools.read_json(run / "run.json")["about"]
    assert [replica["model"] for replica in about["replicas"]] == ["small", "small"]
    assert (
        about["timing"][0]["tokens"]
        == tools.read_json(alone / "run.json")["about"]["timing"][0]["tokens"]
    )
    assert about["timing"][0]["busy_seconds"]["small"] > 0
    assert {path.name for path in (run / "logs").iterdir()} <= {
        "small-0.0.log",
        "small-1.0.log",
        "runner-0.0.log",
        "runner-1.0.log",
    }


def test_a_killed_runner_costs_nothing_but_time(
    ray: str, base: tuple[Path, Any], inputs: Path, tools: Any
) -> None:
    run, there = inputs / "runs" / "sums", f"cluster.address={ray}"
    with tools.started(inputs, "run", "sums.yaml", *RUNNERS, *SLOW, there) as driver:
        until(driver, lambda: bool(shards(run)))
        states = tools.read_json(run / "status.json")["replicas"]
        kinds = [(state["model"], state["number"]) for state in states]
        assert kinds == [("runner", 0), ("runner", 1), ("small", 0), ("small", 1)]
        before = shards(run)
        victim = psutil.Process(states[0]["pid"])
        replica = psutil.Process(states[2]["pid"])
        victim.kill()
        # Its replicas can't work for anybody else, and go with it.
        psutil.wait_procs([victim, replica], timeout=60)
        assert not replica.is_running()
        _, stderr = driver.communicate(timeout=120)
    assert driver.returncode == 0, stderr
    assert "Traceback" not in stderr
    assert tools.drawn(run) == tools.drawn(base[0] / "runs/sums")
    assert before.items() <= shards(run).items()
    assert tools.read_json(run / "run.json")["about"]["timing"][0]["restarts"] == 1


def test_stopped_with_runners_and_continued_without(
    ray: str, base: tuple[Path, Any], inputs: Path, tools: Any
) -> None:
    run = inputs / "runs" / "sums"
    with tools.started(inputs, "run", "sums.yaml", *RUNNERS, *SLOW) as driver:
        until(driver, lambda: bool(shards(run)))
        driver.send_signal(signal.SIGINT)
        _, stderr = driver.communicate(timeout=120)
    assert driver.returncode == 130, stderr
    before = shards(run)
    assert 0 < len(tools.by_item(run)) == 2 * len(before) < 24
    assert tools.called(inputs, "run", "sums.yaml", *SLOW).returncode == 0
    assert tools.drawn(run) == tools.drawn(base[0] / "runs/sums")
    assert before.items() <= shards(run).items()


def test_an_item_that_ends_replicas_is_found_out_inside_a_runner(
    ray: str, inputs: Path, tools: Any
) -> None:
    rows = inputs / "rows.jsonl"
    rows.write_text(rows.read_text().replace("3 + 2?", "3 + 2 cyanide ?"))
    # Few items at a time, so that a replica answers others between two deaths.
    few = ("models.small.in_flight=5", "models.small.max_restarts=9")
    poison = ("models.small.fake.faults.poison=cyanide", *few)
    done = tools.called(inputs, "run", "sums.yaml", *RUNNERS, *poison)
    assert done.returncode == 3, done.stderr
    outcomes = [record.outcome for record in tools.by_item(inputs / "runs/sums").values()]
    assert sorted(outcomes) == ["error"] + ["ok"] * 23


def test_several_runs_share_the_runners(ray: str, inputs: Path, tools: Any) -> None:
    both = "pipeline=[{name: rank, n: 2}, {name: rank, n: 3}]"
    done = tools.called(inputs, "run", "sums.yaml", *RUNNERS, both, "--json")
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines() if '"result"' in line]
    assert len(results) == 2
    assert done.stderr.count("healthy after") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("cluster.runners=3", "models.small.replicas=2"), "each of 3 runners needs a replica"),
        (("cluster.runners=-1",), "greater than or equal to 0"),
    ],
)
def test_runners_without_replicas_are_refused_before_anything_starts(
    changes: tuple[str, ...], said: str, inputs: Path, tools: Any
) -> None:
    done = tools.called(inputs, "run", "sums.yaml", *changes)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (inputs / "runs").exists()
