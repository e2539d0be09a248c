"""A blend's draws ranked, and its conversations compared: run, and scored again."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.rescore import rescore
from results.parts import read_records

RANKED = """
seed: 7
shard_size: 8
task: {name: arithmetic, num_items: 24}
pipeline: {name: rank, n: 16, sampling: {max_tokens: 32}, rankers: [first, majority, "best_of:s"]}
models: {a: {engine: fake, cpus: 0.25}, b: {engine: fake, cpus: 0.25, fake: {texts: ["#### 3"]}}}
roles: {generator: {blend: [a, b], weights: [3, 1]}, scorers: {s: mean_logprob}}
cluster: {cpus: 2}
"""
CHAT = """
seed: 7
shard_size: 4
task: {name: chat, source: turns.jsonl}
pipeline: {name: chat, sampling: {max_tokens: 32}}
models:
  a: {engine: fake, cpus: 0.25, fake: {texts: [one, two words, three words here]}}
  b: {engine: fake, cpus: 0.25}
roles: {generator: {blend: [a, b]}, scorers: {pairs: {kind: pairwise, model: a}}}
cluster: {cpus: 2}
"""


def write(folder: Path) -> None:
    (folder / "ranked.yaml").write_text(RANKED)
    (folder / "chat.yaml").write_text(CHAT)
    rows = [
        {"id": f"c{i}", "category": "xy"[i % 2], "turns": [f"Say {i}.", "More.", "And more."]}
        for i in range(12)
    ]
    (folder / "turns.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("blend")
    write(made)
    return made


@pytest.fixture(scope="module")
def ranked(ray: str, folder: Path, tools: Any) -> Any:
    return tools.called(folder, "run", "ranked.yaml")


@pytest.fixture(scope="module")
def talked(ray: str, folder: Path, tools: Any) -> Any:
    return tools.called(folder, "run", "chat.yaml")


def summary(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


def test_a_blend_is_one_pool_for_every_ranker(folder: Path, ranked: Any) -> None:
    assert (ranked.returncode, ranked.stderr) == (0, "")
    run = folder / "runs" / "ranked"
    for record in read_records(run):
        assert [(c.index, c.member) for c in record.candidates[:2]] == [(-1, "a"), (-1, "b")]
        assert [c.index for c in record.candidates[2:]] == list(range(16))
    found = summary(run)
    methods = {row["method"] for row in found["rows"]}
    assert methods == {"greedy", "greedy:a", "greedy:b", "first", "majority", "best_of:s"}
    worth = {(row["member"], row["method"], row["k"]): row for row in found["marginals"]}
    assert {("a", "first", 1), ("b", "first", 1), ("b", "majority", 2)} <= worth.keys()
    assert all(row["low"] <= row["difference"] <= row["high"] for row in worth.values())
    usage = found["usage"]
    drawn = {name: usage[f"generator:sample:{name}"] for name in "ab"}
    assert {name: use["model"] for name, use in drawn.items()} == {"a": "a", "b": "b"}
    assert drawn["a"]["requests"] + drawn["b"]["requests"] == 24 * 16
    assert drawn["a"]["requests"] > 2 * drawn["b"]["requests"]
    assert "what each member's draws add" in ranked.stdout


def test_conversations_are_compared_arm_by_arm(folder: Path, talked: Any) -> None:
    assert (talked.returncode, talked.stderr) == (0, "")
    run = folder / "runs" / "chat"
    arms = ["a alone", "b alone", "one per conversation", "blend"]
    for record in read_records(run):
        assert [c.arm for c in record.candidates] == arms
        assert [t.role for t in record.messages] == ["user"] * 3
        assert all(len(c.replies) == 3 for c in record.candidates)
        assert all(c.text.startswith(c.replies[0].text) for c in record.candidates)
    found = summary(run)
    assert [row["arm"] for row in found["arms"]] == arms
    by_arm = {row["arm"]: row for row in found["arms"]}
    assert all(row["scores"]["pairs"]["items"] == 12 for row in found["arms"])
    assert by_arm["blend"]["changes"] > 0 == by_arm["one per conversation"]["changes"]
    fresh = {
        name: sum(e["fresh_tokens"] for e in by_arm[name]["efforts"].values()) for name in arms
    }
    assert fresh["blend"] > max(fresh["a alone"], fresh["b alone"])
    rates = {(row["method"], row["metric"]) for row in found["rows"]}
    assert rates == {
        (arm, f"beats {name} by pairs") for name in "ab" for arm in arms if arm != f"{name} alone"
    }
    assert found["outcomes"]["ungraded"] + found["outcomes"]["truncated"] == 12 * 4
    assert found["usage"]["generator:conversation:a"]["requests"] < 12 * 3 * 3
    assert "blend: beats a by pairs" in talked.stdout
    assert "one per conversation" in (run / "report.html").read_text()


@pytest.mark.parametrize("name", ["ranked", "chat"])
def test_scoring_again_gives_the_same_summary(
    name: str, folder: Path, ranked: Any, talked: Any
) -> None:
    again = str(folder / f"again-{name}")
    rescore(str(folder / "runs" / name), (), again, Console(file=io.StringIO()))
    assert summary(Path(again)) == summary(folder / "runs" / name)
