"""What goes to a cluster with a run, what is said of it, and what its end comes to. No cluster."""

import asyncio
import os
import shlex
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from actors.types import ConfigError, EngineError
from cluster import jobs
from cluster.jobs import Outcome
from pipelines import remote, tables

CONFIG = """
task: {name: custom, source: SOURCE, prompt: "{q}", reference: a, extract: number}
pipeline: {name: rank, n: 2}
models: {small: {engine: fake}}
roles: {generator: small}
"""
DONE = Outcome(stopped=False, code=0, message="")


@dataclass
class ScriptedJob:
    """A job that writes these pieces and ends like that; Ctrl-C comes `interrupts` times, and the
    second leaves it writing for ever."""

    pieces: tuple[str, ...] = ()
    end: Outcome = DONE
    interrupts: int = 0
    id: str = "raysubmit_x"
    address: str = "http://head:8265"
    stops: int = 0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def log(self) -> AsyncIterator[str]:
        for piece in self.pieces:
            yield piece
        self.loop = asyncio.get_running_loop()
        if self.interrupts:
            os.kill(os.getpid(), signal.SIGINT)
            await self.stopped.wait()
            yield "drained\n"
        if self.interrupts > 1:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    def stop(self) -> None:
        self.stops += 1
        self.loop.call_soon_threadsafe(self.stopped.set)

    def outcome(self) -> Outcome:
        return self.end


@dataclass
class Sent:
    """What a submission sent."""

    job: ScriptedJob
    command: str = ""
    files: dict[str, int] = field(default_factory=dict)


Submit = Callable[..., int]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a config and its rows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.jsonl").write_text('{"q": "1 + 1", "a": 2}\n')
    (tmp_path / "sums.yaml").write_text(CONFIG.replace("SOURCE", "data/rows.jsonl"))
    return tmp_path


