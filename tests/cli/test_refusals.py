"""What a user who asks for the impossible is told: one clear line, exit code 2, no traceback."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

BAD_LINES = {
    "unknown key": ("sede=1", "sede: unknown key; did you mean 'seed'?"),
    "unknown key, nested": (
        "models.small.replica=2",
        "models.small.replica: unknown key; did you mean 'replicas'?",
    ),
    "wrong type": ("models.small.cpus=two", "models.small.cpus: input should be a valid number"),
    "no value": ("pipeline.n", "'pipeline.n': wanted key=value"),
    "unknown task": ("task.name=cutsom", "'cutsom'; known: arithmetic, custom, data, gsm8k"),
    "unknown pipeline": ("pipeline.name=rnk", "unknown pipeline 'rnk'; known: rank"),
    "unknown ranker": ("pipeline.rankers=[best]", "unknown ranker 'best'; known: first, majority"),
    "unknown scorer": ("roles.scorers.s=magic", "unknown scorer 'magic'; known: mean_logprob"),
    "unknown engine": ("models.small.engine=vlm", "unknown engine 'vlm'; known: vllm, hf, reward"),
    "unknown model": ("roles.generator=big", "no model 'big' under models; there are: small"),
    "unbound scorer": (
        "pipeline.rankers=['best_of:x']",
        "'best_of:x' needs the scorer 'x'; this config binds none; add roles.scorers.x",
    ),
    "ranker without scorer": ("pipeline.rankers=['best_of:']", "wanted 'best_of:SCORER'"),
    "n below 1": ("pipeline.n=0", "pipeline.n: input should be greater than or equal to 1, got 0"),
    "k above n": ("pipeline.ks=[1,8]", "ks: wanted draw sizes from 1 to n = 4, got 8"),
    "top_p of 0": ("pipeline.sampling.top_p=0", "top_p: input should be greater than 0, got 0"),
    "top_p above 1": ("pipeline.sampling.top_p=1.5", "top_p: input should be less than or equal"),
    "temperature 0": ("pipeline.sampling.temperature=0", "temperature: input should be greater"),
    "missing data": ("task.source=absent.jsonl", "no such file: absent.jsonl"),
    "no model files": ("models.small={engine: hf, path: ./void}", "lacks config.json, a tokenizer"),
    "no such model": ("models.small={engine: hf, path: ./absent}", "wanted a model directory"),
    "too many replicas": (
        "models.small.replicas=5",
        "models.small: replica 5 of 5 wants 0.5 CPU on one node, and this machine has free: ",
    ),
    "no GPU": (
        "models.small.gpus=64",
        "replica 1 of 1 wants 0.5 CPU, 64 GPU on one node",
    ),
}
"""A change to a sound config, and what the line about it must hold."""


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line on stderr of a command that was refused."""
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("lilliput: ")
    return str(line)


@pytest.mark.parametrize(("change", "message"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_refused_before_anything_starts(
    inputs: Path, tools: Any, change: str, message: str
) -> None:
    (inputs / "void").mkdir()
    done = tools.called(inputs, "run", "sums.yaml", change)
    assert message in refused(done)
    assert done.stdout == ""
    assert not (inputs / "runs").exists()


def test_a_missing_config_is_refused_with_the_shipped_ones(tmp_path: Path, tools: Any) -> None:
    message = refused(tools.finished(tmp_path, "run", "absent.yaml"))
    assert "no config 'absent.yaml'" in message
    assert "demo" in message


@pytest.mark.parametrize(
    "arguments", [["rnu"], ["run"], ["run", "x", "--outptu", "y"], ["ls", "nothing"]]
)
def test_a_command_line_that_makes_no_sense_is_refused(
    tmp_path: Path, tools: Any, arguments: list[str]
) -> None:
    assert "lilliput --help" in refused(tools.called(tmp_path, *arguments))


def test_an_empty_data_set_is_refused(inputs: Path, tools: Any) -> None:
    (inputs / "rows.jsonl").write_text("")
    assert "rows.jsonl has no rows" in refused(tools.called(inputs, "run", "sums.yaml"))


@pytest.mark.parametrize(("command", "number"), [("run", 1), ("validate", 3)])
def test_a_row_without_a_needed_field_is_refused_by_number_and_field(
    inputs: Path, tools: Any, command: str, number: int
) -> None:
    rows = [{"question": "What is 2 + 3?", "answer": 5} for _ in range(3)]
    del rows[number - 1]["answer"]
    (inputs / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    message = refused(tools.called(inputs, command, "sums.yaml"))
    assert f"row {number} of rows.jsonl has no field 'answer'; it has: question" in message


def test_the_directory_of_another_config_is_refused_by_the_field_that_differs(
    base: tuple[Path, Any], tools: Any
) -> None:
    folder, _ = base
    before = tools.contents(folder / "runs" / "sums")
    message = refused(tools.called(folder, "run", "sums.yaml", "pipeline.sampling.top_k=9"))
    assert "holds a run with pipeline.sampling.top_k = 0" in message
    assert "got pipeline.sampling.top_k = 9" in message
    assert "--fresh" in message
    assert tools.contents(folder / "runs" / "sums") == before


def test_a_directory_with_other_files_is_refused(inputs: Path, tools: Any) -> None:
    message = refused(tools.called(inputs, "run", "sums.yaml", "--output", "."))
    assert "wanted an empty or a run directory" in message


def test_an_output_that_cannot_be_written_is_refused(inputs: Path, tools: Any) -> None:
    message = refused(tools.called(inputs, "run", "sums.yaml", "--output", "rows.jsonl/run"))
    assert "wanted to write rows.jsonl/run" in message


@pytest.mark.parametrize("command", ["report", "score", "export"])
def test_a_folder_that_is_no_run_is_refused(inputs: Path, tools: Any, command: str) -> None:
    before = tools.contents(inputs)
    assert "wanted a run directory, got ." in refused(tools.called(inputs, command, "."))
    assert tools.contents(inputs) == before


def test_scoring_refuses_what_would_need_new_draws(base: tuple[Path, Any], tools: Any) -> None:
    message = refused(tools.called(base[0], "score", "runs/sums", "pipeline.n=8"))
    assert "pipeline.n=8: this would need new draws" in message


def test_showing_an_item_that_is_not_there_is_refused(inputs: Path, tools: Any) -> None:
    message = refused(tools.called(inputs, "show", "sums.yaml", "--item", "24"))
    assert "--item 24: the task has 24 items" in message


@pytest.mark.parametrize("place", [0, 1, 3])
def test_debug_anywhere_on_the_line_shows_the_traceback(
    inputs: Path, tools: Any, place: int
) -> None:
    arguments = ["run", "sums.yaml", "sede=1"]
    arguments.insert(place, "--debug")
    done = tools.called(inputs, *arguments)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "ConfigError: sede: unknown key; did you mean 'seed'?" in done.stderr
