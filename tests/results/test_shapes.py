"""Outcomes by member, right answers by length, and agreement of methods, counted in one pass."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from results.outcomes import Outcomes
from results.schema import OUTCOMES, AnswerRecord, CandidateRecord, Record
from results.stats import clopper_pearson
from results.summarize import summarize_answers
from results.summary import read_summary


def drawn(record: Record, lengths: list[int], right: list[bool]) -> Record:
    """The record with draws of these lengths only."""
    base = record.candidates[1]
    draws = [
        replace(base, index=i, tokens=tokens, correct=correct)
        for i, (tokens, correct) in enumerate(zip(lengths, right, strict=True))
    ]
    return replace(record, candidates=tuple(draws))


def test_candidates_are_counted_by_member_and_decoding(make_record: Callable[..., Record]) -> None:
    records = [make_record(number) for number in range(6)]
    rows = summarize_answers(records).members
    assert [(row.member, row.decoding) for row in rows] == [
        ("small", "greedy"),
        ("small", "sample"),
    ]
    assert [sum(row.outcomes.values()) for row in rows] == [6, 48]
    assert list(rows[0].outcomes) == list(OUTCOMES)


def test_a_pool_of_a_study_goes_by_its_decoding_and_a_conversation_by_its_arm(
    make_record: Callable[..., Record],
) -> None:
    base = make_record(0).candidates[0]
    outcomes = Outcomes()
    cold: CandidateRecord = replace(base, arm="t=0,p=1,r=1.1")
    spoken = replace(base, arm="blend", decoding="conversation")
    outcomes.add(replace(make_record(0), candidates=(cold, spoken)))
    found = [(row.member, row.decoding) for row in outcomes.rows()]
    assert found == [("blend", "conversation"), ("small", "t=0,p=1,r=1.1")]


def test_lengths_fall_into_classes_that_touch(make_record: Callable[..., Record]) -> None:
    lengths = list(range(200))
    rows = summarize_answers([drawn(make_record(0), lengths, [True] * 200)]).lengths
    assert rows[0].shortest == 0
    assert [row.shortest for row in rows[1:]] == [row.longest + 1 for row in rows[:-1]]
    assert sum(row.candidates for row in rows) == 200
    assert all(row.candidates == row.longest - row.shortest + 1 for row in rows[:-1])
    assert [(r.shortest, r.longest) for r in rows if r.shortest <= 23 <= r.longest] == [(23, 31)]
    assert sum(row.longest - row.shortest + 1 for row in rows[:-1]) == rows[-1].shortest


def test_the_share_of_a_length_has_an_interval_clustered_by_item(
    make_record: Callable[..., Record],
) -> None:
    """40 copies of a draw in each of 10 items say no more than one draw in each."""
    right = [number < 5 for number in range(10)]
    once = [drawn(make_record(n), [30], [ok]) for n, ok in enumerate(right)]
    often = [drawn(make_record(n), [30] * 40, [ok] * 40) for n, ok in enumerate(right)]
    (one,), (many,) = summarize_answers(once).lengths, summarize_answers(often).lengths
    assert (one.value, many.value) == (0.5, 0.5)
    assert (many.low, many.high) == pytest.approx((one.low, one.high))
    assert (one.candidates, many.candidates) == (10, 400)
    grouped = [replace(record, group=str(n // 5)) for n, record in enumerate(once)]
    (wide,) = summarize_answers(grouped).lengths
    assert wide.high - wide.low > one.high - one.low


def test_methods_agree_where_they_answer_the_same(make_record: Callable[..., Record]) -> None:
    def chose(method: str, answer: str | None, candidate: int | None = 0) -> AnswerRecord:
        return AnswerRecord(
            method=method,
            metric="accuracy",
            k=8,
            value=0.0,
            candidate=candidate,
            answer=answer,
            correct=False,
        )

    pairs = [("5", "5"), ("5", "7"), (None, None), ("5", None)] * 5
    records = [
        replace(make_record(n), answers=(chose("a", a), chose("b", b), chose("c", "5", None)))
        for n, (a, b) in enumerate(pairs)
    ]
    (row,) = summarize_answers(records).overlaps
    assert (row.first, row.second, row.value, row.items) == ("a", "b", 0.5, 20)
    assert row.low < 0.5 < row.high
    alike = [replace(record, answers=(chose("a", "5"), chose("b", "5"))) for record in records]
    (same,) = summarize_answers(alike).overlaps
    assert (same.value, same.low) == (1.0, pytest.approx(clopper_pearson(20, 20).low))


def test_open_ended_replies_have_no_answer_to_agree_on(make_record: Callable[..., Record]) -> None:
    answers = [
        AnswerRecord(method=method, metric="win", k=0, value=0.5, candidate=candidate)
        for candidate, method in enumerate(("a alone", "b alone"))
    ]
    records = [replace(make_record(number), answers=tuple(answers)) for number in range(3)]
    assert summarize_answers(records).overlaps == ()


def test_methods_of_different_pools_are_not_paired(make_record: Callable[..., Record]) -> None:
    answers = [
        AnswerRecord(
            method=f"{method} of m {pool}", metric="accuracy", k=8, value=0.0, candidate=0, answer=a
        )
        for pool in ("t=1,p=1,r=1", "t=0.5,p=1,r=1")
        for method, a in (("a", "5"), ("b", "5"))
    ]
    rows = summarize_answers([replace(make_record(0), answers=tuple(answers))]).overlaps
    assert [(row.first, row.second) for row in rows] == [
        ("a of m t=1,p=1,r=1", "b of m t=1,p=1,r=1"),
        ("a of m t=0.5,p=1,r=1", "b of m t=0.5,p=1,r=1"),
    ]


def test_a_run_without_a_summary_has_none(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    run = make_run([make_record(0)])
    assert read_summary(run) is None
    (run / "summary.json").write_text('{"rows": [{"no": "row"}]}')
    assert read_summary(run) is None
