"""Rows of replies in the forms that published data sets have."""

import asyncio

import pytest

from actors.types import ConfigError, ItemError
from pipelines.given import Config, solve
from pipelines.tasks import load_task

PAIR = {"prompt": "Why?", "chosen": "Because.", "rejected": "No.", "subset": "easy"}
TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
HH = "\n\nHuman: Why?\n\nAssistant: {}\n\nHuman: Go on.\n\nAssistant: {}"


def only(write_jsonl, row, **config):
    task = load_task({"name": "data", "source": write_jsonl("d.jsonl", [row]), **config})
    (item,) = task.items()
    return task, item


@pytest.mark.parametrize(
    ("row", "messages", "choices", "reference"),
    [
        ({"prompt": "Why?", "response": "So."}, [("user", "Why?")], ["So."], ""),
        ({"instruction": "Why?", "output": "So."}, [("user", "Why?")], ["So."], ""),
        ({"messages": TURNS}, [("user", "Hi")], ["Hello."], ""),
        (
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo."}]},
            [("user", "Hi")],
            ["Yo."],
            "",
        ),
        (PAIR, [("user", "Why?")], ["Because.", "No."], "0"),
        (
            {"chosen": TURNS, "rejected": [TURNS[0], {"role": "assistant", "content": "What?"}]},
            [("user", "Hi")],
            ["Hello.", "What?"],
            "0",
        ),
        (
            {"chosen": HH.format("So.", "Good."), "rejected": HH.format("So.", "Bad.")},
            [("user", "Why?"), ("assistant", "So."), ("user", "Go on.")],
            ["Good.", "Bad."],
            "0",
        ),
        (
            {
                "conversations": [{"from": "human", "value": "Hi"}],
                "chosen": {"from": "gpt", "value": "Yo."},
                "rejected": {"from": "gpt", "value": "No."},
            },
            [("user", "Hi")],
            ["Yo.", "No."],
            "0",
        ),
        (
            {"prompt": [{"role": "user", "content": "Hi"}], "candidates": ["a", "b", "c"]},
            [("user", "Hi")],
            ["a", "b", "c"],
            "",
        ),
    ],
)
def test_each_form_of_row_becomes_a_prompt_and_its_replies(
    write_jsonl, row, messages, choices, reference
):
    _, item = only(write_jsonl, row)
    assert [(m.role, m.content) for m in item.messages] == messages
    assert list(item.choices) == choices
    assert item.reference == reference
    assert item.question == (messages[0][1] if len(messages) == 1 else "")


def test_columns_can_be_named_and_a_subset_is_a_category(write_jsonl):
    row = {"ask": "Why?", "good": "So.", "bad": "No.", "kind": "hard", "prompt": "not this"}
    named = {"prompt": "ask", "chosen": "good", "rejected": "bad", "subset_field": "kind"}
    task, item = only(write_jsonl, row, **named)
    assert item.messages[0].content == "Why?"
    assert item.category == "hard"
    assert task.columns["chosen"] == "good"


def test_only_a_pair_says_which_reply_is_right(write_jsonl):
    task, item = only(write_jsonl, PAIR)
    assert [task.grade(item, str(i), "stop").outcome for i in range(2)] == ["correct", "wrong"]
    task, item = only(write_jsonl, {"prompt": "Why?", "candidates": ["a", "b"]})
    grade = task.grade(item, "0", "stop")
    assert (grade.outcome, grade.metrics) == ("ungraded", ())


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"text": "a"}, r"none of the columns chosen and rejected; .* it has: text; name them"),
        ({"messages": TURNS[:1]}, "ends with the turn of 'user', not a reply"),
        ({"messages": []}, "list in field 'messages', where text or turns belong"),
        ({"messages": [{"role": "user"}]}, "a turn without role and content"),
        ({"prompt": "a", "candidates": "b"}, "str in field 'candidates', where a list belongs"),
        ({"prompt": "a", "candidates": [1]}, "a candidate without text"),
        ({"chosen": "a", "rejected": "b"}, "a reply without a prompt"),
        (
            {"chosen": HH.format("So.", "Good."), "rejected": HH.format("No.", "Bad.")},
            "two conversations that differ before their last turns",
        ),
    ],
)
def test_a_row_that_cannot_be_scored_is_named(write_jsonl, row, problem):
    with pytest.raises(ConfigError, match=problem):
        only(write_jsonl, row)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "response": None},
        {"messages": None},
        {**PAIR, "rejected": None},
        {"prompt": "Why?", "candidates": ["So.", None]},
    ],
)
def test_a_row_with_a_null_for_a_reply_is_an_item_that_cannot_be_scored(write_jsonl, row):
    _, item = only(write_jsonl, row)
    assert item.choices == ()
    assert [m.content for m in item.messages] == (["Why?"] if "prompt" in row else [])
    with pytest.raises(ItemError, match="a null where one belongs"):
        asyncio.run(solve(item, Config(), scorers={}))


