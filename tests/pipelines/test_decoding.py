"""The decoding page: its decodings, what it asks of its roles, what it refuses. No cluster."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import yaml

from actors.config import Sampling, parse
from actors.types import Candidate, ConfigError, Item, Message, Score
from pipelines.base import Solution
from pipelines.config import load_all, override
from pipelines.decoding import Config, answers, sends, solve
from pipelines.job import prepare
from results.pools import Decoding, Named
from results.schema import AnswerRecord, CandidateRecord, GradeRecord, ScoreRecord

ITEM = Item(
    id="q1",
    task="t",
    question="What is 2 + 3?",
    reference="5",
    messages=(Message(role="user", content="What is 2 + 3?"),),
)
BASE, GREEDY = "t=1,p=1,r=1", "t=0,p=1,r=1"


def config(**given: Any) -> Config:
    return parse(Config, given, "pipeline")


def decodings(**given: Any) -> list[str]:
    return [str(decoding) for decoding in config(**given).decodings]


class Scripted:
    """Keeps what it was asked for; every reply is the same."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[tuple[int, float, float, float, bool]] = []

    async def generate(
        self, item: Item, *, n: int, sampling: Sampling, greedy: bool = False, only: Any = None
    ) -> list[Candidate]:
        one = sampling.temperature, sampling.top_p, sampling.repetition_penalty
        self.asked.append((n, *one, greedy))
        return [self._candidate(i) for i in range(-1 if greedy else 0, n)]

    async def room(self, prompts: Sequence[tuple[Message, ...]]) -> list[int]:
        return [100 for _ in prompts]

    def _candidate(self, index: int) -> Candidate:
        return Candidate(
            index=index, member=self.name, decoding="greedy" if index < 0 else "sample",
            text="5", finish_reason="stop", prompt_tokens=3, tokens=1, logprob=-1.0,
            seed=None if index < 0 else index, seconds=0.0,
        )  # fmt: skip


class Counting:
    """Scores a draw by its place among those it is shown."""

    def __init__(self) -> None:
        self.seen: list[set[tuple[str, int]]] = []

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        self.seen.append({(c.member, c.index) for c in candidates})
        return [Score(value=float(place)) for place in range(len(candidates))]


def test_a_sweep_changes_one_setting_at_a_time_and_names_each_decoding_once() -> None:
    swept = {"temperature": [0, 0.5, 1.0, 1.5], "top_p": [0.9], "repetition_penalty": [1.0, 1.1]}
    assert decodings(sweep=swept) == [
        GREEDY, BASE, "t=0.5,p=1,r=1", "t=1.5,p=1,r=1", "t=1,p=0.9,r=1", "t=0,p=1,r=1.1",
    ]  # fmt: skip
    both = {"repetition_penalty": [1.1], "penalized": ["greedy", "sample"]}
    assert decodings(sweep=both) == [GREEDY, BASE, "t=0,p=1,r=1.1", "t=1,p=1,r=1.1"]
    assert decodings(greedy=False) == [BASE]


