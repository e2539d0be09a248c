"""The table of tasks, and what is said of a config that can't be used."""

import pytest

from actors.types import ConfigError
from pipelines.tasks import TASKS, load_task, task_class, task_config


@pytest.mark.parametrize("name", TASKS)
def test_every_name_in_the_table_is_a_task(name):
    assert set(task_class(name).Config.model_fields) >= {"name", "source", "limit", "seed"}


def test_an_unknown_task_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"'gsm9k'.*arithmetic, custom, data, gsm8k"):
        load_task({"name": "gsm9k"})
    with pytest.raises(ConfigError, match=r"task\.name is missing.*gsm8k"):
        load_task({"source": "packaged"})


def test_an_unknown_key_suggests_the_nearest_known_one():
    with pytest.raises(ConfigError, match=r"task\.limt: unknown key; did you mean 'limit'\?"):
        task_config({"name": "gsm8k", "limt": 5})
    with pytest.raises(ConfigError, match=r"task\.zzzz: unknown key; known: name, source"):
        task_config({"name": "gsm8k", "zzzz": 5})


def test_every_problem_is_reported_with_its_field_and_what_was_given():
    with pytest.raises(ConfigError) as raised:
        task_config({"name": "arithmetic", "steps": 7, "limit": "many"})
    lines = str(raised.value).splitlines()
    assert len(lines) == 2
    assert any(line.startswith("task.steps: ") and "got 7" in line for line in lines)
    assert any(line.startswith("task.limit: ") and "'many'" in line for line in lines)


def test_a_nested_problem_has_its_path():
    examples = [{"question": "q", "replay": "r"}]
    with pytest.raises(ConfigError, match=r"task\.examples\.0\.replay: unknown key"):
        task_config({"name": "custom", "prompt": "{q}", "reference": "a", "examples": examples})
