"""The command line in a process of its own or in this one, one finished run for all to read, no
model."""

import contextlib
import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines import cli
from results.parts import read_records
from results.schema import CandidateRecord, Record

LILLIPUT = Path(sys.executable).parent / "lilliput"
NUM_ITEMS = 24
PATIENCE = 120.0
"""Seconds for what takes a few on an idle machine."""

CONFIG = """
seed: 7
shard_size: 2
task:
  name: custom
  title: sums
  source: rows.jsonl
  prompt: "{question}"
  reference: answer
  extract: number
  compare: number
pipeline: {name: rank, n: 4, sampling: {max_tokens: 32}, rankers: [first, majority]}
models:
  small: {engine: fake, cpus: 0.5, fake: {texts: ["It is 5", "So 5", "It is 7", "No idea"]}}
roles: {generator: small}
cluster: {cpus: 2}
"""

Lilliput = Callable[..., subprocess.CompletedProcess[str]]


def finished(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `lilliput` in a folder to its end."""
    command = [str(LILLIPUT), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def called(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Do in this process what `lilliput` does in a folder, on the Ray that this process has: for
    what a command says and writes, many times faster than a process.
    """
    command = ["lilliput", *map(str, arguments)]
    stdout, stderr = io.StringIO(), io.StringIO()
    # What Python does with warnings where no handler is; pytest has handlers.
    log = logging.StreamHandler(stderr)
    log.setLevel(logging.WARNING)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", command)
        logging.getLogger().addHandler(log)
        try:
            with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
                cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            logging.getLogger().removeHandler(log)
    return subprocess.CompletedProcess(command, code, stdout.getvalue(), stderr.getvalue())


def started(
    folder: Path, *arguments: object, start_new_session: bool = False
) -> subprocess.Popen[str]:
    """Start `lilliput` in a folder and come back at once."""
    command = [str(LILLIPUT), *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=start_new_session,
    )


def until(process: "subprocess.Popen[str]", condition: Callable[[], bool]) -> None:
    """Wait for a condition while the process runs; it must come true before the process ends."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the run makes no progress"
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(process.communicate()[1])


def write_inputs(folder: Path) -> Path:
    """A config `sums.yaml` and its rows, of which every answer is 5."""
    rows = [{"question": f"What is {i} + {5 - i}?", "answer": 5} for i in range(NUM_ITEMS)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "sums.yaml").write_text(CONFIG)
    return folder


def by_item(run: Path) -> dict[str, Record]:
    """The records of a run by item id; an item that comes twice is a failure."""
    records = list(read_records(run))
    found = {record.item_id: record for record in records}
    assert len(found) == len(records), "an item was committed twice"
    return found


def drawn(run: Path) -> dict[str, list[tuple[object, ...]]]:
    """By item id, all that a run drew and how it graded it, but for how long that took."""

    def what(c: CandidateRecord) -> tuple[object, ...]:
        return (c.index, c.decoding, c.text, c.seed, c.logprob, c.tokens, c.answer, c.outcome)

    return {name: [what(c) for c in r.candidates] for name, r in by_item(run).items()}


def contents(run: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a folder with its time and bytes, but for the lock, which names its holder."""
    files = [p for p in sorted(run.rglob("*")) if p.is_file() and p.name != ".lock"]
    return {str(p.relative_to(run)): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.fixture(scope="session")
def tools() -> Any:
    """The functions of this file: test files can't import each other."""
    return sys.modules[__name__]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder of one's own with `sums.yaml` and its rows."""
    return write_inputs(tmp_path)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """An undisturbed run `runs/sums`: its folder and what the command said. Not to be changed."""
    folder = write_inputs(tmp_path_factory.mktemp("base"))
    return folder, finished(folder, "run", "sums.yaml")
