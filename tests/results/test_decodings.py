"""Summaries of studies: spreads, greedy against draws, categories, lines, costs, from made-up
records."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from results.decodings import DecodingRow
from results.errors import ResultsError
from results.forecast import foretell
from results.judges import Judge
from results.pools import OF
from results.references import crossings
from results.schema import AnswerRecord, CandidateRecord, GradeRecord, Record, Turn, UsageRecord
from results.summarize import summarize_answers
from results.summary import Row, Summary

BASE, GREEDY = "t=1,p=1,r=1", "t=0,p=1,r=1"
N = 32
PRICES = {"a": {"read": 1.0, "generated": 3.0}, "armo": {"device_hour": 3.6}}
ABOUT: dict[str, Any] = {
    "config": {"prices": PRICES},
    "timing": [
        {"run_seconds": 5.0, "device_seconds": {"a": {"cpu": 40.0, "gpu": 0.0}}},
        {
            "run_seconds": 7.0,
            "device_seconds": {"a": {"cpu": 60.0, "gpu": 0}, "armo": {"cpu": 0, "gpu": 50.0}},
        },
    ],
}


def candidate(index: int, gold: float, *, member: str = "a") -> CandidateRecord:
    return CandidateRecord(
        index=index, member=member, decoding="greedy" if index < 0 else "sample", text=f"{gold}",
        answer="5", outcome="correct" if gold else "wrong", finish_reason="stop", prompt_tokens=10,
        tokens=4, logprob=None, seed=None, correct=bool(gold),
        grade=(GradeRecord(metric="accuracy", value=gold),), seconds=0.0,
        arm=GREEDY if index < 0 else BASE,
    )  # fmt: skip


def answers(member: str, greedy: float, credits: np.ndarray) -> Iterator[AnswerRecord]:
    def one(method: str, arm: str, k: int, value: float, metric: str = "accuracy") -> AnswerRecord:
        return AnswerRecord(method=f"{method} of {member} {arm}", metric=metric, k=k, value=value)

    yield one("greedy", GREEDY, 0, greedy)
    yield one("first", BASE, 1, float(credits.mean()))
    for k in (1, 8, N):
        yield one("oracle", BASE, k, 1 - (1 - float(credits.mean())) ** k)
        yield one("best_of:armo", BASE, k, float(credits.mean()))
    yield one("first", BASE, 1, 4.0, "tokens")
    yield one("first", BASE, 1, float(credits.max() * 0), "truncated")


def usage(role: str, model: str, num: int, tokens: int) -> UsageRecord:
    return UsageRecord(
        role=role, model=model, requests=num, prompt_tokens=10 * num, tokens=tokens * num
    )


def record(number: int, credits: np.ndarray, *, category: str = "") -> Record:
    pool = [candidate(i, float(gold)) for i, gold in enumerate(credits)]
    greedy = float(number % 4 > 0)
    return Record(
        item_id=f"i{number}", task="toy", messages=(Turn(role="user", content="?"),), choices=(),
        reference="5", group=f"i{number}", category=category,
        candidates=(candidate(-1, greedy), *pool), answers=tuple(answers("a", greedy, credits)),
        outcome="ok", error=None,
        usage=(
            usage(f"generator:greedy{OF}a {GREEDY}", "a", 1, 4),
            usage(f"generator:sample{OF}a {BASE}", "a", len(pool), 4),
            usage(f"scorer:armo{OF}a {BASE}", "armo", len(pool), 0),
        ),
    )  # fmt: skip


def records(*, shared: bool = False, num_items: int = 200) -> list[Record]:
    rng = np.random.default_rng(3)
    chances_Q1 = rng.uniform(0.1, 0.9, size=(num_items, 1))
    numbers = rng.random((1 if shared else num_items, N))
    credits_QN = (numbers < chances_Q1).astype(float)
    return [record(number, row, category="ab"[number % 2]) for number, row in enumerate(credits_QN)]


@pytest.fixture(scope="module")
def summary() -> Summary:
    lines = {"half": 50.0, "far": 100.0}
    return summarize_answers(records(), references=lines, about=ABOUT)


def figures(summary: Summary, category: str = "") -> dict[str, DecodingRow]:
    rows = [row for row in summary.decodings if row.category == category]
    return {row.figure: row for row in rows}


def row_of(summary: Summary, method: str, k: int) -> Row:
    (row,) = [r for r in summary.rows if r.k == k and r.method.startswith(f"{method} of")]
    return row


def test_the_spread_is_that_of_the_runs_in_the_records(summary: Summary) -> None:
    runs = np.array([[c.correct for c in r.candidates if c.index >= 0] for r in records()]).mean(0)
    found = figures(summary)
    assert found["mean"].value == pytest.approx(runs.mean())
    assert found["std_ddof0"].value == pytest.approx(runs.std())
    assert found["std"].value == pytest.approx(runs.std(ddof=1))
    assert found["delta"].value == pytest.approx(runs.max() - runs.min())
    assert found["delta"].value == pytest.approx(found["best"].value - found["worst"].value)
    assert found["std"].low < found["std"].value < found["std"].high
    assert (found["best"].low, found["mean"].runs, found["mean"].items) == (None, N, 200)
    assert found["mean"].temperature == 1.0
    assert found["greedy"].temperature == 0.0


def test_every_figure_that_is_not_descriptive_has_an_interval(summary: Summary) -> None:
    descriptive = {"best", "worst", "delta", "std_ddof0", "bound", "independent_std"}
    for row in summary.decodings:
        assert (row.low is None) == (row.figure in descriptive), row


def test_greedy_minus_mean_is_paired_by_item(summary: Summary) -> None:
    found = figures(summary)
    versus = found["greedy_minus_mean"]
    assert versus.value == pytest.approx(found["greedy"].value - found["mean"].value)
    assert versus.low < versus.value < versus.high
    assert versus.p < 0.001
    same = row_of(summary, "first", 1)
    assert same.versus_greedy == pytest.approx(-versus.value)
    assert (same.member, same.decoding) == ("a", BASE)


def test_categories_have_figures_of_their_own(summary: Summary) -> None:
    whole, a, b = (figures(summary, name) for name in ("", "a", "b"))
    assert (a["mean"].items, b["mean"].items) == (100, 100)
    assert (a["mean"].value + b["mean"].value) / 2 == pytest.approx(whole["mean"].value)
    assert a["bound"].value > whole["bound"].value


def test_items_drawn_apart_raise_no_doubt_and_runs_that_share_their_luck_do(
    summary: Summary,
) -> None:
    assert not figures(summary)["std"].above_bound
    assert not any("std" in warning for warning in summary.warnings)
    shared = summarize_answers(records(shared=True))
    assert figures(shared)["std"].above_bound
    (warning,) = [w for w in shared.warnings if "std" in w]
    assert warning.startswith(f"a at {BASE}: runs have a std of")
    assert "than the 3.5" in warning


def test_lines_are_passed_at_draw_sizes_with_an_interval_or_not_within_the_pool(
    summary: Summary,
) -> None:
    found = {(c.reference, c.method.partition(" of")[0]): c for c in summary.crossings}
    oracle, far = found["half", "oracle"], found["far", "best_of:armo"]
    assert (oracle.k, oracle.low, oracle.high, oracle.within) in [(8, 1, 8, N), (1, 1, 8, N)]
    assert (far.k, far.low, far.high) == (None, None, None)


def test_a_line_is_reached_by_value_by_upper_and_by_lower_end() -> None:
    def point(k: int, low: float, value: float, high: float) -> Row:
        return Row(
            task="t", member="a", method="oracle", metric="m", k=k, value=value, low=low,
            high=high, stderr=0, items=1,
        )  # fmt: skip

    curve = [point(4, 0.7, 0.8, 0.9), point(1, 0.3, 0.4, 0.5), point(2, 0.5, 0.6, 0.7)]
    (found,) = crossings(curve, {"line": 0.6})
    assert (found.k, found.low, found.high, found.within) == (2, 2, 4, 4)
    assert 34.6 / 100 > 346 / 1000, "but for rounding they are equal"
    (found,) = crossings([point(1, 0.3, 346 / 1000, 0.4)], {"line": 34.6 / 100})
    assert found.k == 1


def test_seconds_and_money_follow_the_tokens_of_each_role(summary: Summary) -> None:
    greedy, pool = row_of(summary, "greedy", 0), row_of(summary, "best_of:armo", N)
    # 200 items; a reply is 4 tokens on a prompt of 10. 100 CPU seconds over N + 1 replies an item.
    assert (greedy.generated, greedy.prompt_tokens, greedy.scored) == (800, 2000, 0)
    assert greedy.cpu_seconds == pytest.approx(100 / (N + 1))
    assert greedy.gpu_seconds is None
    assert greedy.money == pytest.approx((2000 * 1 + 800 * 3) / 1e6)
    assert (pool.generated, pool.scored, pool.judged) == (800 * N, 2000 * N, 0)
    assert pool.cpu_seconds == pytest.approx(100 * N / (N + 1))
    assert pool.gpu_seconds == pytest.approx(50)
    assert pool.money == pytest.approx(N * greedy.money + 50 * 3.6 / 3600)
    half = row_of(summary, "best_of:armo", 8)
    assert half.money == pytest.approx(pool.money * 8 / N)


def test_without_prices_or_timing_there_is_no_figure_rather_than_none_spent() -> None:
    row = row_of(summarize_answers(records(num_items=4)), "greedy", 0)
    assert (row.cpu_seconds, row.gpu_seconds, row.money) == (None, None, None)
    assert row.generated == 16


def test_a_run_of_one_pool_has_costs_too_and_a_judge_has_its_own_kind(
    make_record: Callable[..., Record],
) -> None:
    about = {
        "config": {"prices": {"small": {"generated": 1.0}, "armo": {"read": 0.5}}},
        "timing": [{"device_seconds": {"small": {"cpu": 9.0, "gpu": 0}}}],
    }
    made = [make_record(number) for number in range(3)]
    rows = {(row.method, row.k): row for row in summarize_answers(made, about=about).rows}
    best = rows["best_of:rm", 8]
    assert (best.generated, best.scored, best.judged) == (3 * 240, 3 * 640, 0)
    assert best.money == pytest.approx(3 * (240 * 1.0 + 640 * 0.5) / 1e6)
    assert best.cpu_seconds == pytest.approx(9.0 * 8 / 9)
    assert rows["majority", 4].money == pytest.approx(3 * 120 / 1e6)
    judge = Judge(form="scale", jurors=("armo",), repeats=1, low=0, high=1, min_coverage=0)
    judged = summarize_answers(made, about=about, judges={"rm": judge})
    (best,) = [row for row in judged.rows if (row.method, row.k) == ("best_of:rm", 8)]
    assert (best.scored, best.judged) == (0, 3 * 640)


def test_a_forecast_scales_a_probe_and_stands_beside_what_happened() -> None:
    probed = records(num_items=8)
    told = {row.figure: row for row in foretell(probed, ABOUT, 200)}
    assert told["tokens generated"].value == 200 * 4 * (N + 1)
    assert told["cpu seconds"].value == pytest.approx(100 * 200 / 8)
    assert told["run seconds"].value == pytest.approx(12 * 200 / 8)
    assert told["money"].probed == 8
    about = {**ABOUT, "forecast": [asdict(row) for row in told.values()]}
    done = summarize_answers(records(), about=about)
    (row,) = [row for row in done.forecast if row.figure == "tokens generated"]
    assert row.actual == done.usage[f"generator:greedy{OF}a {GREEDY}"]["tokens"] * (N + 1)
    assert foretell([], ABOUT, 200) == ()


def test_pools_of_unequal_runs_are_refused() -> None:
    first, second = records(num_items=2)
    short = replace(second, candidates=second.candidates[:-1])
    with pytest.raises(ResultsError, match="wanted 32 draws of every item in a pool, got 31"):
        summarize_answers([first, short])


def test_a_run_without_pools_has_none_of_it() -> None:
    plain = replace(
        records(num_items=1)[0],
        candidates=(replace(candidate(0, 1.0), arm=""),),
        answers=(AnswerRecord(method="first", metric="accuracy", k=1, value=1.0),),
        usage=(),
    )
    found = summarize_answers([plain])
    assert (found.decodings, found.crossings, found.forecast) == ((), (), ())
    assert found.rows[0].decoding == ""
