"""Damage and object stores, seen through the command line with the fake engine."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from results.directories import open_directory
from tests.cli.test_interruptions import descendants, end_agents, kept_alive
from tests.results.s3 import BUCKET, S3, serving

SLOW = ("models.small.fake.latency=0.2", "models.small.in_flight=5")
URL = f"s3://{BUCKET}/runs/sums"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    with serving() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def kill(driver: "subprocess.Popen[str]", patience: float) -> None:
    """By SIGKILL; what it started must end by itself."""
    handles = {pid: os.pidfd_open(pid) for pid in descendants(driver.pid)}
    driver.kill()
    driver.communicate()
    end_agents(handles)
    assert kept_alive(handles, patience) == []


def flip_a_byte(part: Path) -> bytes:
    """Returns what the file holds then."""
    content = bytearray(part.read_bytes())
    content[len(content) // 3] ^= 1
    part.write_bytes(content)
    return bytes(content)


def test_a_run_goes_on_after_its_directory_was_gone_and_a_part_of_it_was_damaged(
    ray: str, base: tuple[Path, Any], inputs: Path, tools: Any
) -> None:
    run, away = inputs / "runs" / "sums", inputs / "away"
    driver = tools.started(inputs, "run", "sums.yaml", *SLOW)
    tools.until(driver, lambda: len(list(run.glob("records/part-*.arrow"))) >= 2)
    run.rename(away)
    _, stderr = driver.communicate(timeout=tools.PATIENCE)
    assert (driver.returncode, stderr.count("\n")) == (2, 1), stderr
    assert stderr.startswith("lilliput: wanted to write runs/sums/records/part-")
    assert "got No such file or directory; check access" in stderr
    assert not run.exists()
    assert 4 <= len(tools.by_item(away)) < tools.NUM_ITEMS

    away.rename(run)
    part = min(run.glob("records/part-*.arrow"))
    damaged, shard = flip_a_byte(part), part.name.removeprefix("part-").removesuffix(".arrow")
    report = tools.called(inputs, "report", run)
    assert (report.returncode, report.stderr.count("\n")) == (2, 1)
    assert f"wanted shard {shard} whole" in report.stderr
    again = tools.called(inputs, "run", "sums.yaml", SLOW[0])
    assert again.returncode == 0, again.stderr
    line = f"shard {shard} was damaged (content that doesn't match its hash): kept as records/"
    assert again.stdout.splitlines()[1].startswith(line)
    assert (run / "records" / f"{part.name}.damaged-1").read_bytes() == damaged
    assert tools.drawn(run) == tools.drawn(base[0] / "runs" / "sums")


def test_a_run_in_an_object_store_survives_its_driver_and_lets_no_second_one_in(
    ray: str, base: tuple[Path, Any], inputs: Path, tools: Any, s3: S3
) -> None:
    command = ("run", "sums.yaml", *SLOW, "--output", URL)
    driver = tools.started(inputs, *command)
    assert s3.wait_for("PUT", "/records/part-", 2, tools.PATIENCE)
    # It does no more work while it is looked at, but it is alive.
    driver.send_signal(signal.SIGSTOP)
    second = tools.called(inputs, *command)
    assert second.returncode == 2
    assert f"got it in use by process {driver.pid} on" in second.stderr
    kill(driver, tools.PATIENCE)
    directory = open_directory(URL)
    before = directory.names("records")
    assert 2 <= len(before) < tools.NUM_ITEMS // 2
    # As if it had been on another machine: its process id says nothing there.
    holder = json.loads(directory.get("lease.json"))
    stale = {**holder, "machine": "elsewhere", "beat": time.time() - 61}
    directory.put("lease.json", json.dumps(stale).encode())

    done = tools.called(inputs, "run", "sums.yaml", SLOW[0], f"output=s3://{BUCKET}/runs")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"run directory: {URL}"
    assert f"report:  {URL}/report.html" in done.stdout
    assert tools.drawn(URL) == tools.drawn(base[0] / "runs" / "sums")
    # Nothing that was committed was put again.
    for name in before:
        assert s3.count("PUT", f"/records/{name}") == 1
    assert {"summary.json", "report.html", "status.json"} <= set(directory.names())
    status = json.loads(directory.get("status.json"))
    assert (status["state"], status["done"]) == ("finished", tools.NUM_ITEMS)


def test_data_in_an_object_store_are_fetched_once_and_scored(
    ray: str, tmp_path: Path, tools: Any, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = [{"prompt": f"What is {i}?", "response": f"It is {i}."} for i in range(3)]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    open_directory(f"s3://{BUCKET}/sets/a").put("rows.jsonl", content)
    url = f"s3://{BUCKET}/sets/a/rows.jsonl"
    fake = ("--model", "none", "--engine", "fake", "cluster.cpus=1", "--output", "out")
    ended = tools.called(tmp_path, "reward", url, *fake)
    assert (ended.returncode, ended.stderr) == (0, "")
    scored = (tmp_path / "out" / "scored.jsonl").read_text().splitlines()
    assert [json.loads(line)["response"] for line in scored] == [row["response"] for row in rows]
    (copy,) = (tmp_path / "cache" / "lilliput" / "data").rglob("rows.jsonl")
    assert copy.read_bytes() == content
    absent = tools.called(tmp_path, "reward", url.replace("rows", "none"), *fake)
    assert absent.returncode == 2
    assert absent.stderr.startswith(f"lilliput: wanted to read {url.replace('rows', 'none')}, got")


def test_scored_data_of_a_run_in_an_object_store_lie_beside_its_records(
    ray: str, tmp_path: Path, tools: Any, s3: S3
) -> None:
    content = '{"prompt": "What is 1?", "response": "It is 1."}\n'
    (tmp_path / "scored.jsonl").write_text(content)
    fake = ("--model", "none", "--engine", "fake", "cluster.cpus=1")
    url = f"s3://{BUCKET}/runs/scored"
    ended = tools.called(tmp_path, "reward", "scored.jsonl", *fake, "--output", url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"scored:  {url}/scored.jsonl" in ended.stdout
    assert json.loads(open_directory(url).get("scored.jsonl"))["reward_outcome"] == "ok"
    assert [*tmp_path.iterdir()] == [tmp_path / "scored.jsonl"]
    assert (tmp_path / "scored.jsonl").read_text() == content


def test_reading_commands_take_a_url(base: tuple[Path, Any], tools: Any, s3: S3) -> None:
    folder, directory = base[0], open_directory(URL)
    for path in sorted((folder / "runs" / "sums").rglob("*")):
        if path.is_file():
            name = str(path.relative_to(folder / "runs" / "sums"))
            directory.put(name, path.read_bytes())
    out = folder / "from-a-url.jsonl"
    commands: list[tuple[object, ...]] = [
        ("report", URL),
        ("status", URL),
        ("compare", "runs/sums", URL),
        ("export", URL, "--to", "jsonl", "--output", out),
        ("score", URL, "pipeline.rankers=[first]"),
    ]
    said = {}
    for command in commands:
        done = tools.called(folder, *command)
        assert (done.returncode, done.stderr) == (0, ""), command
        said[command[0]] = done.stdout
    assert said["report"] == f"{URL}/report.html\n"
    assert out.read_text().count("\n") == tools.NUM_ITEMS
    assert said["score"].splitlines()[0] == f"run directory: {URL}-rescored"
    missing = tools.called(folder, "report", f"{URL}-3")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert f"wanted a run directory, got {URL}-3 without run.json" in missing.stderr
