"""MixEval's two layouts, its prompts, and its rules for free text. Rows made up by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from actors.types import ConfigError
from pipelines.tasks import load_task

FREE = {
    "problem_type": "free-form",
    "context": None,
    "prompt": "Which town lies on the Ouse?",
    "target": ["York", "City of York", "York"],
    "benchmark_name": "TriviaQA",
}
CHOICE = {
    "problem_type": "multiple-choice",
    "context": "A wren is small.",
    "prompt": "is a wren large",
    "options": ["No", "Yes"],
    "target": [0],
    "benchmark_name": "BoolQ",
}


def task(folder: Path, *rows: dict[str, Any], name: str = "m.json", **settings: Any) -> Any:
    numbered = {str(number): row for number, row in enumerate(rows)}
    path = folder / name
    path.write_text(
        json.dumps(numbered) if path.suffix == ".json" else "\n".join(map(json.dumps, rows))
    )
    return load_task({"name": "mixeval", "source": str(path), **settings})


@pytest.mark.parametrize("name", ["m.json", "m.jsonl"])
def test_both_kinds_are_asked_as_published(name: str, tmp_path: Path) -> None:
    free, choice = task(tmp_path, FREE, CHOICE, name=name).items()
    assert free.messages[0].content == (
        "Question: Which town lies on the Ouse?\nAnswer the question shortly."
    )
    assert (free.reference, free.category, free.group) == ("York\nCity of York", "TriviaQA", "")
    assert choice.messages[0].content == (
        "A wren is small.\nis a wren large\nA. No\nB. Yes\n"
        "Answer with the option letter from the given choices directly."
    )
    assert (choice.reference, choice.choices) == ("A", ("No", "Yes"))
    assert choice.group, "questions on the same text are one cluster"


def test_reasoning_is_asked_for_where_the_benchmark_needs_it(tmp_path: Path) -> None:
    row = {**FREE, "benchmark_name": "GSM8k", "target": ["2 + 2 = 4\n#### 4"]}
    (item,) = task(tmp_path, row).items()
    assert item.messages[0].content.endswith("Answer the question. \nLet's think step by step.")
    assert item.reference == "4", "the result of the worked solution"


@pytest.mark.parametrize(
    ("target", "reply", "outcome"),
    [
        (["York"], "York", "correct"),
        (["York"], "It is the City of York.", "correct"),
        (["York"], "The answer is Leeds. York is larger.", "wrong"),
        (["York"], "New Yorkshire", "wrong"),
        (["York"], "Overyork", "wrong"),
        (["Leeds", "York"], "york", "correct"),
        (["1,513"], "So there are 1513 of them.", "correct"),
        (["20"], "90 - 70 = 20", "correct"),
        (["20"], "The result is 120.", "wrong"),
        (["2.50"], "That is $2.5.", "correct"),
        (["a"], "a cat", "correct"),
        (["a"], "cat", "wrong"),
        (["Nan"], "She is Nan Goldin.", "correct"),
        (["Nan"], "Nancy", "wrong"),
        (["York"], "<think>York</think>Leeds", "wrong"),
        (["York"], "  ", "no_answer"),
    ],
)
def test_free_text_by_rules(target: list[str], reply: str, outcome: str, tmp_path: Path) -> None:
    one = task(tmp_path, {**FREE, "target": target})
    grade = one.grade(next(one.items()), reply, "stop")
    assert grade.outcome == outcome
    assert grade.metrics == (("accuracy", float(outcome == "correct")),)


def test_a_cut_reply_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    one = task(tmp_path, FREE)
    assert one.grade(next(one.items()), "York", "length").outcome == "truncated"


def test_choices_by_letter(tmp_path: Path) -> None:
    one = task(tmp_path, CHOICE)
    item = next(one.items())
    assert [one.grade(item, text, "stop").outcome for text in ("A", "(B)", "Hm.")] == [
        "correct", "wrong", "no_answer",
    ]  # fmt: skip


def test_a_judge_is_left_the_free_texts_and_refused_the_choices(tmp_path: Path) -> None:
    one = task(tmp_path, FREE, graded_by="judge")
    assert one.metrics == ()
    assert one.grade(next(one.items()), "York", "stop").outcome == "ungraded"
    with pytest.raises(ConfigError, match="multiple choice, which graded_by: judge is not for"):
        list(task(tmp_path, CHOICE, graded_by="judge").items())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**FREE, "target": "York"}, "'York' as its target, where a list of texts is needed"),
        ({**FREE, "target": []}, "as its target, in which no text is"),
        ({**FREE, "target": ["", "x #### "]}, "as its target, in which no text is"),
        ({**CHOICE, "target": [0, 1]}, "where a list of one index is needed"),
        ({**CHOICE, "target": [2]}, "the gold answer 2, which is no index"),
        ({**CHOICE, "problem_type": "essay"}, "problem_type 'essay', where free-form or"),
    ],
)
def test_a_broken_row_is_refused(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        list(task(tmp_path, row).items())