@pytest.mark.parametrize(
    ("sweep", "problem"),
    [
        ({"repetition_penalty": [1.1], "penalized": []}, "penalized"),
        ({"penalized": ["sample"]}, "wanted repetition_penalty beside it"),
        ({"temperature": [0.5], "penalized": ["greedy"]}, "wanted repetition_penalty beside it"),
        ({"grid": True}, "wanted lists to combine, got none"),
    ],
)
def test_a_sweep_of_nothing_is_refused(sweep: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse(Config, {"sweep": sweep}, "pipeline")


def test_a_grid_has_every_combination_and_greedy_once_for_each_penalty() -> None:
    grid = {"temperature": [0, 0.7], "top_p": [0.9, 1.0], "repetition_penalty": [1.0, 1.2]}
    found = decodings(greedy=False, sampling={"temperature": 0.7}, sweep={**grid, "grid": True})
    assert set(found) == {
        GREEDY, "t=0,p=1,r=1.2", "t=0.7,p=1,r=1", "t=0.7,p=1,r=1.2", "t=0.7,p=0.9,r=1",
        "t=0.7,p=0.9,r=1.2",
    }  # fmt: skip
    assert len(found) == 6


@pytest.mark.parametrize("decoding", [Decoding(0.7, 0.95, 1.05), Decoding(0.1 + 0.2, 1 / 3, 1e-3)])
def test_a_decoding_is_read_back_from_its_name(decoding: Decoding) -> None:
    assert Decoding.read(str(decoding)) == pytest.approx(decoding, rel=1e-14)
    named = Named("best_of:a b", "my model", str(decoding))
    assert Named.read(str(named)) == named


def solved(**given: Any) -> tuple[Solution, dict[str, Scripted], Counting]:
    members = {name: Scripted(name) for name in "ab"}
    scorer = Counting()
    found = asyncio.run(solve(ITEM, config(**given), members=members, scorers={"s": scorer}))
    return found, members, scorer


def test_each_member_draws_each_decoding_and_greedy_shares_the_call_of_its_penalty() -> None:
    sweep = {"temperature": [0.5], "repetition_penalty": [1.1]}
    solution, members, scorer = solved(n=2, sweep=sweep)
    asked = [(2, 1.0, 1.0, 1.0, True), (2, 0.5, 1.0, 1.0, False), (0, 1.0, 1.0, 1.1, True)]
    assert {name: member.asked for name, member in members.items()} == {"a": asked, "b": asked}
    pools = [(c.member, c.arm, c.index) for c in solution.candidates]
    own = [
        (GREEDY, -1), (BASE, 0), (BASE, 1), ("t=0.5,p=1,r=1", 0), ("t=0.5,p=1,r=1", 1),
        ("t=0,p=1,r=1.1", -1),
    ]  # fmt: skip
    assert pools == [(name, *one) for name in "ab" for one in own]
    assert sends(config(n=2, sweep=sweep)) == 6
    # Scored pool by pool, and never the greedy ones.
    assert scorer.seen == [{(name, 0), (name, 1)} for name in "aabb"]
    values = [None if score is None else score.value for score in solution.scores["s"]]
    assert values == [None, 0.0, 1.0, 0.0, 1.0, None] * 2


def candidate(index: int, gold: float, score: float, *, arm: str = BASE) -> CandidateRecord:
    return CandidateRecord(
        index=index, member="a", decoding="greedy" if index < 0 else "sample", text=f"{gold}",
        answer=str(gold), outcome="correct" if gold else "wrong",
        finish_reason="length" if index == 1 else "stop", prompt_tokens=3, tokens=2, logprob=None,
        seed=None, correct=bool(gold), grade=(GradeRecord(metric="accuracy", value=gold),),
        seconds=0.0, scores=() if index < 0 else (ScoreRecord(scorer="s", value=score),), arm=arm,
    )  # fmt: skip


def answered(*pool: CandidateRecord, **given: Any) -> dict[tuple[str, str, int], AnswerRecord]:
    (rows,) = answers(
        [pool], config(n=3, ks=[1, 2, 3], **given), metrics=["accuracy"], scales={"s": "softmax"}
    )
    return {(row.method, row.metric, row.k): row for row in rows}


def test_a_pool_has_exact_curves_and_the_prefix_beside_them() -> None:
    pool = [candidate(i, g, s) for i, (g, s) in enumerate([(1, 0.2), (0, 0.9), (1, 0.5)])]
    found = answered(candidate(-1, 1, 0, arm=GREEDY), *pool, rankers=["majority"])
    of = f" of a {BASE}"
    exact = [found[f"best_of:s{of}", "accuracy", k].value for k in (1, 2, 3)]
    assert exact == pytest.approx([2 / 3, 1 / 3, 0])
    assert [found[f"prefix best_of:s{of}", "accuracy", k].value for k in (1, 2, 3)] == [1, 0, 0]
    assert [found[f"prefix oracle{of}", "accuracy", k].value for k in (1, 2, 3)] == [1, 1, 1]
    assert found[f"majority{of}", "accuracy", 3].value == 1
    assert found[f"greedy of a {GREEDY}", "accuracy", 0].value == 1
    texts = {metric: row.value for (_, metric, k), row in found.items() if k == 1}
    assert texts["truncated"] == pytest.approx(1 / 3)
    assert texts["duplicates"] == pytest.approx(1 / 3)
    assert (texts["tokens"], texts["characters"]) == (2, 1)


def test_a_draw_without_a_verdict_takes_its_pool_alone_out_of_the_figures() -> None:
    hot = [candidate(i, 1, 0.1, arm="t=2,p=1,r=1") for i in range(3)]
    pool = [candidate(i, 1, 0.1) for i in range(3)]
    late = replace(pool[1], correct=None, grade=(), outcome="timed_out")
    found = answered(pool[0], late, pool[2], *hot)
    assert not any(metric == "accuracy" and BASE in name for name, metric, _ in found)
    assert found["oracle of a t=2,p=1,r=1", "accuracy", 3].value == 1


RUN: dict[str, Any] = {
    "name": "tiny",
    "task": {"name": "arithmetic", "num_items": 5},
    "pipeline": {"name": "decoding", "n": 2},
    "models": {"a": {"engine": "fake"}, "b": {"engine": "fake"}},
    "roles": {"generator": ["a", "b"]},
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"roles": {"generator": {"blend": ["a", "b"]}}}, "wants several models as a list"),
        ({"pipeline": {"name": "rank"}}, "pipeline rank wants one model, or a blend"),
        ({"roles": {"generator": ["a", "a"]}}, "roles.generator: wanted each model once"),
        ({"roles": {"generator": ["a", "c"]}}, "no model 'c' under models"),
        ({"roles": {"generator": []}}, "roles.generator: tuple should have at least 1 item"),
        ({"pipeline": {"reference": {"big": 0.8}}}, "reference.big: wanted per cent, such as 83.8"),
        ({"pipeline": {"sweep": {"temperature": [-1]}}}, "pipeline.sweep.temperature.0: input"),
        ({"pipeline": {"sweep": {"temprature": [1]}}}, "did you mean 'temperature'"),
        ({"pipeline": {"rankers": ["weighted:x"]}}, "needs the scorer 'x'"),
        ({"prices": {"c": {"read": 1}}}, "prices: no model 'c' under models"),
        ({"prices": {"a": {"read": 1, "device_hour": 1}}}, "one way to pay"),
        ({"prices": {"a": {}}}, "one way to pay"),
        (
            {"models": {"a of b": {"engine": "fake"}}, "roles": {"generator": ["a of b"]}},
            "'a of b': pipeline decoding has names with ' of '",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(changes: dict, message: str) -> None:
    pipeline = {"name": "decoding", **changes.get("pipeline", {})}
    written = {**RUN, **changes, "pipeline": pipeline}
    with pytest.raises(ConfigError, match=message):
        prepare(override(written, ()))


def test_a_sweep_over_recorded_candidates_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "made.jsonl"
    path.write_text('{"item_id": "x", "text": "5"}\n')
    models = {"a": {"engine": "replay", "path": str(path)}}
    written = {**RUN, "models": models, "roles": {"generator": ["a"]}}
    prepare(override(written, ()))
    with pytest.raises(ConfigError, match="'a' is a replay, whose candidates are decoded already"):
        prepare(override(written, ["pipeline.sweep.top_p=[0.5]"]))


def test_a_study_is_replayed_under_its_own_decodings_alone(tmp_path: Any) -> None:
    path = tmp_path / "made.jsonl"
    arms = [("t=0,p=1,r=1", "greedy"), ("t=1,p=1,r=1", "sample"), ("t=0.5,p=1,r=1", "sample")]
    rows = [{"item_id": "x", "text": "5", "arm": arm, "decoding": name} for arm, name in arms]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = {"a": {"engine": "replay", "path": str(path)}}
    written = {**RUN, "models": models, "roles": {"generator": ["a"]}}
    prepare(override(written, ["pipeline.sweep.temperature=[0.5]"]))
    message = r"no candidates at t=0\.7,p=1,r=1; it has t=0,p=1,r=1, t=0\.5,p=1,r=1, t=1,p=1,r=1: "
    with pytest.raises(ConfigError, match=message):
        prepare(override(written, ["pipeline.sweep.temperature=[0.7]"]))
    ranked = {"name": "rank", "n": 1, "rankers": ["first"]}
    pool = {**written, "pipeline": ranked, "roles": {"generator": "a"}}
    prepare(override(pool, ["pipeline.sampling.temperature=0.5"]))
    with pytest.raises(ConfigError, match=message):
        prepare(override(pool, ["pipeline.sampling.temperature=0.7"]))


def test_a_task_may_change_the_pipeline_for_itself(tmp_path: Any) -> None:
    tasks = [{"name": "arithmetic"}, {"name": "gsm8k", "pipeline": {"n": 3, "greedy": False}}]
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump({**RUN, "task": tasks}))
    first, second = load_all(str(path), ["pipeline.ks=[1]"])
    assert (first.pipeline["n"], second.pipeline["n"]) == (2, 3)
    assert (second.pipeline["greedy"], second.pipeline["ks"]) == (False, [1])
    assert "pipeline" not in second.task
    assert [run.pipeline["n"] for run in load_all(str(path), ["pipeline.n=1"])] == [1, 1]
