"""Replies that came with the item: what each scorer chooses, and what is made of it."""

import asyncio

import pytest

from actors.types import Item, Message, Score
from pipelines.given import Config, answers, solve
from results.schema import CandidateRecord, GradeRecord, ScoreRecord

ITEM = Item(
    id="d-1",
    task="data",
    messages=(Message(role="user", content="Why?"),),
    question="Why?",
    reference="0",
    choices=("Because.", "No."),
)


class Scripted:
    def __init__(self, *values):
        self.values = values

    async def score(self, item, candidates):
        return [Score(value=value, parts=(1.0, 2.0)) for value in self.values]


def kept(*values, correct=None):
    return [
        CandidateRecord(
            index=i, member="", decoding="given", text=f"t{i}", answer=str(i),
            outcome="ungraded" if correct is None else "correct" if i == correct else "wrong",
            finish_reason="stop", prompt_tokens=0, tokens=None, logprob=None, seed=None,
            correct=None if correct is None else i == correct,
            grade=() if correct is None else (GradeRecord(metric="accuracy", value=i == correct),),
            seconds=0.0, scores=(ScoreRecord(scorer="r", value=value),),
        )
        for i, value in enumerate(values)
    ]  # fmt: skip


def figures(pool):
    (rows,) = answers([pool], Config(), scales={"r": "softmax"})
    return {(row.method, row.metric): row.value for row in rows}


def test_every_reply_is_a_candidate_and_nothing_is_generated():
    found = asyncio.run(solve(ITEM, Config(), scorers={"r": Scripted(0.5, -1.0)}))
    assert [(c.index, c.decoding, c.text) for c in found.candidates] == [
        (0, "given", "Because."),
        (1, "given", "No."),
    ]
    assert [score.value for score in found.scores["r"]] == [0.5, -1.0]


@pytest.mark.parametrize(
    ("values", "credit", "margin"),
    [((2.0, 0.5), 1.0, 1.5), ((0.5, 2.0), 0.0, -1.5), ((1, 1), 0.5, 0)],
)
def test_of_a_pair_the_higher_score_counts_and_a_tie_counts_a_half(values, credit, margin):
    found = figures(kept(*values, correct=0))
    assert found["best_of:r", "accuracy"] == credit
    assert found["best_of:r", "margin"] == margin
    assert found["best_of:r", "score"] == max(values)


def test_without_a_right_reply_the_score_itself_is_the_figure():
    assert figures(kept(-3.25)) == {("r", "score"): -3.25}
    assert figures(kept(-3.0, 7.0)) == {("best_of:r", "score"): 7.0}


def test_a_reply_without_a_verdict_leaves_its_item_without_an_answer():
    assert figures(kept(None, 2.0, correct=0)) == {}
