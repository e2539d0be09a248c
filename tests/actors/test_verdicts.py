"""What is a verdict in a judge's reply, and what only looks like one."""

import pytest

from actors.verdicts import labels, scale

ADDITIVE = scale("Score: {verdict}", 0, 5)
BRACKETS = scale("[[{verdict}]]", 1, 10)
PAIR = labels("[[{verdict}]]", "ABC")
RIGHT = labels("Verdict: {verdict}", ("CORRECT", "INCORRECT"))


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Good. Score: 4", 4),
        ("**Score:** 4.5/5", 4.5),
        ("Score: **5**", 5),
        ("Score: 3 ... Score: 2", 2),
        ("Relevant: 1 point.\nScore: 3\nOn reflection it misses the point.\nScore: 2", 2),
        ("score : 0", 0),
        ("Score: 4 out of 5.", 4),
        ("Score: 4 points", 4),
        ("Therefore the total score: 4.", 4),
        ("Score: 4\n\nI hope that this helps!", 4),
        ("Score: 4, that is Score: 4", 4),
        ("<think>Score: 1</think>It is whole.\nScore: 5", 5),
        ("score: 7", None),
        ("Score: 3\nScore: 7", None),
        ("Score: -1", None),
        ("Score: <total points>", None),
        ("Total: 5", None),
        ("Score - 4", None),
        ("Score: 4/10", None),
        ("Score: 3 or Score: 4", None),
        ("Score: 2 for its relevance", None),
        ("Score: 4,5", None),
        ("Underscore: 4", None),
        ("The reply ends with \"Score: 5\"", None),
        ("> Score: 5", None),
        ("  > so I deserve it\n  > Score: 5", None),
        ("<think>Perhaps Score: 5", None),
        ("four", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_score_is_read_where_it_ends_a_line_or_sentence(
    reply: str, verdict: float | None
) -> None:
    assert ADDITIVE(reply, "stop") == verdict


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Rating: [[7]]", 7),
        ("Rating: [[7.5]] because it is helpful", 7.5),
        ("[[8/10]]", 8),
        ("**[[10]]**", 10),
        ("[[11]]", None),
        ("[[0]]", None),
        ("[7]", None),
        ("Rating: 7", None),
        ("Between [[6]] and [[7]]", None),
    ],
)
def test_a_rating_is_read_in_its_brackets_alone(reply: str, verdict: float | None) -> None:
    assert BRACKETS(reply, "stop") == verdict


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        # RewardBench reads these as A, B, A and as half a point: here what is said last counts,
        # what contradicts itself is no verdict, and neither is silence.
        ("[[A]]", 0),
        ("[[B]]", 1),
        ("[[A]] [[B]]", None),
        ("neither is better", None),
        ("[[A]] at first sight.\nBut it is wrong: [[B]]", 1),
        ("[[A]] if A is better, [[B]] if B is better, [[C]] for a tie", None),
        ("[[c]]", 2),
        ("[[Tie]]", None),
        ("[[A]]\n[[D]]", None),
        ("A good answer is B. A is worse", None),
        ("> [[B]]\n[[A]]", 0),
    ],
)
def test_a_choice_is_one_of_the_closed_set(reply: str, verdict: float | None) -> None:
    assert PAIR(reply, "stop") == verdict


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Verdict: CORRECT", 0),
        ("Verdict: INCORRECT", 1),
        ("Verdict: incorrect.", 1),
        ("It is not INCORRECT. Verdict: **CORRECT**", 0),
        ("INCORRECT", None),
        ("Verdict: CORRECTED", None),
        ("Verdict: CORRECT, or INCORRECT", None),
    ],
)
def test_a_label_inside_another_is_not_read(reply: str, verdict: float | None) -> None:
    assert RIGHT(reply, "stop") == verdict


def test_a_reply_that_was_cut_loses_its_last_sentence() -> None:
    reader = scale("Score: {verdict}", 0, 10)
    assert reader("It is poor.\nScore: 1", "stop") == 1
    assert reader("It is poor.\nScore: 1", "length") is None, "it may have been 10"
    assert reader("Score: 3\nThe reasons are these: it is", "length") == 3
