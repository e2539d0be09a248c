"""Generated stories: stable, solvable, graded."""

import re

import pytest

from actors.types import ConfigError
from pipelines.tasks import load_task
from pipelines.tasks.stories import STORIES


def stories(**config):
    return list(load_task({"name": "arithmetic", **config}).items())


def test_an_item_is_the_same_however_many_there_are():
    assert stories(num_items=30) == stories(num_items=300)[:30]
    assert stories(num_items=30, seed=1) != stories(num_items=30)


def test_ids_name_the_steps_and_the_index():
    items = stories(steps=1, num_items=18)
    assert items[17].id == "arithmetic-s1-000017"
    told = " ".join(item.question for item in stories(num_items=400))
    for story in STORIES:
        start = story.start.format(name="", n="")
        assert all(word in told for word in start.split()), story.name


OPERATIONS = [
    (r"(?:more|another) (\d+)|(\d+) more", lambda value, n: value + n),
    (r"(\d+) times", lambda value, n: value * n),
    (r"into (\d+)|among (\d+)", lambda value, n: value / n),
    (
        r"(?:gives|sells|uses|takes|out|away|path|empties|spreads) .*?(\d+)|(\d+)",
        lambda value, n: value - n,
    ),
]


def solve(question):
    """Read a story sentence by sentence, as a reader would, without the generator's own steps."""
    start, *steps, _ = re.split(r"(?<=\.) ", question)
    value = int(re.search(r"\d+", start)[0])
    for sentence in steps:
        for pattern, operation in OPERATIONS:
            match = re.search(pattern, sentence)
            if match:
                value = operation(value, int(next(group for group in match.groups() if group)))
                break
    return value


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [4, 20, 1000])
def test_the_answer_is_what_a_reader_works_out_and_a_positive_integer(steps, size):
    for item in stories(steps=steps, size=size, num_items=200):
        numbers = [int(n) for n in re.findall(r"\d+", item.question)]
        assert len(numbers) == steps + 1
        assert max(numbers) <= size
        assert min(numbers) >= 2
        assert solve(item.question) == int(item.reference) > 0, item.question


def test_grading_is_the_one_of_gsm8k():
    task = load_task({"name": "arithmetic", "num_items": 1})
    item = next(task.items())
    assert task.metrics == ("accuracy", "accuracy_strict")
    assert task.grade(item, f"#### {item.reference}", "stop").outcome == "correct"
    assert task.grade(item, f"#### {item.reference}1", "stop").outcome == "wrong"
    assert task.grade(item, "So he has", "length").outcome == "truncated"


def test_there_is_nothing_to_read_but_the_config():
    with pytest.raises(ConfigError, match=r"task\.source"):
        load_task({"name": "arithmetic", "source": "openai/gsm8k"})
    other = load_task({"name": "arithmetic", "size": 21}).fingerprint
    assert other != load_task({"name": "arithmetic"}).fingerprint


def test_a_limit_takes_some_of_them():
    task = load_task({"name": "arithmetic", "limit": 10})
    assert (task.limited, task.num_items, len(list(task.items()))) == (True, 10, 10)
