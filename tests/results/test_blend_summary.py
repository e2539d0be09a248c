"""Arms, costs and the worth of members, from records whose numbers can be worked out by hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from results.arms import ArmRow
from results.costs import Member, expected_parameters, flops, total_parameters
from results.schema import (
    AnswerRecord,
    CandidateRecord,
    Record,
    ReplyRecord,
    ScoreRecord,
    UsageRecord,
)
from results.summarize import summarize_answers
from results.summary import Summary

BLENDED = {
    "pygmalion": Member(share=1 / 3, parameters=6e9),
    "chai": Member(share=1 / 3, parameters=6e9),
    "vicuna": Member(share=1 / 3, parameters=13e9),
}


def test_a_blend_costs_the_mean_of_its_members_and_holds_their_sum() -> None:
    mean, total = expected_parameters(BLENDED), total_parameters(BLENDED)
    assert mean is not None
    assert total is not None
    assert mean / 1e9 == pytest.approx(8.3333, abs=5e-5)
    assert 175e9 / mean == pytest.approx(21.0)
    assert total == 25e9
    assert 175e9 / total == pytest.approx(7.0)
    assert flops(mean, 3) == pytest.approx(6 * mean)


def test_weights_decide_the_mean_and_not_the_sum() -> None:
    members = {"a": Member(share=0.75, parameters=4.0), "b": Member(share=0.25, parameters=8.0)}
    assert (expected_parameters(members), total_parameters(members)) == (5.0, 12.0)


def test_a_member_of_unknown_size_makes_the_cost_unknown() -> None:
    members = {"a": Member(share=0.5, parameters=4.0), "b": Member(share=0.5)}
    assert (expected_parameters(members), total_parameters(members)) == (None, None)


def reply(member: str, *, fresh: int = 3, cut: int = 0) -> ReplyRecord:
    return ReplyRecord(
        member=member, text="", finish_reason="stop", prompt_tokens=10, tokens=4,
        fresh_tokens=fresh, cached_tokens=6, seed=1, logprob=None, cut=cut,
    )  # fmt: skip


def arm(index: int, name: str, score: float | None, *replies: ReplyRecord) -> CandidateRecord:
    return CandidateRecord(
        index=index, member="+".join(dict.fromkeys(r.member for r in replies)),
        decoding="conversation", text="", answer=None, outcome="ungraded", finish_reason="stop",
        prompt_tokens=20, tokens=8, logprob=None, seed=None, correct=None, grade=(), seconds=0.0,
        scores=(ScoreRecord(scorer="judge", value=score),), arm=name, replies=replies,
    )  # fmt: skip


def conversation(make: Callable[..., Record], number: int, *scores: float | None) -> Record:
    alone, blend = scores
    candidates = (
        arm(0, "a alone", alone, reply("a"), reply("a")),
        arm(1, "blend", blend, reply("a"), reply("b", fresh=9, cut=number)),
    )
    win = AnswerRecord(method="blend", metric="beats a by judge", k=0, value=1.0)
    answers = () if None in scores else (win,)
    return replace(make(number), candidates=candidates, answers=answers, usage=())


def arms(summary: Summary) -> dict[str, ArmRow]:
    return {row.arm: row for row in summary.arms}


def test_an_arm_has_its_scores_its_tokens_and_its_cost(make_record: Callable[..., Record]) -> None:
    members = {"a": Member(share=0.5, parameters=10.0), "b": Member(share=0.5, parameters=30.0)}
    records = [
        conversation(make_record, 0, 1.0, 4.0),
        conversation(make_record, 1, 3.0, None),
    ]
    summary = summarize_answers(records, members=members)
    found = arms(summary)
    alone, blend = found["a alone"], found["blend"]
    assert (alone.conversations, alone.changes, alone.cut) == (2, 0, 0)
    assert (blend.conversations, blend.changes, blend.cut) == (2, 2, 1)
    mean = alone.scores["judge"]
    # Student's t with one degree of freedom, 12.706, times the standard error, 1.
    assert (mean.value, mean.items) == (2.0, 2)
    assert mean.low == pytest.approx(2.0 - 12.706, abs=1e-3)
    one = blend.scores["judge"]
    assert (one.value, one.items, one.low, one.high) == (4.0, 1, None, None)
    assert (alone.parameters, alone.memory) == (10.0, 10.0)
    assert (blend.parameters, blend.memory) == (20.0, 40.0)
    effort = blend.efforts["b"]
    assert (effort.replies, effort.tokens, effort.prompt_tokens) == (2, 8, 20)
    assert (effort.fresh_tokens, effort.cached_tokens) == (18, 12)
    assert alone.flops == 2 * 10.0 * 4 * (4 + 3)
    assert blend.flops == 2 * 10.0 * 2 * (4 + 3) + 2 * 30.0 * 2 * (4 + 9)
    assert summary.coverage["judge"] == 0.75
    (row,) = summary.rows
    assert (row.method, row.value, row.items, row.member) == ("blend", 1.0, 1, "a+b")
    assert (row.tokens, row.prompt_tokens) == (8.0, 20.0), "of the one item with a verdict"
    assert summary.outcomes["ungraded"] == 4
    coverage, bounds = summary.warnings
    assert coverage == "scorer judge gave a verdict on 75.0% of the candidates"
    assert bounds.endswith("blend 50.0% to 100.0%"), "the item without a verdict"


def test_without_sizes_costs_are_unknown_and_the_rest_is_there(
    make_record: Callable[..., Record],
) -> None:
    found = arms(summarize_answers([conversation(make_record, 0, 1.0, 4.0)]))["blend"]
    assert (found.parameters, found.memory, found.flops) == (None, None, None)
    assert found.efforts["a"].tokens == 4


def test_a_run_without_conversations_has_no_arms(make_record: Callable[..., Record]) -> None:
    summary = summarize_answers([make_record(0), make_record(1)])
    assert (summary.arms, summary.marginals) == ((), ())


def answer(method: str, k: int, value: float) -> AnswerRecord:
    return AnswerRecord(method=method, metric="accuracy", k=k, value=value)


def pooled(record: Record, value: float, without: float | None, *, k: int = 4) -> Record:
    rows = [answer("majority", 1, value), answer("majority", k, value)]
    rows.append(answer("majority without b", 1, 0.5))
    if without is not None:
        rows.append(answer("majority without b", k, without))
    return replace(record, answers=tuple(rows))


def test_a_members_worth_is_the_paired_difference_at_equal_k(
    make_record: Callable[..., Record],
) -> None:
    records = [pooled(make_record(i), 1.0, float(i % 2)) for i in range(40)]
    summary = summarize_answers(records)
    assert [(row.member, row.method, row.k) for row in summary.marginals] == [
        ("b", "majority", 1),
        ("b", "majority", 4),
    ]
    row = summary.marginals[1]
    assert (row.value, row.without, row.difference, row.items) == (1.0, 0.5, 0.5, 40)
    assert 0.3 < row.low < 0.5 < row.high < 0.7
    assert row.p < 0.001
    assert {r.method for r in summary.rows} == {"majority"}, "no curve of its own"


def test_a_draw_size_that_many_items_lack_without_the_member_is_not_told(
    make_record: Callable[..., Record],
) -> None:
    """Those that have it are the ones where the member drew little."""
    records = [pooled(make_record(i), 1.0, 0.0 if i < 37 else None) for i in range(40)]
    assert [row.k for row in summarize_answers(records).marginals] == [1]
    records = [pooled(make_record(i), 1.0, 0.0 if i < 38 else None) for i in range(40)]
    assert [row.k for row in summarize_answers(records).marginals] == [1, 4]


def use(role: str, tokens: int, requests: int) -> UsageRecord:
    return UsageRecord(
        role=role, model=role[-1], requests=requests, prompt_tokens=10 * tokens, tokens=tokens
    )


def test_the_cost_of_a_draw_is_that_of_all_members_over_all_draws(
    make_record: Callable[..., Record],
) -> None:
    record = make_record(0, num_draws=4)
    greedy = record.candidates[0]
    usage = (
        use("generator:greedy:a", 6, 1),
        use("generator:greedy:b", 10, 1),
        use("generator:sample:a", 30, 3),
        use("generator:sample:b", 50, 1),
    )
    rows = (answer("greedy", 0, 1.0), answer("greedy:b", 0, 1.0), answer("majority", 2, 1.0))
    blended = replace(record, usage=usage, candidates=(greedy, *record.candidates), answers=rows)
    summary = summarize_answers([blended, replace(blended, item_id="x")])
    tokens = {row.method: (row.tokens, row.prompt_tokens) for row in summary.rows}
    assert tokens == {"greedy": (16.0, 160.0), "greedy:b": (20.0, 200.0), "majority": (80.0, 800.0)}
    assert summary.usage["generator:sample:b"]["tokens"] == 100
