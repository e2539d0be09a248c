"""Programs of a replay through a run with a sandbox of its own, and graded again."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from actors.sandbox.config import SandboxConfig
from actors.sandbox.host import choose
from actors.types import ConfigError
from pipelines.tasks import load_task
from results.parts import read_records

CONFIG = """
task: {name: humaneval, limit: 4}
pipeline: {name: rank, n: 3, greedy: false, rankers: [first, oracle]}
models: {made: {engine: replay, path: made.jsonl, cpus: 0.5}}
roles: {generator: made}
sandbox: {replicas: 1, in_flight: 2}
cluster: {cpus: 2}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of each item a right program, a stub, and one that wants to be right by exiting."""
    try:
        asyncio.run(choose(SandboxConfig()))
    except ConfigError as error:
        pytest.skip(str(error))
    with (tmp_path / "made.jsonl").open("w") as file:
        for item, right in load_task({"name": "humaneval"}).solutions():
            exits = "import sys\nsys.exit(0)\n"
            name = json.loads(item.reference)["names"][0]
            texts = [right, f"def {name}(*_):\n    pass\n", f"{exits}def {name}(*_):\n    pass\n"]
            fenced = [f"```python\n{text}```" for text in texts]
            file.write(json.dumps({"item_id": item.id, "texts": fenced}) + "\n")
    # A replica of the suite's Ray is in another working directory.
    config = CONFIG.replace("made.jsonl", str(tmp_path / "made.jsonl"))
    (tmp_path / "code.yaml").write_text(config)
    return tmp_path


def test_code_is_run_graded_reported_and_graded_again(ray: str, folder: Path, tools: Any) -> None:
    done = tools.called(folder, "run", "code.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr
    assert "self-test passed" in done.stdout
    assert "correct 4 (33.3%), wrong 8 (66.7%)" in done.stdout
    about = json.loads((folder / "run" / "run.json").read_text())["about"]
    (backend,) = about["sandbox"]
    assert about["sandbox"][backend]["keeps"]
    assert {r["model"]: r["device"] for r in about["replicas"]}["sandbox"] == backend
    for record in read_records(folder / "run"):
        assert [c.outcome for c in record.candidates] == ["correct", "wrong", "wrong"]
        oracle = {a.k: a.value for a in record.answers if a.method == "oracle"}
        assert oracle == pytest.approx({1: 1 / 3, 2: 2 / 3, 3: 1.0})
    (folder / "made.jsonl").unlink()
    again = tools.called(folder, "score", "run", "sandbox.cpu_seconds=2", "--output", "again")
    assert again.returncode == 0, again.stderr
    counted = Counter(c.outcome for r in read_records(folder / "again") for c in r.candidates)
    assert counted == {"correct": 4, "wrong": 8}


def test_a_row_whose_own_program_fails_is_told_of_before_and_after(
    ray: str, tmp_path: Path, tools: Any
) -> None:
    try:
        asyncio.run(choose(SandboxConfig()))
    except ConfigError as error:
        pytest.skip(str(error))
    row = {"prompt": "One more.", "entry_point": "f", "tests": "assert f(1) == 2"}
    right = {**row, "id": "good", "solution": "def f(x): return x + 1"}
    wrong = {**row, "id": "bad", "solution": "def f(x): return x"}
    lines = [json.dumps(right), json.dumps(wrong)]
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    made = [
        {"item_id": name, "texts": ["```\ndef f(x): return x + 1\n```"]} for name in ("good", "bad")
    ]
    (tmp_path / "made.jsonl").write_text("\n".join(map(json.dumps, made)))
    config = CONFIG.replace("made.jsonl", str(tmp_path / "made.jsonl")).replace("n: 3", "n: 1")
    own = f"{{name: programs, source: {tmp_path / 'own.jsonl'}}}"
    (tmp_path / "code.yaml").write_text(config.replace("{name: humaneval, limit: 4}", own))
    done = tools.called(tmp_path, "run", "code.yaml", "--output", "run")
    assert done.returncode == 0, done.stderr
    said = "item bad can't be solved: its reference program does not pass (failed: AssertionError)"
    assert done.stdout.count(f"warning: {said}") == 2
    assert said in json.loads((tmp_path / "run" / "summary.json").read_text())["warnings"]
    (tmp_path / "own.jsonl").write_text(lines[1])
    refused = tools.called(tmp_path, "run", "code.yaml", "--output", "other")
    assert refused.returncode == 2
    assert "none of 1 reference programs passes its own tests" in refused.stderr
