"""A drill on this machine: four kills, and nothing is lost."""

import json
import signal
from pathlib import Path
from typing import Any

NUM_ITEMS = 60
PACE = (
    "models.small.replicas=2",
    "models.small.in_flight=5",
    "models.small.fake.latency=0.1",
    # One item of a replica's five sequences at a time: the run takes six seconds.
    "models.small.fake.token_rate=30",
)


def test_a_run_that_loses_two_replicas_and_two_drivers_keeps_every_byte(
    inputs: Path, tools: Any
) -> None:
    rows = [{"question": f"What is {i} + {5 - i}?", "answer": 5} for i in range(NUM_ITEMS)]
    (inputs / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = tools.finished(inputs, "drill", "sums.yaml", *PACE, "--kills", 4, "--seed", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = inputs / "runs" / "sums-drill"
    kept = tools.read_json(folder / "drill.json")
    kinds = sorted(kill["kind"] for kill in kept["kills"])
    assert kinds == ["driver", "replica", "replica", "stop"]
    assert (kept["missed"], kept["orphans"], kept["starts"]) == ([], [], 3)
    assert kept["verdict"] == ["nothing lost, nothing doubled, same bytes"]
    assert tools.drawn(folder / "disturbed") == tools.drawn(folder / "undisturbed")
    assert len(tools.drawn(folder / "disturbed")) == NUM_ITEMS


def test_a_drill_whose_config_is_wrong_says_what_the_run_said(
    ray: str, inputs: Path, tools: Any
) -> None:
    (inputs / "rows.jsonl").unlink()
    done = tools.called(inputs, "drill", "sums.yaml", "--output", "here")
    assert done.returncode == 2
    assert "the undisturbed run ended with exit code 2: " in done.stderr
    assert "rows.jsonl" in done.stderr


def test_a_drill_that_is_told_to_end_ends_its_run_first(inputs: Path, tools: Any) -> None:
    process = tools.started(inputs, "drill", "sums.yaml", *PACE)
    run = inputs / "runs" / "sums-drill" / "undisturbed"
    tools.until(process, lambda: (run / "status.json").exists())
    pid = tools.read_json(run / "status.json")["pid"]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=tools.PATIENCE)
    assert process.returncode == 130
    assert not Path(f"/proc/{pid}").exists()
