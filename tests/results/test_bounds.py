"""What figures would be with what is missing: against all ways in which it could have come out."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, permutations

import pytest

from results.schema import AnswerRecord, CandidateRecord, Record
from results.summarize import summarize_answers
from results.summary import Row, Summary

Make = Callable[..., Record]


def row_of(summary: Summary, method: str, k: int) -> Row:
    (row,) = (row for row in summary.rows if (row.method, row.k) == (method, k))
    return row


def test_with_nothing_missing_the_bounds_are_the_figure_and_nothing_is_said(
    make_record: Make,
) -> None:
    summary = summarize_answers(make_record(number) for number in range(30))
    for row in summary.rows:
        assert (row.missing, row.if_lowest, row.if_highest) == (
            0,
            pytest.approx(row.value),
            pytest.approx(row.value),
        )
    assert not any("missing" in warning for warning in summary.warnings)


def test_failed_and_uncommitted_items_count_nothing_or_all(
    make_record: Make, make_failed: Callable[[int], Record]
) -> None:
    records = [*(make_record(number) for number in range(30)), make_failed(30), make_failed(31)]
    row = row_of(summarize_answers(records, about={"num_items": 40}), "majority", 8)
    assert (row.items, row.missing) == (30, 10)
    assert row.if_lowest == pytest.approx(row.value * 30 / 40)
    assert row.if_highest == pytest.approx((row.value * 30 + 10) / 40)


def test_an_item_whose_answer_lacks_a_verdict_is_missing_and_one_without_such_a_figure_is_not(
    make_record: Make,
) -> None:
    records = [make_record(number) for number in range(20)]
    greedy, *draws = records[0].candidates
    late = replace(greedy, outcome="timed_out", correct=None, grade=())
    records[0] = replace(records[0], candidates=(late, *draws), answers=records[0].answers[1:])
    # A figure that only some items have by its nature, such as `wrong_if_agree`.
    rare = AnswerRecord(method="rare", metric="accuracy", k=0, value=1.0)
    records[1] = replace(records[1], answers=(*records[1].answers, rare))
    summary = summarize_answers(records)
    greedy_row = row_of(summary, "greedy", 0)
    assert (greedy_row.items, greedy_row.missing) == (19, 1)
    assert greedy_row.if_highest == pytest.approx((greedy_row.value * 19 + 1) / 20)
    assert row_of(summary, "majority", 8).missing == 0
    # The item with the gap might have been one of the rare ones.
    assert row_of(summary, "rare", 0).missing == 1
    (line,) = (line for line in summary.warnings if "were all that is missing" in line)
    low, high = greedy_row.if_lowest, greedy_row.if_highest
    assert f"greedy {low:.1%} to {high:.1%}" in line
    assert "majority" not in line


def best_of(scores: list[float], credits: list[float], k: int) -> float:
    subsets = list(combinations(range(len(scores)), k))
    return sum(credits[max(subset, key=lambda i: scores[i])] for subset in subsets) / len(subsets)


def unjudged(record: Record, places: set[int]) -> Record:
    def change(c: CandidateRecord) -> CandidateRecord:
        if c.index not in places:
            return c
        return replace(c, scores=(replace(c.scores[0], value=None, parts=()),))

    return replace(record, candidates=tuple(map(change, record.candidates)))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_no_verdict_that_a_scorer_did_not_give_could_move_best_of_k_beyond_its_bounds(
    make_record: Make, k: int
) -> None:
    record = unjudged(make_record(3, num_draws=5), {1, 4})
    credits = [1.0, 0.0, 0.0, 1.0, 1.0]
    known = [0.3, None, 0.8, 0.6, None]
    lost = best_of([-1.0 if s is None else s for s in known], credits, k)
    answer = AnswerRecord(method="best_of:rm", metric="accuracy", k=k, value=lost)
    (row,) = summarize_answers([replace(record, answers=(answer,))]).rows
    assert row.if_lowest is not None
    assert row.if_highest is not None
    found = [
        best_of([next(given) if s is None else s for s in known], credits, k)
        for order in permutations([0.1, 0.4, 0.7, 0.9], 2)
        for given in [iter(order)]
    ]
    assert row.if_lowest <= min(found) + 1e-12
    assert row.if_highest >= max(found) - 1e-12
    # Not wider than the share of the subsets that hold an unjudged draw.
    touched = sum(not {1, 4}.isdisjoint(s) for s in combinations(range(5), k))
    share = touched / len(list(combinations(range(5), k)))
    assert row.if_highest - row.if_lowest <= 2 * share + 1e-12
    assert row.missing == 0


def test_rankers_that_read_no_scorer_do_not_mind_its_silence(make_record: Make) -> None:
    records = [unjudged(make_record(number), {0, 1}) for number in range(10)]
    summary = summarize_answers(records)
    for method in ("majority", "oracle"):
        row = row_of(summary, method, 4)
        assert row.if_lowest == pytest.approx(row.value)
        assert row.if_highest == pytest.approx(row.value)
    best = row_of(summary, "best_of:rm", 4)
    assert best.if_highest is not None
    assert best.if_highest > best.value + 0.1


def test_a_scorers_own_values_have_no_bounds(make_record: Make) -> None:
    score = AnswerRecord(method="rm", metric="score", k=0, value=-3.5)
    records = [replace(make_record(number), answers=(score,)) for number in range(5)]
    (row,) = summarize_answers(records, about={"num_items": 6}).rows
    assert (row.missing, row.if_lowest, row.if_highest) == (0, None, None)


def test_a_silence_in_one_pool_of_a_study_leaves_the_figures_of_the_others(
    make_record: Make,
) -> None:
    record = unjudged(make_record(3, num_draws=6), {1})
    hot, cold = "t=1,p=1,r=1", "t=0.5,p=1,r=1"
    arms = {c.index: hot if c.index < 3 else cold for c in record.candidates}
    candidates = tuple(replace(c, arm=arms[c.index]) for c in record.candidates if c.index >= 0)
    answers = tuple(
        AnswerRecord(method=f"{method} of small {arm}", metric="accuracy", k=2, value=0.5)
        for method in ("best_of:rm", "prefix best_of:rm")
        for arm in (hot, cold)
    )
    summary = summarize_answers([replace(record, candidates=candidates, answers=answers)])
    spread = {row.method: (row.if_highest or 0.0) - (row.if_lowest or 0.0) for row in summary.rows}
    # One of three draws is silent: two of the three pairs hold it. Of a prefix it isn't known.
    assert spread[f"best_of:rm of small {hot}"] == pytest.approx(1.0)
    assert spread[f"prefix best_of:rm of small {hot}"] == pytest.approx(1.0)
    assert spread[f"best_of:rm of small {cold}"] == pytest.approx(0.0)
    assert spread[f"prefix best_of:rm of small {cold}"] == pytest.approx(0.0)
