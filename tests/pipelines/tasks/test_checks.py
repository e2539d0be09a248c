"""Checks of how a reply is written: what each kind counts, and a task made of them."""

import json

import pytest

from actors.config import parse
from actors.types import ConfigError
from pipelines.tasks import load_task
from pipelines.tasks.base import Grade
from pipelines.tasks.checks import KINDS, Check, plain, read


@pytest.mark.parametrize(
    ("check", "meets", "fails"),
    [
        ({"kind": "contains", "text": "Rome"}, "to ROME!", "to Rom"),
        ({"kind": "contains", "text": "a", "at_least": 2, "at_most": 3}, "banana", "aaaa"),
        ({"kind": "contains", "text": ",", "at_most": 0}, "one two", "one, two"),
        ({"kind": "pattern", "text": r"^[*-] ", "at_least": 2}, "- a\n* b", "- a, - b"),
        ({"kind": "pattern", "text": "x$"}, "ax\nb", "aX\nb"),
        ({"kind": "starts_with", "text": "dear"}, " Dear Ada", "My dear"),
        ({"kind": "ends_with", "text": "bye."}, "Good Bye.\n", "bye. now"),
        ({"kind": "json"}, '{"a": [1]}', "{'a': 1}"),
        ({"kind": "json"}, "1" * 5_000, "1" * 5_000 + "x"),
        ({"kind": "json"}, '```json\n{"a": 1}\n```', 'Here: {"a": 1}'),
        ({"kind": "lowercase"}, "no capitals 1", "No"),
        ({"kind": "uppercase"}, "ALL CAPITALS", "ALL capitals"),
        ({"kind": "lowercase"}, "no. 123", "123"),
        ({"kind": "characters", "at_most": 3}, " abc ", "abcd"),
        ({"kind": "words", "at_least": 3}, "it isn't", "two words"),
        ({"kind": "sentences", "at_most": 2}, "One. Two at 3.5!", "One. Two? Three"),
        ({"kind": "lines", "at_least": 2, "at_most": 2}, "a\n\nb\n", "a"),
        ({"kind": "paragraphs", "at_least": 2}, "a\nb\n \nc", "a\nb\nc"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_each_kind_tells_two_replies_apart(check, meets, fails):
    (found,) = read(plain([parse(Check, check)]))
    assert (found.holds(meets), found.holds(fails)) == (True, False)


@pytest.mark.parametrize("reply", ["[" * 100_000, "NaN", "[Infinity]", "```json\n{```"])
def test_no_reply_breaks_the_check_of_json(reply):
    assert not parse(Check, {"kind": "json"}).holds(reply)
    assert parse(Check, {"kind": "json"}).holds('```json\n{"a": 1}```')


def test_an_empty_reply_meets_nothing_and_every_kind_is_there():
    assert not parse(Check, {"kind": "contains", "text": "a", "at_most": 0}).holds(" \n")
    assert set(KINDS) == set(Check.model_fields["kind"].annotation.__args__)


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        ({"kind": "words"}, "words: wanted at_least or at_most, got neither"),
        ({"kind": "contains"}, "contains: wanted a text, got None"),
        ({"kind": "json", "text": "a"}, "json: wanted no text, got 'a'"),
        ({"kind": "pattern", "text": "("}, "isn't a regular expression"),
        ({"kind": "words", "at_least": 3, "at_most": 2}, "at_least 3 is above 2"),
        ({"kind": "wrods", "at_least": 3}, "kind"),
        ({"kind": "characters", "at_most": 0}, "no reply has none"),
        ({"kind": "contains", "text": "a", "at_least": 0}, "every reply has at least 0"),
        ({"kind": "json", "at_least": 3}, "wanted at_most: 0 for its opposite, or no bounds"),
    ],
)
def test_what_is_no_check_is_refused(check, problem):
    with pytest.raises(ConfigError, match=problem.replace("(", r"\(")):
        parse(Check, check, "checks")


@pytest.fixture
def load(write_jsonl):
    def load(rows, **config):
        base = {"name": "custom", "prompt": "{prompt}", "source": write_jsonl("x.jsonl", rows)}
        return load_task({**base, **config})

    return load


ROW = {
    "prompt": "A poem on {this}?", "word": "a{b}",
    "own": [{"kind": "lines", "at_least": 2}, {"kind": "contains", "text": "{word}"}],
}  # fmt: skip


def test_a_task_of_checks_of_its_own_and_of_each_row(load):
    checks = [{"kind": "contains", "text": "{word}"}, {"kind": "words", "at_most": 4}]
    task = load([ROW], checks=checks, checks_field="own")
    assert task.metrics == ("accuracy", "checks")
    (item,) = task.items()
    assert [check["text"] for check in json.loads(item.reference) if "text" in check] == [
        "a{b}", "{word}",
    ]  # fmt: skip
    whole = task.grade(item, "on a{b}\n{word}", "stop")
    assert (whole.outcome, whole.metrics) == ("correct", (("accuracy", 1.0), ("checks", 1.0)))
    assert whole.answer == "on a{b} {word}"
    half = task.grade(item, "a{b} it is", "stop")
    assert (half.outcome, dict(half.metrics)) == ("wrong", {"accuracy": 0.0, "checks": 0.5})
    cut = task.grade(item, "on a{b}\n{word}", "length")
    assert (cut.answer, cut.outcome, cut.metrics[1]) == (None, "truncated", ("checks", 0.0))


def test_a_pattern_takes_a_rows_text_as_it_is_and_not_for_ever(load):
    row = {"prompt": "p", "word": "C++ (3.5)"}
    task = load([row], checks=[{"kind": "pattern", "text": "^{word}$"}])
    (item,) = task.items()
    assert task.grade(item, "C++ (3.5)", "stop").outcome == "correct"
    assert task.grade(item, "C++ (345)", "stop").outcome == "wrong"
    endless = "^(a|aa)+$"
    slow = "a" * 60 + "!"
    (item,) = load([row], checks=[{"kind": "pattern", "text": endless}]).items()
    assert task.grade(item, slow, "stop").outcome == "timed_out"
    reading = load([row], reference="word", extract="pattern", pattern=endless)
    (item,) = reading.items()
    assert reading.grade(item, slow, "stop") == Grade(answer=None, outcome="timed_out", metrics=())


def test_the_whole_reply_is_checked_and_not_what_comes_before_a_next_question(load):
    checks = [
        {"kind": "lines", "at_least": 4},
        {"kind": "contains", "text": "Q:", "at_least": 2},
        {"kind": "contains", "text": ",", "at_most": 0},
    ]
    task = load([{"prompt": "p"}], checks=checks)
    (item,) = task.items()
    reply = "Tea\nQ: Is it hot?\nA: Yes.\nQ: Is it green, too?"
    assert dict(task.grade(item, reply, "stop").metrics)["checks"] == pytest.approx(2 / 3)
    # Reasoning is no part of a reply.
    thought = task.grade(item, f"<think>so, so</think>{reply.replace(',', '')}", "stop")
    assert thought.outcome == "correct"


def test_an_empty_reply_is_no_answer(load):
    task = load([{"prompt": "p"}], checks=[{"kind": "words", "at_least": 1}])
    (item,) = task.items()
    assert task.grade(item, " \n", "stop").outcome == "no_answer"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, "wanted a reference, or checks"),
        ({"reference": "word", "checks": [{"kind": "json"}]}, "wanted a reference, or checks"),
        ({"checks": [{"kind": "json"}], "extract": "number"}, "checks are of whole replies"),
        ({"checks": [{"kind": "contains", "text": "{a.b}"}]}, "task.checks"),
        ({"checks": [{"kind": "contains", "text": "{blank}"}]}, "row 1 .*makes no check"),
        ({"checks_field": "word"}, "row 1 .*str where a list of checks belongs"),
        ({"checks_field": "none"}, "row 1 .*no checks"),
        ({"checks_field": "bad"}, "row 1 .*a check that can't be read: bad.kind"),
    ],
)
def test_what_is_no_task_of_checks_is_refused(load, config, problem):
    with pytest.raises(ConfigError, match=problem):
        list(load([{**ROW, "none": [], "blank": "", "bad": [{"kind": "poem"}]}], **config).items())
