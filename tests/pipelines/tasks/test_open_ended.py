"""The layouts of open-ended benchmarks, and what of them judges are shown. Rows made up by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from actors.types import ConfigError, Item
from pipelines.tasks import load_task

ALPACA = [
    {"dataset": "koala", "instruction": "Name a bird.", "output": "A wren.", "generator": "b"},
    {"dataset": "vicuna", "instruction": "Name a fish.", "output": "A carp.", "generator": "b"},
]
ARENA = [{"uid": "u1", "category": "x", "cluster": "Birds", "prompt": "Name a bird."}]
ARENA_OLD = [{"question_id": "u1", "cluster": "Birds", "turns": [{"content": "Name a bird."}]}]
USER = {"role": "user", "content": "Name a bird."}
ANSWERS = {
    "answer": {"role": "assistant", "content": {"answer": "A wren."}},
    "text": {"role": "assistant", "content": "A wren."},
}
WILD = {
    "session_id": "s1",
    "conversation_input": [USER],
    "checklist": ["Is it a bird?", "Is it one?"],
    "primary_tag": "Brainstorming",
    "secondary_tags": ["Math"],
}


def written(path: Path, rows: object) -> str:
    """As an array where the name ends in `.json`, else a line for each."""
    lines = [json.dumps(rows)] if path.suffix == ".json" else map(json.dumps, rows)  # type: ignore[call-overload]
    path.write_text("\n".join(lines))
    return str(path)


def items(name: str, source: str, **settings: Any) -> list[Item]:
    return list(load_task({"name": name, "source": source, **settings}).items())


def asked(item: Item) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in item.messages]


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_alpaca_eval_is_an_array_or_lines(ending: str, tmp_path: Path) -> None:
    source = written(tmp_path / f"a.{ending}", ALPACA)
    first, second = items("alpaca_eval", source)
    assert asked(first) == [("user", "Name a bird.")]
    assert (first.question, first.reference, first.category) == ("Name a bird.", "A wren.", "koala")
    assert first.id != second.id


def test_a_baseline_is_found_by_its_prompt_whatever_the_order(tmp_path: Path) -> None:
    source = written(tmp_path / "a.json", ALPACA)
    other = [{**row, "output": f"Not {row['output']}"} for row in reversed(ALPACA)]
    baseline = written(tmp_path / "b.json", other)
    found = items("alpaca_eval", source, baseline=baseline)
    assert [item.reference for item in found] == ["Not A wren.", "Not A carp."]
    assert [i.id for i in found] == [i.id for i in items("alpaca_eval", source)]


def test_another_baseline_is_another_task_on_the_same_data(tmp_path: Path) -> None:
    source = written(tmp_path / "a.json", ALPACA)
    tasks = [
        load_task(
            {"name": "alpaca_eval", "source": source, "baseline": written(tmp_path / f, rows)}
        )
        for f, rows in (("b.json", ALPACA), ("c.json", [{**row, "output": "?"} for row in ALPACA]))
    ]
    assert tasks[0].data == tasks[1].data
    assert tasks[0].fingerprint != tasks[1].fingerprint


def test_a_baseline_that_lacks_a_prompt_or_has_it_twice_is_refused(tmp_path: Path) -> None:
    source = written(tmp_path / "a.json", ALPACA)
    for rows, message in (
        (ALPACA[:1], r"row 2 of a.json has a prompt without a reply in b.json: 'Name a fish.'"),
        (ALPACA[:1] * 2, r"row 2 of b.json has another reply to the prompt"),
    ):
        with pytest.raises(ConfigError, match=message):
            items("alpaca_eval", source, baseline=written(tmp_path / "b.json", rows))


@pytest.mark.parametrize("rows", [ARENA, ARENA_OLD], ids=["prompt", "turns"])
@pytest.mark.parametrize(
    "answer",
    [
        {"uid": "u1", "model": "b", "messages": [USER, ANSWERS["answer"]]},
        {"uid": "u1", "model": "b", "messages": [USER, ANSWERS["text"]]},
        {"question_id": "u1", "choices": [{"index": 0, "turns": [{"content": "A wren."}]}]},
    ],
    ids=["answer", "text", "choices"],
)
def test_arena_hard_in_its_old_and_its_new_layout(
    rows: list[dict[str, Any]], answer: dict[str, Any], tmp_path: Path
) -> None:
    baseline = written(tmp_path / "b.jsonl", [answer])
    (item,) = items("arena_hard", written(tmp_path / "q.jsonl", rows), baseline=baseline)
    assert (item.id, item.question, item.reference) == ("u1", "Name a bird.", "A wren.")
    assert asked(item) == [("user", "Name a bird.")]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"uid": "u1", "messages": [USER]}, "no reply of an assistant's at the end of field 'mess"),
        ({"uid": "u1", "messages": "A wren."}, "no reply of an assistant's"),
        ({"uid": "u1", "choices": [{"turns": []}]}, "no single turn with text in field 'turns'"),
        ({"uid": "u1"}, "no field 'messages'"),
    ],
)
def test_an_answer_without_a_reply_is_refused(
    answer: dict[str, Any], message: str, tmp_path: Path
) -> None:
    baseline = written(tmp_path / "b.jsonl", [answer])
    with pytest.raises(ConfigError, match=message):
        items("arena_hard", written(tmp_path / "q.jsonl", ARENA), baseline=baseline)


def test_wildbench_asks_the_whole_conversation_and_shows_judges_the_checklist(
    tmp_path: Path,
) -> None:
    talk = [USER, {"role": "assistant", "content": "A wren."}, {"role": "user", "content": "Why?"}]
    rows = [WILD, {**WILD, "session_id": "s2", "conversation_input": talk, "primary_tag": "New"}]
    first, second = items("wildbench", written(tmp_path / "w.jsonl", rows), system="Be kind.")
    assert asked(first) == [("system", "Be kind."), ("user", "Name a bird.")]
    assert (first.question, first.category) == ("Name a bird.", "Creative Tasks")
    assert first.reference == "- Is it a bird?\n- Is it one?"
    assert [role for role, _ in asked(second)] == ["system", "user", "assistant", "user"]
    assert (second.question, second.category) == ("", "New"), "a judge sees all turns"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conversation_input": []}, "no conversation that ends with the user's turn"),
        ({"conversation_input": [ANSWERS["text"]]}, "no conversation that ends with the user's"),
        ({"conversation_input": [{"role": "user"}]}, "a turn without role and content"),
        ({"checklist": 5}, "something other than a list of texts in field 'checklist'"),
        ({"checklist": "Is it?"}, "something other than a list of texts in field 'checklist'"),
    ],
)
def test_a_wildbench_row_that_is_broken_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        items("wildbench", written(tmp_path / "w.jsonl", [{**WILD, **change}]))


@pytest.mark.parametrize(("reason", "outcome"), [("stop", "ungraded"), ("length", "truncated")])
def test_the_task_itself_grades_nothing(reason: Any, outcome: str, tmp_path: Path) -> None:
    task = load_task({"name": "alpaca_eval", "source": written(tmp_path / "a.json", ALPACA)})
    grade = task.grade(next(task.items()), "A wren.", reason)
    assert (grade.outcome, grade.metrics, task.metrics) == (outcome, (), ())


def test_an_object_in_place_of_an_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't read .*a.json: not a list of objects"):
        items("alpaca_eval", written(tmp_path / "a.json", {"instruction": "Hi."}))