def test_the_question_of_a_conversation_is_all_of_it(write_jsonl):
    """Judges and others that quote a question must see what the reply replies to."""
    _, single = only(write_jsonl, {"prompt": "Why?", "response": "So."})
    assert (single.question, single.asked) == ("Why?", "Why?")
    history = [{"role": "user", "content": "I'm Ada."}, {"role": "assistant", "content": "Hello."}]
    turns = [*history, {"role": "user", "content": "Who am I?"}, {**history[1], "content": "Ada."}]
    _, item = only(write_jsonl, {"messages": turns}, system="Be kind.")
    assert item.choices == ("Ada.",)
    assert item.asked == (
        "system: Be kind.\n\nuser: I'm Ada.\n\nassistant: Hello.\n\nuser: Who am I?"
    )


ONE = {"prompt": "Why?", "response": "So."}
MANY = {"prompt": "Why?", "candidates": ["a", "b"]}
DIALOGUE = {"chosen": HH.format("So.", "Good."), "rejected": HH.format("So.", "Bad.")}


@pytest.mark.parametrize(
    ("first", "row", "problem"),
    [
        (DIALOGUE, {**DIALOGUE, "rejected": HH.format("No.", "Bad.")}, "differ before their last"),
        (PAIR, {**PAIR, "prompt": None}, "a null in field 'prompt'"),
        (ONE, {"prompt": "Why?"}, "a null where one belongs"),
        (ONE, {"response": "So."}, "no field 'prompt'"),
        (ONE, {"question": "Why?", "answer": "So."}, "no field 'prompt'"),
        (ONE, MANY, "a null where one belongs"),
        ({"messages": TURNS}, {"messages": [{"role": "user", "content": None}]}, "without role"),
        ({"messages": TURNS}, {"messages": TURNS[:1]}, "ends with the turn of 'user'"),
        (MANY, {**MANY, "candidates": []}, "an empty list in field 'candidates'"),
        (MANY, {**MANY, "candidates": [{"text": None}]}, "a candidate without text"),
    ],
)
def test_a_later_row_that_cannot_be_read_fails_alone_and_says_why(write_jsonl, first, row, problem):
    task = load_task({"name": "data", "source": write_jsonl("d.jsonl", [first, row, first])})
    before, item, after = task.items()
    assert item.choices == ()
    assert before.choices == after.choices != ()
    with pytest.raises(ItemError, match=problem):
        asyncio.run(solve(item, Config(), scorers={}))


def test_a_named_column_that_is_not_there_is_refused_and_not_taken_for_nulls(write_jsonl):
    for named in ({"response": "reply"}, {"candidates": "replies"}, {"subset_field": "kind"}):
        with pytest.raises(ConfigError, match=r"row 1 of .* has no field"):
            only(write_jsonl, ONE, **named)


def test_columns_are_those_of_the_first_row_in_all_rows(write_jsonl):
    rows = [{"question": "Why?", "answer": "So."}, {**ONE, "question": "Who?", "answer": "You."}]
    task = load_task({"name": "data", "source": write_jsonl("d.jsonl", rows)})
    assert task.columns == {"prompt": "question", "response": "answer"}
    assert [(i.question, i.choices) for i in task.items()] == [
        ("Why?", ("So.",)), ("Who?", ("You.",))
    ]  # fmt: skip
