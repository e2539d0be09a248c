"""MMLU: subjects, worked examples of the same subject, and the shapes of its files.

The rows are made up; the wanted prompts are written out by hand from the format of Hendrycks et al.
2020 and, for the text of a choice, of lm-evaluation-harness's mmlu_continuation.
"""

import pytest

from actors.types import ConfigError
from pipelines.tasks import load_task
from pipelines.tasks.mmlu import Mmlu, MmluConfig
from pipelines.tasks.sources import HubSource

HEADER = "question,choice0,choice1,choice2,choice3,answer\n"
DEV = [f"dev {i}?,a{i},b{i},c{i},d{i},{i % 4}\n" for i in range(6)]


@pytest.fixture
def folders(tmp_path):
    """Test and dev folders of two subjects, as text by the name of the file."""
    files = {
        "test/us_history_test.csv": HEADER + "  Who won? ,4,2,6 ,1,2\n",
        "test/virology_test.csv": HEADER + "Which virus?,w,x,y,z,0\n",
        "dev/us_history_dev.csv": HEADER + "".join(DEV),
        "dev/virology_dev.csv": HEADER + "".join(row.replace("dev", "virus") for row in DEV),
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "test" / "README.md").write_text("not a row\n")
    return tmp_path


def load(folders, **more):
    dev = {"shots_source": str(folders / "dev")} if more.get("shots", 5) else {}
    return load_task({"name": "mmlu", "source": str(folders / "test"), **dev, **more})


def test_a_question_follows_its_header_and_the_first_examples_of_its_subject(folders):
    history, virology = load(folders, shots=2).items()
    assert history.prompt == (
        "The following are multiple choice questions (with answers) about us history.\n\n"
        "dev 0?\nA. a0\nB. b0\nC. c0\nD. d0\nAnswer: A\n\n"
        "dev 1?\nA. a1\nB. b1\nC. c1\nD. d1\nAnswer: B\n\n"
        "Who won?\nA. 4\nB. 2\nC. 6 \nD. 1\nAnswer:"
    )
    assert history.continuations == (" A", " B", " C", " D")
    assert (history.reference, history.choices) == ("C", ("4", "2", "6", "1"))
    assert "dev" not in virology.prompt
    assert virology.prompt.count("virus ") == 2
    assert [history.category, virology.category] == ["us_history", "virology"]
    assert history.group == virology.group == ""


def test_five_examples_are_shown_unless_another_number_is_asked_for(folders):
    five, none = next(load(folders).items()), next(load(folders, shots=0).items())
    assert five.prompt.count("dev ") == 5
    assert none.prompt == (
        "The following are multiple choice questions (with answers) about us history.\n\n"
        "Who won?\nA. 4\nB. 2\nC. 6 \nD. 1\nAnswer:"
    )
    with pytest.raises(ConfigError, match=r"has shots 5, but no shots_source: name .* set shots"):
        load(folders, shots_source=None)


def test_the_text_of_a_choice_follows_a_prompt_without_the_choices(folders):
    item = next(load(folders, shots=1, target="text").items())
    assert item.prompt == (
        "The following are questions (with answers) about us history.\n\n"
        "Question: dev 0?\nAnswer: a0\n\n"
        "Question: Who won?\nAnswer:"
    )
    assert item.continuations == (" 4", " 2", " 6", " 1")


def test_the_generation_form_has_the_same_examples_as_turns(folders):
    messages = next(load(folders, shots=1).items()).messages
    assert [(m.role, m.content.split("\n")[0]) for m in messages] == [
        ("user", "dev 0?"),
        ("assistant", "A"),
        ("user", "Who won?"),
    ]


def test_an_item_is_never_its_own_example(folders):
    source = str(folders / "dev" / "us_history_dev.csv")
    task = load_task({"name": "mmlu", "source": source, "shots_source": source})
    items = list(task.items())
    assert len(items) == 6
    for i, item in enumerate(items):
        shown = [j for j in range(6) if f"dev {j}?\nA. a{j}" in item.prompt.rpartition("\n\n")[0]]
        assert shown == [j for j in range(6) if j != i]
        assert item.prompt.count(f"dev {i}?") == 1


