"""What becomes of one item on its way from question to record."""

import asyncio
from typing import Any

import pytest

from actors.types import Candidate, ConfigError
from pipelines.config import override
from pipelines.job import prepare
from pipelines.progress import Tally
from pipelines.runner import Line, _Work

CONFIG = {
    "name": "tiny",
    "task": {"name": "arithmetic", "num_items": 2},
    "pipeline": {"name": "rank", "n": 1, "greedy": False, "rankers": ["first"]},
    "models": {"small": {"engine": "fake"}},
    "roles": {"generator": "small"},
}


class Draws:
    """A generator that always says the same."""

    async def generate(self, item: Any, **_: Any) -> list[Candidate]:
        return [
            Candidate(
                index=0, member="small", decoding="sample", text="[[[", finish_reason="stop",
                prompt_tokens=1, tokens=1, logprob=-1.0, seed=1, seconds=0.0,
            )
        ]  # fmt: skip


def solved(error: Exception, monkeypatch: pytest.MonkeyPatch) -> Any:
    job = prepare(override(CONFIG, ()))

    def grade(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(job.task, "grade", grade)
    line = object.__new__(Line)
    line.job, line.sandbox, line.graders = job, None, {}
    line.roles = {"generator": Draws(), "scorers": {}}
    work = _Work(next(job.shards()), Tally())
    asyncio.run(line.solve(work, 0))
    return work.records[0]


def test_a_reply_that_a_grader_cannot_bear_costs_its_item_and_not_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = solved(RecursionError("too deep"), monkeypatch)
    assert record.error.kind == "error"
    assert record.error.message == "grading failed: RecursionError: too deep"
    assert record.candidates == ()


def test_a_grader_that_is_set_up_wrongly_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no such field"):
        solved(ConfigError("no such field"), monkeypatch)
