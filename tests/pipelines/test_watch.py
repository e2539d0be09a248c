"""How a run stands, told from its files: a lock held here or not, a heartbeat fresh or old."""

import json
import platform
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.types import ConfigError
from pipelines import tables
from pipelines.watch import SILENCE, print_status, standing, stop_run
from results.directories import LocalDirectory
from results.errors import ResultsError

REPLICA = {
    "model": "small",
    "number": 1,
    "state": "up",
    "load": 7,
    "deaths": 2,
    "node": "gpu-7",
    "pid": 41,
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory of which nothing is said yet, without a driver."""
    (tmp_path / "records").mkdir()
    write_manifest(tmp_path)
    return tmp_path


@pytest.fixture
def driven(run: Path) -> Iterator[Path]:
    """The same, with this process as its driver."""
    lock = LocalDirectory(run).hold()
    yield run
    lock.release()


def write_manifest(run: Path, **about: Any) -> None:
    content = {"identity": {"seed": 0}, "digest": "d", "about": {"num_items": 24, **about}}
    (run / "run.json").write_text(json.dumps(content))


def say(
    run: Path, state: str, *, host: str | None = None, age: float = 0.0, skipped: int = 0
) -> None:
    status = {
        "state": state,
        "pid": 40,
        "host": host or platform.node(),
        "updated": (datetime.now(UTC) - timedelta(seconds=age)).isoformat(),
        "items": 24,
        "done": 10,
        "skipped": skipped,
        "open": 4,
        "failed": 1,
        "tokens": 1234,
        "tokens_per_second": 56.7,
        "seconds": 70.0,
        "eta_seconds": 95.0,
        "restarts": 2,
        "replicas": [REPLICA],
    }
    (run / "status.json").write_text(json.dumps(status))


def shown(run: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_status(str(run), tables.console(), as_json=False)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"without run\.json"):
        standing(tmp_path)


def test_a_driver_that_has_said_nothing_yet_is_starting(driven: Path) -> None:
    found = standing(driven)
    assert (found.state, found.at_work) == ("starting", True)


def test_a_running_status_with_no_driver_behind_it_is_gone(run: Path) -> None:
    say(run, "running")
    found = standing(run)
    assert (found.state, found.at_work) == ("gone", False)


def test_a_driver_gone_before_its_first_word_is_gone(run: Path) -> None:
    assert standing(run).state == "gone"


def test_a_run_that_was_finished_before_its_last_start_is_finished(run: Path) -> None:
    write_manifest(run, finished="2026-05-01T12:00:00Z")
    assert standing(run).state == "finished"


@pytest.mark.parametrize(
    ("age", "state", "at_work"), [(SILENCE / 2, "running", True), (SILENCE * 2, "gone", False)]
)
def test_on_another_host_without_a_lock_the_heartbeat_decides(
    run: Path, age: float, state: str, at_work: bool
) -> None:
    say(run, "running", host="elsewhere", age=age)
    found = standing(run)
    assert (found.state, found.at_work) == (state, at_work)


def test_an_ended_run_stays_as_it_said_however_fresh(run: Path) -> None:
    say(run, "interrupted", host="elsewhere")
    found = standing(run)
    assert (found.state, found.at_work) == ("interrupted", False)


def test_status_shows_counts_rates_and_replicas(
    driven: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say(driven, "running", age=3)
    lines = shown(driven, capsys)
    assert lines[:4] == [
        "state running",
        "items 10 of 24, 4 open",
        "failed 1",
        "tokens 1,234, 56.7 a second",
    ]
    assert lines[4:7] == ["ETA 0:01:35", "time 0:01:10", "restarts 2"]
    assert lines[7:9] == [f"driver process 40 on {platform.node()}", "heartbeat 3 s ago"]
    assert lines[-2:] == ["replica state node process load deaths", "small-1 up gpu-7 41 7 2"]


def test_status_says_which_failures_it_doesnt_know(
    driven: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say(driven, "running", skipped=6)
    assert shown(driven, capsys)[2] == "failed 1, besides those of the first 6 items"


def test_status_says_when_a_driver_is_silent(
    driven: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say(driven, "running", age=2 * SILENCE)
    assert "heartbeat 120 s ago; the driver hangs, or is gone" in shown(driven, capsys)


def test_status_of_a_lost_driver_says_what_goes_on(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say(run, "running", age=500)
    lines = shown(run, capsys)
    assert lines[0] == "state unfinished: the driver is gone; the same command continues"
    assert not any(line.startswith(("ETA", "replica")) for line in lines)


def test_json_is_what_the_driver_said_with_what_became_of_it(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say(run, "running")
    print_status(run, tables.console(), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["at_work"], told["replicas"]) == ("gone", False, [REPLICA])


def test_stop_without_a_driver_says_so_and_asks_nobody(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_run(run, tables.console(), now=False, wait=True)
    assert capsys.readouterr().out.startswith(f"no driver is at work in {run}; the run is unfin")
    assert not (run / "stop").exists()


def test_stop_without_waiting_only_asks(driven: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say(driven, "running")
    stop_run(driven, tables.console(), now=False, wait=False)
    assert (driven / "stop").exists()
    assert "to stop; 4 open items and their shards come first" in capsys.readouterr().out


def test_now_is_refused_where_the_driver_is_elsewhere(run: Path) -> None:
    say(run, "running", host="elsewhere")
    (run / ".lock").write_text("1")
    with pytest.raises(ConfigError, match="got it on elsewhere"):
        stop_run(run, tables.console(), now=True, wait=True)
