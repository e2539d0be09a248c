"""Cutting replies, and that it takes linear time on hostile ones."""

import pytest

from actors.types import cut_reasoning
from pipelines.tasks.replies import cut_run_on, final_part, last_boxed


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("plain", "plain"),
        ("<think>a</think>b", " b"),
        ("a</think>b", "b"),
        ("x<think>a</think>b<think>c", "x b"),
        ("<thinking>a</thinking>b", " b"),
        ("<think>a", ""),
    ],
)
def test_reasoning_is_cut(text, rest):
    assert cut_reasoning(text) == rest


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("a\nQuestion: b", "a"),
        ("a\n\nQ2. b", "a\n"),
        ("a\nNext question: b", "a"),
        ("a</s>b", "a"),
        ("a[INST]b", "a"),
        ("\n\nQuestion: a", "\n\nQuestion: a"),
        ("<|im_start|>a", "<|im_start|>a"),
        ("The question: what?", "The question: what?"),
        ("a\nQuite so: b", "a\nQuite so: b"),
    ],
)
def test_an_invented_next_question_is_cut(text, rest):
    assert cut_run_on(text) == rest


def test_a_part_that_ended_by_itself_is_closed():
    assert final_part("a\nQ: b") == "a\n"
    assert final_part("a") == "a"


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{a} \boxed{b{c}\}}", r"b{c}\}"),
        (r"\boxed {a}", "a"),
        (r"\boxed{a} \boxed{b", "a"),
        (r"\boxed{\boxed{a}}", "a"),
        ("}}{", None),
        ("", None),
    ],
)
def test_the_last_balanced_box_is_found(text, content):
    assert last_boxed(text) == content


@pytest.mark.parametrize("piece", [r"\boxed{", "<think>", "</think>", "\nQ:", "22,", "{", "\\"])
def test_a_hostile_reply_is_read_in_one_pass(piece):
    text = piece * 100_000
    assert last_boxed(text) is None
    assert len(final_part(text)) <= len(text)
