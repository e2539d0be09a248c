"""A task in YAML: templates, extraction, comparison, and what is refused."""

import pytest

from actors.types import ConfigError
from pipelines.tasks import load_task, task_config


@pytest.fixture
def load(write_jsonl):
    def load(rows, **config):
        base = {"name": "custom", "prompt": "{question}", "reference": "{answer}"}
        return load_task({**base, "source": write_jsonl("x.jsonl", rows), **config})

    return load


def test_templates_take_fields_and_doubled_braces(load):
    rows = [{"question": "Who?", "First Name": "Ada", "year": 1815}]
    prompt = 'Reply {{"name": ...}}: {question} ({year})'
    task = load(rows, prompt=prompt, reference="First Name", instruction="Only JSON.", title="who")
    item = next(task.items())
    assert item.question == 'Reply {"name": ...}: Who? (1815)'
    assert item.messages[-1].content == 'Reply {"name": ...}: Who? (1815)\nOnly JSON.'
    assert (item.reference, item.task, task.name) == ("Ada", "who", "who")


@pytest.mark.parametrize(
    "prompt", ["{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{}", "{a", "a}", "{question.__class__}"]
)
def test_a_template_reaches_into_nothing(load, prompt):
    with pytest.raises(ConfigError, match=r"task\.prompt"):
        load([{"question": "q", "a": "a", "answer": "x"}], prompt=prompt)


def test_ids_are_a_field_or_a_hash_with_an_ordinal(load):
    rows = [{"question": "q", "answer": "a", "key": "k1"}, {"question": "q", "answer": "a"}]
    first, second = load(rows).items()
    assert second.id == f"{first.id}-2"
    assert next(load(rows, id_field="key").items()).id == "k1"
    with pytest.raises(ConfigError, match=r"row 2 .*no field 'key'"):
        list(load(rows, id_field="key").items())


def test_a_group_is_a_field(load):
    rows = [{"question": "q", "answer": "a", "passage": 3}]
    assert next(load(rows, group_field="passage").items()).group == "3"


@pytest.mark.parametrize(
    ("config", "gold", "reply", "answer", "outcome"),
    [
        ({}, "Ada  Byron", " Ada Byron\n", "Ada Byron", "correct"),
        ({}, "Ada", "ada", "ada", "wrong"),
        ({}, "Ada", "  ", None, "no_answer"),
        ({"compare": "casefold"}, "STRASSE", "straße", "strasse", "correct"),
        ({"extract": "last_line"}, "Ada", "I think\n\nAda\n", "Ada", "correct"),
        ({"extract": "boxed"}, "a{b}", r"\boxed{x} \boxed{a{b}}", "a{b}", "correct"),
        ({"extract": "boxed"}, "a", r"\boxed{a", None, "no_answer"),
        ({"extract": "number", "compare": "number"}, "1,029", "= $1029.00", "1029", "correct"),
        ({"extract": "boxed", "compare": "number"}, "0.5", r"\boxed{1/2}", "0.5", "correct"),
        ({"extract": "boxed", "compare": "number"}, "5", r"\boxed{x}", None, "no_answer"),
        (
            {"extract": "pattern", "pattern": r"<a>(\w+)</a>"},
            "y",
            "<a>x</a><a>y</a>",
            "y",
            "correct",
        ),
        ({"extract": "pattern", "pattern": r"<a>(\w+)</a>"}, "y", "y", None, "no_answer"),
        ({}, "Ada", "<think>Bob</think>Ada\n\nQuestion: and?", "Ada", "correct"),
    ],
)
def test_answers_are_extracted_and_compared(load, config, gold, reply, answer, outcome):
    task = load([{"question": "q", "answer": gold}], **config)
    grade = task.grade(next(task.items()), reply, "stop")
    assert (grade.answer, grade.outcome) == (answer, outcome)
    assert grade.metrics == (("accuracy", float(outcome == "correct")),)


@pytest.mark.parametrize(
    ("config", "reply", "outcome"),
    [
        ({}, "Ada", "truncated"),
        ({"extract": "last_line"}, "so\nAda", "truncated"),
        ({"extract": "boxed"}, r"\boxed{Ada} and", "correct"),
        ({"extract": "pattern", "pattern": r"is (\w+)"}, "it is Ada", "truncated"),
        ({"extract": "pattern", "pattern": r"is (\w+)"}, "it is Ada.", "correct"),
    ],
)
def test_of_a_cut_reply_only_what_is_whole_counts(load, config, reply, outcome):
    task = load([{"question": "q", "answer": "Ada"}], **config)
    assert task.grade(next(task.items()), reply, "length").outcome == outcome


CHOICE = {"extract": "choice", "compare": "choice"}


@pytest.mark.parametrize(
    ("fields", "config"),
    [
        ({"options": ["red", "blue"], "gold": 1}, {"choices": "options", "reference": "gold"}),
        ({"options": ["red", "blue"], "gold": "B"}, {"choices": "options", "reference": "{gold}"}),
        (
            {"options": {"text": ["red", "blue"], "label": ["A", "B"]}, "gold": "blue"},
            {"choices": "options", "reference": "gold"},
        ),
        ({"A": "red", "B": "blue", "gold": "B"}, {"choices": ["A", "B"], "reference": "gold"}),
    ],
)
def test_choices_come_from_a_list_or_from_fields(load, fields, config):
    task = load([{"question": "Which?", **fields}], **CHOICE, **config)
    item = next(task.items())
    assert item.choices[ord(item.reference) - ord("A")] == "blue"
    assert task.grade(item, item.reference, "stop").outcome == "correct"
    assert task.grade(item, "It is red", "stop").outcome == "wrong"
    assert item.messages[-1].content.endswith("letter of the best option only.")


def test_examples_are_shown(load):
    examples = [{"question": "1?", "reply": "one"}, {"question": "2?", "reply": "two"}]
    task = load([{"question": "3?", "answer": "x"}], examples=examples, shots=2)
    contents = [message.content for message in next(task.items()).messages]
    assert contents == ["1?", "one", "2?", "two", "3?"]
    with pytest.raises(ConfigError, match="has 2 worked examples, but shots is 3"):
        load([{"question": "3?", "answer": "x"}], examples=examples, shots=3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"choices": "options"}, "go together"),
        ({"compare": "choice"}, "go together"),
        ({"extract": "pattern"}, "go together"),
        ({"pattern": "(x)"}, "go together"),
        ({"extract": "pattern", "pattern": "(x"}, "isn't a regular expression"),
        ({"extract": "pattern", "pattern": "x"}, "must have one group, this one has 0"),
        ({"extract": "first"}, "task.extract"),
    ],
)
def test_a_config_that_does_not_fit_together_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        task_config({"name": "custom", "prompt": "{q}", "reference": "a", **config})


def test_a_reference_that_cannot_be_compared_is_refused_with_its_row(load):
    with pytest.raises(ConfigError, match=r"row 1 of x\.jsonl has a reference"):
        load([{"question": "q", "answer": "many"}], extract="number", compare="number")
    with pytest.raises(ConfigError, match="no packaged rows"):
        load_task({"name": "custom", "prompt": "{q}", "reference": "a"})