def test_an_example_that_the_data_repeat_is_shown_as_often(folders):
    path = folders / "dev" / "virology_dev.csv"
    path.write_text(HEADER + DEV[0] * 2 + "".join(DEV[1:3]))
    _, virology = load(folders, shots=4).items()
    assert virology.prompt.count("dev 0?") == 2


def test_a_subject_with_too_few_examples_is_refused_with_its_row(folders):
    (folders / "dev" / "virology_dev.csv").write_text(HEADER + DEV[0])
    with pytest.raises(
        ConfigError, match=r"row 1 of virology_test\.csv .* 'virology', which has 1 worked"
    ):
        list(load(folders, shots=2).items())


def test_a_single_file_needs_to_say_its_subject(write_jsonl, folders):
    row = {"question": "Who?", "choices": ["a", "b", "c", "d"], "answer": 3}
    named = {**row, "subject": "us_history"}
    task = load_task({"name": "mmlu", "source": write_jsonl("x.jsonl", [named]), "shots": 0})
    item = next(task.items())
    assert (item.category, item.reference) == ("us_history", "D")
    with pytest.raises(ConfigError, match="no field 'subject', and its file isn't named after one"):
        load_task({"name": "mmlu", "source": write_jsonl("x.jsonl", [row]), "shots": 0})


@pytest.mark.parametrize("answer", ["1", "B"])
def test_an_answer_is_an_index_or_a_letter_whatever_the_choices_are_called(write_jsonl, answer):
    row = {"subject": "s", "question": "q", "choices": ["B", "2", "1", "1"], "answer": answer}
    task = load_task({"name": "mmlu", "source": write_jsonl("x.jsonl", [row]), "shots": 0})
    assert next(task.items()).reference == "B"


def test_csv_without_a_header_as_first_published_is_read_from_its_first_row(folders):
    path = folders / "test" / "virology_test.csv"
    path.write_text('"Which, say?",w,w,y,z,B\nNext?,w,x,y,z,D\n')
    task = load(folders, shots=0)
    _, first, second = task.items()
    assert (first.question.split("\n")[0], first.reference) == ("Which, say?", "B")
    assert (second.category, second.reference, task.num_items) == ("virology", "D", 3)
    path.write_text("Which?,w,x,y,z,B\nNext?,w,x,y,D\n")
    with pytest.raises(ConfigError, match="row 2 has 5 cells"):
        list(load(folders, shots=0).items())


def test_other_examples_are_another_fingerprint_and_another_path_is_not(folders):
    old = load(folders)
    before, data = old.fingerprint, old.data
    moved = folders.rename(folders.with_name("moved"))
    assert load(moved).fingerprint == before
    (moved / "dev" / "virology_dev.csv").write_text(HEADER + "".join(DEV[:5]))
    after = load(moved)
    assert after.fingerprint != before
    assert after.data == data
    assert after.is_local


def test_the_examples_of_a_hub_data_set_are_its_own_dev_split():
    config = MmluConfig(name="mmlu", source="cais/mmlu")
    task = Mmlu(config, grading_only=True)  # which would otherwise read its first row
    task.source = HubSource(config)
    task.check_shots()
    assert task.shots_source.config.split == "dev"
    assert (task.shots_source.label, task.shots_source.config.subset) == ("cais/mmlu", "all")
    assert not task.is_local


def test_a_reply_may_reason_before_its_letter_without_worked_examples(folders):
    task = load(folders, shots=0, reply="reasoning")
    item = next(task.items())
    asked = item.messages[-1].content
    assert asked.endswith("end with 'The answer is X', where X is the letter of the best option.")
    reply = "A good start: B is too old and (C) too far.\n\nThe answer is D. A reason follows"
    assert task.grade(item, reply, "stop").answer == "D"
    assert task.grade(item, "B is too old, C too far", "stop").outcome == "no_answer"
    assert task.grade(item, "So the answer is D", "length").outcome == "truncated"
    with pytest.raises(ConfigError, match=r"reply: reasoning has no worked examples to show"):
        load(folders, shots=2, reply="reasoning")
