r"""MATH-500: gold from `answer` or the last `\boxed`, answers in LaTeX compared as mathematics."""

import pytest

from actors.types import ConfigError
from pipelines.tasks import load_task

# Hendrycks et al., arXiv:2103.03874, MIT.
ROW = {
    "problem": "Convert the point $(0,3)$ in rectangular coordinates to polar coordinates.",
    "solution": r"Therefore, the polar coordinates are $\boxed{\left( 3, \frac{\pi}{2} \right)}.$",
    "subject": "Precalculus",
    "unique_id": "test/precalculus/807.json",
}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    import json

    path = tmp_path_factory.mktemp("math") / "rows.jsonl"
    rows = [ROW, {**ROW, "answer": r"\frac{1}{2}", "unique_id": "two"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_task({"name": "math500", "source": str(path)})


def test_rows_give_problem_gold_and_subject(task):
    first, second = task.items()
    assert (first.id, first.category) == ("test/precalculus/807.json", "Precalculus")
    assert first.messages[0].content.endswith(r"put your final answer within \boxed{}.")
    assert first.reference == r"\left(3,\frac{\pi}{2}\right)"
    assert second.reference == "0.5"


@pytest.mark.parametrize(
    ("reply", "reason", "outcome"),
    [
        (r"So it is $\boxed{(3, \pi/2)}$.", "stop", "correct"),
        (r"First \boxed{4}, no: \boxed{\left(3,\frac{\pi}{2}\right)}", "stop", "correct"),
        (r"The final answer is $(3, \tfrac{\pi}{2})$. I hope it is correct.", "stop", "correct"),
        (r"\boxed{(3, \pi/3)}", "stop", "wrong"),
        (r"<think>\boxed{(3, \pi/2)}</think> I do not know.", "stop", "no_answer"),
        ("(3, pi/2)", "stop", "no_answer"),
        (r"so \boxed{\left(3,\frac{\pi}", "length", "truncated"),
    ],
)
def test_the_last_box_is_compared_as_mathematics(task, reply, reason, outcome):
    grade = task.grade(next(task.items()), reply, reason)
    assert grade.outcome == outcome


def test_a_row_without_an_answer_is_refused_with_its_number(write_jsonl):
    rows = [{**ROW, "solution": "It is left to the reader."}]
    with pytest.raises(ConfigError, match=r"row 1 of rows.jsonl .*no answer: it needs the field"):
        load_task({"name": "math500", "source": write_jsonl("rows.jsonl", rows)})
