"""A run that is judged: by one model on a scale, by a jury in pairs, no model loaded."""

import asyncio
import json
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.config import ModelConfig, Sampling
from actors.host import Host
from actors.scorer_table import make_scorer
from actors.types import Candidate, Completion, Item
from pipelines.config import load
from pipelines.job import prepare
from results.report import write_report
from results.schema import CandidateRecord

CONFIG = """
shard_size: 4
task: {name: arithmetic, num_items: 12}
pipeline:
  name: rank
  n: 3
  greedy: false
  sampling: {max_tokens: 64}
  rankers: [first, "best_of:marks", "weighted:marks", "best_of:jury", oracle]
models:
  small: {engine: fake, cpus: 0.25}
  strict:
    {engine: fake, cpus: 0.25, replicas: 2, fake: {texts: ["Poor.\\nScore: 1", "Hm.", "Score: 9"]}}
  # Greedy decoding takes the first text, which is no verdict: the others are drawn.
  one: {engine: fake, cpus: 0.25, fake: {texts: ["Hm.", "[[A]] it is", "[[B]]", "[[C]]"]}}
  other: {engine: fake, cpus: 0.25, fake: {texts: ["Hm.", "[[A]]", "[[B]] it is"]}}
roles:
  generator: small
  scorers:
    marks: {kind: judge, model: strict, judge: {repeats: 2, retries: 1, min_coverage: 0.99}}
    jury: {kind: judge_pairwise, models: [one, other], judge: {retries: 5}}
cluster: {cpus: 2}
"""


@pytest.fixture(scope="module")
def done(ray: str, tmp_path_factory: pytest.TempPathFactory, tools: Any) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("judged")
    (folder / "judged.yaml").write_text(CONFIG)
    return folder / "runs" / "judged", tools.called(folder, "run", "judged.yaml")


def test_a_judged_run_shows_its_judges_beside_its_methods(
    done: tuple[Path, "subprocess.CompletedProcess[str]"], tools: Any
) -> None:
    run, ended = done
    assert (ended.returncode, ended.stderr) == (0, "")
    summary = tools.read_json(run / "summary.json")
    assert {"best_of:marks", "weighted:marks", "best_of:jury"} <= {
        row["method"] for row in summary["rows"]
    }
    figures = {(row["judge"], row["figure"]): row for row in summary["judges"]}
    assert 0.0 < figures["marks", "coverage"]["value"] < 0.99
    assert figures["marks", "mean"]["value"] == 1.0
    assert 0.0 < figures["jury", "position"]["value"] <= 1.0
    assert ("jury", "agreement") in figures
    assert ("jury", "self:small") not in figures
    for row in figures.values():
        assert row["low"] <= row["value"] <= row["high"]
    assert "warning: judge marks gave " in ended.stdout
    assert "judges, 95 % intervals over items" in ended.stdout
    assert "<h2>Judges</h2>" in (run / "report.html").read_text()


def test_every_judgement_is_kept_and_paid_for(done: tuple[Path, Any], tools: Any) -> None:
    run, _ = done
    for record in tools.by_item(run).values():
        cost = {use.role: use for use in record.usage}
        assert cost["scorer:jury"].model == "one+other"
        for candidate in record.candidates:
            marks, jury = candidate.scores
            assert all(math.isnan(part) or part == 1.0 for part in marks.parts)
            assert len(marks.parts) == 2
            known = [part for part in marks.parts if not math.isnan(part)]
            assert marks.value == (1.0 if known else None)
            assert len(jury.parts) % 3 == 0
        said: dict[str, tuple[str, ...]] = {}
        for candidate in record.candidates:
            said.setdefault(candidate.text, candidate.scores[0].said)
        for replies in said.values():
            assert len(replies) == 2
            assert {*replies} <= {"Poor.\nScore: 1", "Hm.", "Score: 9"}
        texts = {c.text for c in record.candidates}
        # Each text is judged twice, and once more where a reply held no verdict.
        first = {c.text: c.scores[0].parts for c in record.candidates}
        retried = sum(math.isnan(part) for parts in first.values() for part in parts)
        assert cost["scorer:marks"].prompt_tokens > 150 * (2 * len(texts) + retried)


def test_the_report_is_the_same_from_the_records_alone(done: tuple[Path, Any]) -> None:
    run, _ = done
    before = json.loads((run / "summary.json").read_text())["judges"]
    (run / "summary.json").unlink()
    write_report(run)
    assert json.loads((run / "summary.json").read_text())["judges"] == before


class Alone:
    """One model in this process: no cluster, no replicas."""

    def __init__(self, name: str, config: ModelConfig) -> None:
        self.name = name
        self.host = Host(name, config)

    async def generate(
        self, item: Item, *, seeds: Sequence[int | None], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        return await self.host.generate(item, seeds, sampling, top_logprobs)


def test_verdicts_depend_neither_on_replicas_nor_on_the_cluster(
    done: tuple[Path, Any], tools: Any
) -> None:
    run, _ = done
    job = prepare(load(str(run.parents[1] / "judged.yaml")))
    models = {name: Alone(name, config) for name, config in job.config.models.items()}
    records = tools.by_item(run)

    async def judged() -> None:
        for model in models.values():
            await model.host.start()
        for name, config in job.config.roles.scorers.items():
            scorer = make_scorer(name, config, models, seed=job.config.seed)
            for item in job.task.items():
                kept = records[item.id].candidates
                again = await scorer.score(item, [as_drawn(c) for c in kept])
                there = [s for c in kept for s in c.scores if s.scorer == name]
                # As text, since no verdict isn't equal to itself.
                assert str([(s.value, s.parts) for s in there]) == str(
                    [(s.value, s.parts) for s in again]
                )

    asyncio.run(judged())


def as_drawn(kept: CandidateRecord) -> Candidate:
    return Candidate(
        index=kept.index, member=kept.member, decoding="sample", text=kept.text,
        finish_reason="stop", prompt_tokens=1, tokens=1, logprob=-1.0, seed=1, seconds=0.0,
    )  # fmt: skip
