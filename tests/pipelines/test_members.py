"""A blend's pool: greedy baselines of its members, and rankers without one of them."""

from collections.abc import Sequence

import pytest

from pipelines import rank
from pipelines.members import left_out
from results.schema import AnswerRecord, CandidateRecord, GradeRecord, ScoreRecord

SHARES = {"a": 0.75, "b": 0.25}


def candidate(index: int, member: str, right: bool | None, score: float = 0.0) -> CandidateRecord:
    grade = () if right is None else (GradeRecord(metric="accuracy", value=float(right)),)
    return CandidateRecord(
        index=index, member=member, decoding="greedy" if index < 0 else "sample",
        text=str(index), answer=str(right), outcome="correct" if right else "wrong",
        finish_reason="stop", prompt_tokens=1, tokens=1, logprob=None, seed=None, correct=right,
        grade=grade, seconds=0.0, scores=(ScoreRecord(scorer="s", value=score),),
    )  # fmt: skip


def answers(pool: Sequence[CandidateRecord], **more: object) -> dict[tuple[str, int], AnswerRecord]:
    num = sum(c.decoding == "sample" for c in pool) or 1
    config = rank.Config(n=num, rankers=("first", "majority", "best_of:s", "oracle"))
    given = {"scales": {}, "shares": SHARES, **more}
    (rows,) = rank.answers([pool], config, metrics=["accuracy"], **given)  # type: ignore[arg-type]
    return {(row.method, row.k): row for row in rows}


def test_greedy_of_a_blend_is_the_mean_of_its_members_by_their_shares() -> None:
    found = answers([candidate(-1, "a", True), candidate(-1, "b", False), candidate(0, "a", True)])
    assert found["greedy", 0].value == 0.75
    assert (found["greedy:a", 0].value, found["greedy:b", 0].value) == (1.0, 0.0)
    assert found["greedy:a", 0].correct is True


def test_greedy_of_one_model_has_one_row() -> None:
    found = answers([candidate(-1, "a", True), candidate(0, "a", True)], shares={"a": 1.0})
    assert [key for key in found if key[0].startswith("greedy")] == [("greedy", 0)]
    assert not [key for key in found if "without" in key[0]]


def test_a_member_without_a_verdict_leaves_the_blend_without_a_greedy_figure() -> None:
    found = answers([candidate(-1, "a", True), candidate(-1, "b", None), candidate(0, "a", True)])
    assert ("greedy", 0) not in found
    assert found["greedy:a", 0].value == 1.0


POOL = [
    candidate(0, "a", True, 0.3),
    candidate(1, "b", False, 0.9),
    candidate(2, "b", False, 0.8),
    candidate(3, "a", True, 0.1),
]


def test_each_ranker_is_told_with_and_without_each_member_at_equal_k() -> None:
    found = answers(POOL)
    assert found["first", 1].value == 0.5
    assert found["first without a", 1].value == 0.0
    assert found["first without b", 1].value == 1.0
    assert found["best_of:s without a", 2].value == 0.0
    assert found["best_of:s without b", 2].value == 1.0
    assert found["oracle", 2].value == pytest.approx(5 / 6)
    assert found["oracle without b", 2].value == 1.0
    assert ("oracle without b", 4) not in found, "two draws are all that is left"


def test_without_a_member_that_drew_nothing_all_stays_as_it_is() -> None:
    found = answers([c for c in POOL if c.member == "a"])
    assert found["first without b", 1].value == found["first", 1].value == 1.0
    assert not [key for key in found if key[0].endswith("without a")]


def test_scores_that_hold_for_all_draws_together_have_no_figure_without_a_member() -> None:
    found = answers(POOL, relative={"s"})
    assert ("best_of:s", 4) in found
    assert not [key for key in found if key[0].startswith("best_of:s without")]
    assert ("first without a", 1) in found


def test_nobody_is_left_out_of_a_model_alone() -> None:
    assert list(left_out(POOL, {"a": 1.0})) == []
