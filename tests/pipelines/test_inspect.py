"""What can be looked at without a run: a rendered prompt."""

import pytest

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


@pytest.mark.parametrize("index", [2, 99])
def test_an_item_that_the_task_does_not_have_is_refused(index):
    with pytest.raises(ConfigError, match="the task has 2 items"):
        inspect.show("arithmetic", ["num_items=2"], f"bundled:{SMOL}", index)
