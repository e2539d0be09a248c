"""Symbolic equality in a child that can be killed. One child serves the whole file."""

import threading
import time

import pytest

from pipelines.tasks import load_task
from pipelines.tasks.symbolic import SymbolicChecker

HANGING = r"9^{9^{9^{9}}}"


@pytest.fixture(scope="module")
def checker():
    checker = SymbolicChecker(timeout=10.0)
    yield checker
    checker.close()


@pytest.mark.parametrize(
    ("reference", "answer", "verdict"),
    [
        (r"\frac{1}{2}", "0.5", "equal"),
        (r"\frac{1}{2}", r"\frac{2}{4}", "equal"),
        ("x^2+2x+1", "(x+1)^2", "equal"),
        (r"\sqrt{8}", r"2\sqrt{2}", "equal"),
        (r"(1, 2]", r"(1,2]", "equal"),
        ("36", r"\$36", "equal"),
        (r"\{1, 2\}", r"\{2, 1\}", "equal"),
        (r"(1, 2]", r"[1, 2]", "different"),
        (r"\frac{1}{2}", "0.51", "different"),
        ("x+1", "x-1", "different"),
        ("x", "no idea at all", "different"),
    ],
)
def test_answers_are_compared_by_meaning(checker, reference, answer, verdict):
    assert checker.compare(reference, answer) == verdict


@pytest.mark.parametrize(
    "code",
    [
        "__import__('os').system('touch {path}')",
        "open('{path}', 'w')",
        r"\text{{open('{path}', 'w')}}",
        "exec(chr(111))",
        "(lambda: open('{path}', 'w'))()",
    ],
)
def test_text_that_looks_like_code_is_only_text(checker, tmp_path, code):
    path = tmp_path / "touched"
    assert checker.compare("5", code.format(path=path)) == "different"
    assert not path.exists()


def test_a_hanging_comparison_times_out_and_the_next_one_works(checker):
    quick = SymbolicChecker(timeout=1.0)
    quick.compare("x", "2x")
    start = time.monotonic()
    assert quick.compare("7", HANGING) == "timed_out"
    assert time.monotonic() - start < 30.0
    quick.timeout = 10.0
    assert quick.compare(r"\frac{1}{2}", "0.5") == "equal"
    quick.close()


def test_a_long_text_equals_only_itself(checker):
    assert checker.compare("x" * 1000, "x " * 1000) == "equal"
    assert checker.compare("x" * 1000, "x" * 999) == "different"


def test_threads_share_the_child(checker):
    verdicts = {}

    def compare(i):
        verdicts[i] = checker.compare(f"{i}x", f"x \\cdot {i if i % 2 else i + 1}")

    threads = [threading.Thread(target=compare, args=(i,)) for i in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == {i: "equal" if i % 2 else "different" for i in range(2, 10)}


def test_a_task_grades_symbolically(write_jsonl):
    rows = [{"problem": "Half?", "answer": r"\frac{1}{2}"}, {"problem": "x?", "answer": "2x+1"}]
    asked = {
        "prompt": "{problem}",
        "reference": "answer",
        "extract": "boxed",
        "compare": "symbolic",
    }
    source = write_jsonl("x.jsonl", rows)
    task = load_task({"name": "custom", "source": source, **asked, "timeout": 20.0})
    half, linear = task.items()
    assert task.grade(half, r"So \boxed{0.5}", "stop").outcome == "correct"
    assert task.grade(half, r"So \boxed{0.5}", "stop").answer == half.reference == "0.5"
    assert task.grade(linear, r"\boxed{1 + 2x}", "length").outcome == "correct"
    assert task.grade(linear, r"\boxed{1 - 2x}", "stop").outcome == "wrong"
    assert task.grade(linear, r"2x+1", "stop").outcome == "no_answer"
    assert task.grade(linear, r"\boxed{\$1,\!036.50}", "stop").answer == "1036.5"
    brief = load_task({"name": "custom", "source": source, **asked, "timeout": 1.0})
    grade = brief.grade(linear, rf"\boxed{{{HANGING}}}", "stop")
    assert (grade.outcome, grade.metrics) == ("timed_out", ())
