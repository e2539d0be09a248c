"""Conversations from rows: what the user says, and why nothing is graded."""

import json
from pathlib import Path
from typing import Any

import pytest

from actors.types import ConfigError, Item
from pipelines.tasks import load_task

TURNS = {"question_id": 81, "category": "writing", "turns": ["Hi.", "Again."], "reference": ["x"]}
MESSAGES = {
    "id": "m1",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Again."},
    ],
}


def items(folder: Path, *rows: object, **settings: Any) -> list[Item]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(load_task({"name": "chat", "source": str(path), **settings}).items())


def prompt(item: Item) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in item.messages]


def test_turns_are_a_prompt_and_what_follows_it(tmp_path: Path) -> None:
    (item,) = items(tmp_path, TURNS)
    assert prompt(item) == [("user", "Hi.")]
    assert item.follow_ups == ("Again.",)
    assert (item.id, item.category, item.question) == ("81", "writing", "Hi.")


def test_of_messages_the_users_are_taken_and_the_system_in_front(tmp_path: Path) -> None:
    (item,) = items(tmp_path, MESSAGES)
    assert prompt(item) == [("system", "Be brief."), ("user", "Hi.")]
    assert item.follow_ups == ("Again.",)
    (other,) = items(tmp_path, MESSAGES, system="Be long.")
    assert prompt(other) == [("system", "Be long."), ("user", "Hi.")]


def test_fewer_turns_may_be_played(tmp_path: Path) -> None:
    assert [item.follow_ups for item in items(tmp_path, TURNS, MESSAGES, max_turns=1)] == [(), ()]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"turns": []}, r"row 1 .* has \[\] in field 'turns', where a list of turns is needed"),
        ({"turns": "Hi."}, "'Hi.' in field 'turns', where a list of turns is needed"),
        ({"turns": ["Hi.", " "]}, "an empty one, in field 'turns'"),
        ({"turns": ["Hi.", 3]}, "no text of the user's"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no text of the user's"),
        ({"messages": [{"from": "human"}]}, "something without a role and a content"),
        ({"question": "Hi."}, "no field 'turns' or 'messages'; it has: question"),
    ],
)
def test_a_row_that_says_nothing_is_refused(
    row: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        items(tmp_path, row)


@pytest.mark.parametrize(("reason", "outcome"), [("stop", "ungraded"), ("length", "truncated")])
def test_nothing_tells_right_from_wrong(reason: Any, outcome: str, tmp_path: Path) -> None:
    (item,) = items(tmp_path, TURNS)
    task = load_task({"name": "chat", "source": str(tmp_path / "rows.jsonl")})
    grade = task.grade(item, "Hello!", reason)
    assert (grade.outcome, grade.answer, grade.metrics, task.metrics) == (outcome, None, (), ())
