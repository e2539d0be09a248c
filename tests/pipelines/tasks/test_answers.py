"""Extraction and grading of numbers: a table of replies, and what holds for all of them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tasks.answers import canonical_number, find_number, grade_number, read_number

STOPPED = [
    # reply, gold, answer, outcome
    ("She makes 9 * 2 = 18.\n#### 18", "18", "18", "correct"),
    ("#### 18", "18", "18", "correct"),
    ("####18", "18", "18", "correct"),
    ("#### $18", "18", "18", "correct"),
    ("#### $29.00", "29", "29", "correct"),
    ("$29.00", "29", "29", "correct"),
    ("#### 1,234.", "1234", "1234", "correct"),
    ("1,234.", "1234", "1234", "correct"),
    ("The total is 1,234,567 dollars.", "1234567", "1234567", "correct"),
    ("#### 12,34,567", "1234567", "1234567", "correct"),
    ("#### 1\u202f234", "1234", "1234", "correct"),
    ("#### 1{,}234", "1234", "1234", "correct"),
    ("#### -5", "-5", "-5", "correct"),
    ("#### \u22125", "-5", "-5", "correct"),
    ("The answer is \u22125.", "-5", "-5", "correct"),
    ("The temperature is \u20135 degrees", "-5", "-5", "correct"),
    ("#### -$5.50", "-5.5", "-5.5", "correct"),
    ("#### $-5.50", "-5.5", "-5.5", "correct"),
    ("#### +7", "7", "7", "correct"),
    ("#### 50%", "50", "50", "correct"),
    ("The answer is 12.5 %.", "12.5", "12.5", "correct"),
    (r"\boxed{25\%}", "25", "25", "correct"),
    ("#### 3/4", "0.75", "0.75", "correct"),
    (r"\boxed{\frac{3}{4}}", "0.75", "0.75", "correct"),
    (r"\boxed{-\frac{1}{2}}", "-0.5", "-0.5", "correct"),
    (r"\boxed{\dfrac12}", "0.5", "0.5", "correct"),
    ("The answer is 3 1/2.", "3.5", "3.5", "correct"),
    ("The answer is 3½ hours", "3.5", "3.5", "correct"),
    ("#### 1/3", "1/3", "1/3", "correct"),
    ("#### 2/6", "1/3", "1/3", "correct"),
    ("#### .5", "0.5", "0.5", "correct"),
    ("#### 0.50", "0.5", "0.5", "correct"),
    ("#### 1.5e3", "1500", "1500", "correct"),
    ("#### 29 apples", "29", "29", "correct"),
    ("#### 29kg", "29", "29", "correct"),
    ("#### **29**", "29", "29", "correct"),
    ("**Answer:** 29", "29", "29", "correct"),
    ("**Final Answer: $29**", "29", "29", "correct"),
    ("The answer is: 29.", "29", "29", "correct"),
    ("The final answer is $\\boxed{29}$.", "29", "29", "correct"),
    (r"So \boxed{x = 29}", "29", "29", "correct"),
    (r"\boxed{29\text{ dollars}}", "29", "29", "correct"),
    (r"\boxed{\$1{,}029}", "1029", "1029", "correct"),
    (r"First \boxed{28}, but then \boxed{29}.", "29", "29", "correct"),
    ("The answer is 28. No, the answer is 29.", "29", "29", "correct"),
    (
        "The answer to the question is 29, as 30 - 1 = 29, and 7 are left over",
        "29",
        "29",
        "correct",
    ),
    ("The answer is 4 * 7 = 28 apples.", "28", "28", "correct"),
    ("#### 3 + 4 = 7", "7", "7", "correct"),
    ("Answer: 3 apples + 4 apples = 7 apples", "7", "7", "correct"),
    ("He has 5 apples and buys 3, so he has 8 now.", "8", "8", "correct"),
    ("5 - 3 = 2", "2", "2", "correct"),
    ("It covers 29 m^2", "29", "29", "correct"),
    ("He has 29 of them on the 3rd day: 29. He won on the 2nd", "29", "29", "correct"),
    ("#### 1. Add\n3 + 4 = 7\n#### 2. Double\n14\n#### 14", "14", "14", "correct"),
    ("I end with '#### <number>'.\n#### 14", "14", "14", "correct"),
    ("#### 18\n\nTom has 5 more.\n#### 23", "18", "18", "correct"),
    ("#### 19", "18", "19", "wrong"),
    ("The answer is 1.8", "18", "1.8", "wrong"),
    ("#### 5", "-5", "5", "wrong"),
    # ranges, ratios, unfinished sums: more than one number
    ("#### 10-15", "15", None, "no_answer"),
    ("#### 10 \u2013 15", "15", None, "no_answer"),
    ("The answer is 10 to 15 apples.", "15", None, "no_answer"),
    ("The answer is 10 or 15.", "15", None, "no_answer"),
    ("about 10-15 apples", "15", None, "no_answer"),
    ("somewhere between 10 and 15", "15", None, "no_answer"),
    ("The ratio is 3:4", "4", None, "no_answer"),
    ("He leaves at 5:30", "30", None, "no_answer"),
    ("#### 2^5", "2", None, "no_answer"),
    ("#### 5 + 3", "5", None, "no_answer"),
    ("#### 3/0", "3", None, "no_answer"),
    (r"5 + 3 = 8, \boxed{\text{impossible}}", "8", None, "no_answer"),
    # nothing there
    ("", "18", None, "no_answer"),
    ("I don't know.", "18", None, "no_answer"),
    ("H2O and COVID19x", "2", None, "no_answer"),
    ("9" * 200, "9", None, "no_answer"),
    # an invented next question
    ("So it's 18.\n\nQuestion: Tom has 5 apples. How many?\nAnswer: 5", "18", "18", "correct"),
    ("So it's 18.\nQ: Tom has 5 apples. How many?\nA: 5", "18", "18", "correct"),
    ("#### 18\n\nHuman: and 7 more?\n\nAssistant: #### 25", "18", "18", "correct"),
    ("18\n\n### Question 2: What is 3 + 4?\n7", "18", "18", "correct"),
    ("18\n**Problem 2:** What is 3 + 4? #### 7", "18", "18", "correct"),
    ("18<|im_end|>\n<|im_start|>user\nWhat is 3 + 4?", "18", "18", "correct"),
    ("I can't say.\n\nQuestion: What is 3 + 4?\n#### 7", "7", None, "no_answer"),
    ("Question: What is 9 * 2?\nAnswer: 18", "18", "18", "correct"),
    # reasoning
    ("<think>maybe 17, #### 17</think>#### 18", "18", "18", "correct"),
    ("maybe 17, #### 17</think>\n\n18", "18", "18", "correct"),
    ("<think>Question: what?\nQ: 3?</think>18\n\nQuestion: 5?", "18", "18", "correct"),
    ("<think>the answer is 18", "18", None, "no_answer"),
    ("<think>the answer is 18</think>", "18", None, "no_answer"),
]

CUT = [
    ("#### 18\nThis is beca", "18", "18", "correct"),
    ("#### 18 because", "18", "18", "correct"),
    ("#### 18", "18", None, "truncated"),
    ("#### 18.", "18", None, "truncated"),
    ("#### 1,", "1", None, "truncated"),
    ("The answer is 18. I che", "18", "18", "correct"),
    ("The answer is 1", "1", None, "truncated"),
    (r"\boxed{18}", "18", "18", "correct"),
    (r"\boxed{18", "18", None, "truncated"),
    ("She has 18 eggs. She then", "18", None, "truncated"),
    ("#### 18\n\nQuestion: Tom has 5 ap", "18", "18", "correct"),
    ("<think>so the answer is 18. But wait", "18", None, "truncated"),
    ("<think>hm</think>The answer is 18. Because", "18", "18", "correct"),
    ("", "18", None, "truncated"),
    ("#### 3 + 4 = ", "7", None, "truncated"),
]


@pytest.mark.parametrize(("reply", "gold", "answer", "outcome"), STOPPED)
def test_a_finished_reply_is_read_and_graded(reply, gold, answer, outcome):
    grade = grade_number(gold, reply, "stop")
    assert (grade.answer, grade.outcome) == (answer, outcome)
    assert dict(grade.metrics)["accuracy"] == float(outcome == "correct")


@pytest.mark.parametrize(("reply", "gold", "answer", "outcome"), CUT)
def test_a_cut_reply_counts_only_with_a_marked_answer_that_is_whole(reply, gold, answer, outcome):
    grade = grade_number(gold, reply, "length")
    assert (grade.answer, grade.outcome) == (answer, outcome)
    assert dict(grade.metrics)["accuracy"] == float(outcome == "correct")


@pytest.mark.parametrize(
    ("reply", "strict"),
    [
        ("#### 18", 1.0),
        ("The answer is 18", 0.0),
        (r"\boxed{18}", 0.0),
        ("18", 0.0),
        ("#### 9", 0.0),
    ],
)
def test_strict_accuracy_wants_hashes(reply, strict):
    assert dict(grade_number("18", reply, "stop").metrics)["accuracy_strict"] == strict


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(29), "29"),
        (Fraction(100), "100"),
        (Fraction(0), "0"),
        (Fraction(-3, 4), "-0.75"),
        (Fraction(1, 80), "0.0125"),
        (Fraction(2, 6), "1/3"),
    ],
)
def test_a_number_has_one_canonical_text(value, text):
    assert canonical_number(value) == text


@given(st.fractions(max_denominator=10_000))
def test_canonical_text_keeps_the_value(value):
    assert Fraction(canonical_number(value)) == value
    assert read_number(canonical_number(value)) == value


@given(
    st.integers(-(10**12), 10**12), st.sampled_from(["#### {:,}", r"\boxed{{{}}}", "answer is {}."])
)
def test_every_marked_integer_is_found(value, form):
    found = find_number(form.format(value))
    assert found is not None
    assert found.value == value


@given(st.text(alphabet="#0123456789.,-/ =$%answeri\\boxed{}\n:<>think", max_size=80))
def test_no_text_breaks_the_search(text):
    for reason in ("stop", "length"):
        grade = grade_number("7", text, reason)
        assert (grade.answer is None) == (grade.outcome in ("no_answer", "truncated"))


@pytest.mark.parametrize(
    "piece", ["22,", "1/", "#### ", "answer is ", r"\frac{1", "1 to ", "- ", "$"]
)
def test_a_hostile_reply_is_graded_in_the_end(piece):
    assert grade_number("18", piece * 20_000, "stop").outcome in ("wrong", "no_answer")
