"""Graders: credit from a judge where the task knows none; what is refused."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.types import Candidate, ConfigError, Item, Message, Score
from pipelines import graders
from pipelines.base import Solution
from pipelines.config import override
from pipelines.job import Job, prepare
from pipelines.records import answered, finish, regrade

ROWS = [{"instruction": f"Say {word}.", "output": word, "generator": "b"} for word in ("x", "y")]


def job(folder: Path, *, baseline: bool = True, **changes: Any) -> Job:
    rows = ROWS if baseline else [{"instruction": row["instruction"]} for row in ROWS]
    (folder / "a.json").write_text(json.dumps(rows))
    roles = {"generator": "m", "graders": {"win": {"kind": "judge_versus", "model": "j"}}}
    config: dict[str, Any] = {
        "name": "run",
        "task": {"name": "alpaca_eval", "source": str(folder / "a.json")},
        "pipeline": {"name": "rank", "n": 2, "rankers": ["first", "best_of:len", "oracle"]},
        "models": {name: {"engine": "fake"} for name in "mj"},
        "roles": {**roles, "scorers": {"len": "mean_logprob"}},
    }
    return prepare(override({**config, **changes}, []))


def drawn(index: int, text: str) -> Candidate:
    return Candidate(
        index=index, member="m", decoding="greedy" if index < 0 else "sample", text=text,
        finish_reason="stop", prompt_tokens=1, tokens=1, logprob=-1.0, seed=1, seconds=0.0,
    )  # fmt: skip


class Table:
    """Values by text."""

    def __init__(self, values: dict[str, float | None]) -> None:
        self.values = values

    async def score(self, item: Item, candidates: Any) -> list[Score]:
        return [Score(value=self.values[c.text], prompt_tokens=5, tokens=1) for c in candidates]


ITEM = Item(
    id="q", task="alpaca_eval", question="?", reference="r",
    messages=(Message(role="user", content="?"),),
)  # fmt: skip


def graded(job: Job, **values: float | None) -> Any:
    """The record of a pool whose greedy reply is `g` and draws are `a` and `b`."""
    pool = (drawn(-1, "g"), drawn(0, "a"), drawn(1, "b"))
    scores = {"len": (None, Score(value=2.0), Score(value=1.0))}
    solution = Solution(candidates=pool, scores=scores)
    solution = asyncio.run(graders.graded(ITEM, solution, {"win": Table(values)}))
    (record,) = answered(job, [finish(job, ITEM, solution)])
    return record


def test_a_win_rate_is_a_metric_like_any_other(tmp_path: Path) -> None:
    record = graded(job(tmp_path), g=1.0, a=0.0, b=0.5)
    assert [c.grade[0].value for c in record.candidates] == [1.0, 0.0, 0.5]
    assert {c.outcome for c in record.candidates} == {"ungraded"}
    found = {(row.method, row.metric, row.k): row.value for row in record.answers}
    assert found == {
        ("greedy", "win", 0): 1.0,
        ("first", "win", 1): 0.25,
        ("best_of:len", "win", 1): 0.25,
        ("best_of:len", "win", 2): 0.0,
        ("oracle", "win", 1): 0.25,
        ("oracle", "win", 2): 0.5,
    }
    usage = {use.role: (use.requests, use.prompt_tokens, use.tokens) for use in record.usage}
    assert usage["scorer:win"] == (3, 15, 3)


def test_a_draw_without_a_verdict_takes_no_side(tmp_path: Path) -> None:
    record = graded(job(tmp_path), g=1.0, a=None, b=0.5)
    assert [c.outcome for c in record.candidates] == ["ungraded", "judge_failed", "ungraded"]
    assert {row.method for row in record.answers} == {"greedy"}
    assert {row.method for row in graded(job(tmp_path), g=None, a=0.0, b=1.0).answers} == {
        "first", "best_of:len", "oracle",
    }  # fmt: skip


def test_a_record_is_graded_again_without_a_judge(tmp_path: Path) -> None:
    one = job(tmp_path)
    record = graded(one, g=1.0, a=None, b=0.5)
    stripped = [replace(c, grade=(), outcome="error") for c in record.candidates]
    again = asyncio.run(regrade(one, replace(record, candidates=tuple(stripped), answers=())))
    assert answered(one, [again]) == [record]


def test_marks_on_a_scale_are_credit_between_its_ends(tmp_path: Path) -> None:
    roles = {
        "generator": "m",
        "graders": {"win": {"kind": "judge", "model": "j", "prompt": "mt_bench"}},
    }
    pipeline = {"name": "rank", "rankers": ["first"]}
    one = job(tmp_path, roles=roles, pipeline=pipeline)
    assert one.identity["judges"]["win"]["high"] == 10.0
    record = graded(one, g=10.0, a=1.0, b=5.5)
    assert [c.grade[0].value for c in record.candidates] == [1.0, 0.0, 0.5]
    # A weighed verdict is a mean, whose last digit may be beyond the ten.
    record = graded(one, g=10.000000000000002, a=0.9999999999999999, b=5.5)
    assert [c.grade[0].value for c in record.candidates] == [1.0, 0.0, 0.5]


def test_recorded_verdicts_must_be_credit(tmp_path: Path) -> None:
    roles = {"generator": "m", "graders": {"win": {"kind": "recorded", "field": "preference"}}}
    one = job(tmp_path, roles=roles, pipeline={"name": "rank", "rankers": ["first"]})
    with pytest.raises(ConfigError, match=r"graders.win: wanted scores from 0 to 1, got 1.5"):
        graded(one, g=1.0, a=1.5, b=0.0)


ARITHMETIC = {"name": "arithmetic", "num_items": 4}
TWICE = {"generator": "m", "graders": {"win": {"kind": "judge_versus", "model": "j"}}}
SELF = {"generator": "m", "graders": {"win": {"kind": "judge_versus", "model": "m"}}}


def test_a_pipeline_that_names_no_ranker_is_not_told_that_votes_count_answers(
    tmp_path: Path,
) -> None:
    roles = {**TWICE, "generator": ["m"]}
    found = job(tmp_path, pipeline={"name": "decoding", "n": 2}, roles=roles)
    assert found.task.metrics == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"roles": {"generator": "m"}}, "nothing tells right from wrong .* roles.graders"),
        ({"task": ARITHMETIC}, "roles.graders: task arithmetic knows what is right"),
        ({"baseline": False}, "has nothing to compare replies with; name a file of a baseline's"),
        ({"pipeline": {"name": "rank"}}, "rankers: 'majority' counts equal answers"),
        ({"roles": SELF}, "graders.win: model 'm' would judge nothing but its own candidates"),
        (
            {"roles": {"generator": "m", "graders": {"len": {"kind": "mean_logprob"}}}},
            "graders.len: wanted a kind whose scores are credit",
        ),
        (
            {
                "roles": {
                    "generator": "m",
                    "graders": {"win": {"kind": "judge_versus", "model": "z"}},
                }
            },
            "roles.graders.win: there is no model 'z'",
        ),
        (
            {
                "roles": {
                    "generator": "m",
                    "graders": {"score": {"kind": "judge_versus", "model": "j"}},
                }
            },
            "graders.score: the summary has another metric of that name; rename it",
        ),
        (
            {"roles": {**TWICE, "scorers": {"win": "mean_logprob"}}},
            "graders.win: a scorer has that name too",
        ),
    ],
)
def test_graders_that_cannot_grade_are_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        job(tmp_path, **{"pipeline": {"name": "rank", "rankers": ["first"]}, **changes})