@pytest.fixture
def sent(here: Path, monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Takes the place of the cluster."""
    sent = Sent(job=ScriptedJob())

    def submit(address: str, folder: Path, command: str) -> ScriptedJob:
        files = [path for path in folder.rglob("*") if path.is_file()]
        sent.files = {str(path.relative_to(folder)): path.stat().st_size for path in files}
        sent.command = command
        return sent.job

    monkeypatch.setattr(jobs, "submit", submit)
    return sent


def submitted(
    config: str = "sums.yaml",
    *overrides: str,
    output: str | None = "/shared/x",
    flags: tuple[str, ...] = (),
) -> int:
    console = tables.console(stderr="--json" in flags)
    return remote.submit_run(
        "http://head:8265", config, overrides, output=output, flags=flags, console=console
    )


def test_the_code_goes_along_and_nothing_else_of_it(sent: Sent) -> None:
    assert submitted() == 0
    assert {name.partition("/")[0] for name in sent.files} == {
        *("actors", "cluster", "pipelines", "results", "configs"),
        *("submitted", "data"),
    }
    assert {"pipelines/cli.py", "results/report/page.html", "configs/demo.yaml"} <= set(sent.files)
    assert not [name for name in sent.files if "__pycache__" in name or name.endswith(".pyc")]
    assert sum(sent.files.values()) < 2_000_000


def test_a_config_of_ones_own_goes_along_under_its_name(sent: Sent) -> None:
    submitted("sums.yaml", "pipeline.n=3", "task.title=two words", flags=("--fresh",))
    words = shlex.split(sent.command)
    assert words == [
        *("exec", "python", "-m", "pipelines.cli", "run", "submitted/sums.yaml"),
        *("pipeline.n=3", "task.title=two words", "cluster.address=auto", "--fresh"),
        *("--output", "/shared/x"),
    ]
    assert "submitted/sums.yaml" in sent.files


def test_a_shipped_config_stays_a_name(sent: Sent) -> None:
    submitted("fake")
    assert " run fake cluster.address=auto " in sent.command
    assert not [name for name in sent.files if name.startswith("submitted")]


@pytest.mark.parametrize(
    ("output", "word", "said"),
    [
        ("/shared/my runs/x", "'/shared/my runs/x'", "records: /shared/my runs/x on the head"),
        ("s3://bucket/x", "s3://bucket/x", "records: s3://bucket/x\n"),
        ("mine/x", '"$HOME"/mine/x', "records: ~/mine/x on the head's own disk"),
        (None, '"$HOME"/runs/sums', "records: ~/runs/sums on the head's own disk"),
    ],
)
def test_it_is_said_where_records_will_be(
    sent: Sent, output: str | None, word: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted(output=output)
    assert sent.command.endswith(f" --output {word}")
    assert said in capsys.readouterr().out


def test_small_data_goes_along_and_that_is_said(
    sent: Sent, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted()
    assert sent.files["data/rows.jsonl"] > 0
    assert "shipped: data/rows.jsonl\n" in capsys.readouterr().out


def test_data_on_an_absolute_path_stays_and_that_is_said(
    sent: Sent, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted("sums.yaml", f"task.source={here}/data/rows.jsonl")
    assert "data/rows.jsonl" not in sent.files
    line = f"not shipped, has to be on every node: {here}/data/rows.jsonl\n"
    assert line in capsys.readouterr().out


def test_large_data_is_refused_before_anything_is_sent(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MAX_DATA", 10)
    with pytest.raises(ConfigError, match=r"data/rows\.jsonl; put it on storage that every node"):
        submitted()
    assert sent.command == ""


def test_data_outside_the_working_directory_is_refused(sent: Sent, here: Path) -> None:
    (here.parent / "elsewhere.jsonl").write_text("{}")
    with pytest.raises(ConfigError, match="give an absolute path that every node"):
        submitted("sums.yaml", "task.source=../elsewhere.jsonl")
    assert sent.command == ""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (Outcome(stopped=False, code=3, message="failed"), 3),
        (Outcome(stopped=False, code=-9, message="killed"), 137),
        (Outcome(stopped=True, code=None, message=""), 130),
    ],
)
def test_the_drivers_exit_code_becomes_ours(sent: Sent, end: Outcome, code: int) -> None:
    sent.job.end = end
    assert submitted() == code


def test_a_job_whose_driver_never_started_is_a_fault_of_the_cluster(sent: Sent) -> None:
    sent.job.end = Outcome(stopped=False, code=None, message="no\n space left")
    with pytest.raises(EngineError, match=r"raysubmit_x ended without .*: no space left"):
        submitted()


def test_the_log_is_shown_line_by_line_however_it_arrives(
    sent: Sent, capsys: pytest.CaptureFixture[str]
) -> None:
    sent.job.pieces = ("one\ntw", "o\n", "no end")
    submitted()
    assert capsys.readouterr().out.endswith("\none\ntwo\nno end\n")


def test_with_json_only_json_is_output(sent: Sent, capsys: pytest.CaptureFixture[str]) -> None:
    sent.job.pieces = ('starting\n{"event": "progress"}\n',)
    submitted(flags=("--json",))
    said = capsys.readouterr()
    assert said.out == '{"event": "progress"}\n'
    assert said.err.endswith("\nstarting\n")


def test_the_first_interrupt_stops_the_job_and_goes_on_watching(
    sent: Sent, capsys: pytest.CaptureFixture[str]
) -> None:
    sent.job.interrupts, sent.job.end = 1, Outcome(stopped=True, code=None, message="")
    assert submitted() == 130
    assert sent.job.stops == 1
    assert capsys.readouterr().out.endswith("\ndrained\n")


def test_the_second_interrupt_leaves_and_says_how_to_watch(
    sent: Sent, capsys: pytest.CaptureFixture[str]
) -> None:
    sent.job.interrupts = 2
    assert submitted() == 130
    assert sent.job.stops == 1
    assert (
        "`ray job logs --follow raysubmit_x --address http://head:8265`" in capsys.readouterr().out
    )


def test_an_address_that_is_no_dashboards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wanted the address of a Ray dashboard"):
        jobs.submit("ray://head:10001", tmp_path, "true")
