"""A run whose replies are compared with a baseline's, from config to ranking, no model loaded."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from results.bradley_terry import expected

CONFIG = """
shard_size: 4
task: {name: alpaca_eval, source: prompts.json, baseline: baseline.json}
pipeline: {name: chat, arms: [alone], sampling: {max_tokens: 64}}
models:
  a: {engine: fake, cpus: 0.25, fake: {texts: ["Short.", "Long enough to tell."]}}
  b: {engine: fake, cpus: 0.25, fake: {texts: ["Fine.", "Also fine."]}}
  # Greedy decoding takes the first text, which is no verdict: the others are drawn.
  judge: {engine: fake, cpus: 0.25, fake: {texts: ["Hm.", "[[A>>B]]", "[[B>A]]", "[[A=B]]"]}}
roles:
  generator: {blend: [a, b]}
  graders:
    win: {kind: judge_versus, model: judge, prompt: arena_hard, judge: {retries: 6}}
  scorers:
    duel: {kind: judge_pairwise, model: judge, prompt: arena_hard, judge: {retries: 6}}
cluster: {cpus: 2}
"""


@pytest.fixture(scope="module")
def done(ray: str, tmp_path_factory: pytest.TempPathFactory, tools: Any) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("arena")
    prompts = [{"instruction": f"Say {number}.", "dataset": "d"} for number in range(12)]
    (folder / "prompts.json").write_text(json.dumps(prompts))
    baseline = [{**row, "output": "No.", "generator": "base"} for row in reversed(prompts)]
    (folder / "baseline.json").write_text(json.dumps(baseline))
    (folder / "arena.yaml").write_text(CONFIG)
    return folder / "runs" / "arena", tools.called(folder, "run", "arena.yaml")


def test_a_judged_run_ends_in_win_rates_and_rankings(done: tuple[Path, Any], tools: Any) -> None:
    run, ended = done
    assert (ended.returncode, ended.stderr) == (0, "")
    summary = tools.read_json(run / "summary.json")
    wins = {row["method"]: row for row in summary["rows"] if row["metric"] == "win"}
    assert wins.keys() == {"a alone", "b alone"}
    assert all(row["low"] < row["value"] < row["high"] for row in wins.values())
    ranked = {(row["judge"], row["player"]): row for row in summary["rankings"]}
    assert ranked.keys() == {
        *(("win", player) for player in ("a alone", "b alone", "baseline")),
        *(("duel", player) for player in ("a alone", "b alone")),
    }
    for text in ("ranking by win", "baseline at 1000", "ranking by duel", "beats baseline"):
        assert text in ended.stdout
    assert "Rankings" in (run / "report.html").read_text()


def test_a_rating_is_what_the_kept_verdicts_say(done: tuple[Path, Any], tools: Any) -> None:
    run, _ = done
    won = lost = 0.0
    for record in tools.by_item(run).values():
        assert record.reference == "No."
        (candidate,) = [c for c in record.candidates if c.arm == "a alone"]
        (score,) = [s for s in candidate.scores if s.scorer == "win"]
        first, weight, second, back = score.parts
        if not math.isnan(first + second):
            won += weight * first + back * (1 - second)
            lost += weight * (1 - first) + back * second
    rows = tools.read_json(run / "summary.json")["rankings"]
    (row,) = [row for row in rows if (row["judge"], row["player"]) == ("win", "a alone")]
    assert expected(row["rating"]) == pytest.approx(won / (won + lost))


def test_it_is_graded_again_without_a_judge(done: tuple[Path, Any], tools: Any) -> None:
    run, _ = done
    again = run.parent / "again"
    tools.called(run.parents[1], "score", run, "--output", again)
    first, second = (tools.read_json(folder / "summary.json") for folder in (run, again))
    assert first["rows"] == second["rows"]
    assert first["rankings"] == second["rankings"]


def test_every_figure_is_found_again_in_the_records(done: tuple[Path, Any], tools: Any) -> None:
    run, _ = done
    assert tools.called(run.parents[1], "verify", run).returncode == 0


def test_length_control_says_what_it_needs(done: tuple[Path, Any], tools: Any) -> None:
    run, _ = done
    ended = tools.called(run.parents[1], "length-control", run)
    if ended.returncode:
        assert ended.returncode == 2
        assert "pip install 'lilliput[alpaca-eval]'" in ended.stderr
    else:
        assert "at equal length" in ended.stdout
