"""Judges with a known bias, from their replies to the figures of the summary."""

import asyncio
import math
import random
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.stats

from actors.judge_table import about
from actors.role_config import JudgeSettings, ScorerConfig
from actors.scorer_table import make_scorer
from actors.types import Candidate, Completion, Continuation, Item, Message
from results.judges import JudgeRow, judges_of, somers_d
from results.schema import CandidateRecord, Record, ScoreRecord
from results.summarize import summarize_answers
from results.summary import Summary

Reply = Callable[[list[str]], str]
"""Of the texts that a prompt shows, in order."""
LETTERS = "ABCDEFG"


class Weigher:
    """Writes nothing, and finds the first reply better with the probability that it is told."""

    def __init__(self, first: Callable[[list[str]], float], name: str = "j") -> None:
        self.first = first
        self.name = name

    async def continuation_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], continuations: Sequence[str]
    ) -> list[Continuation]:
        p = self.first(re.findall(r"^Reply \w:\n> (.*)$", prompts[0][0].content, re.MULTILINE))
        likely = {"[[A]]": p, "[[B]]": 1.0 - p}
        return [
            Continuation(logprob=math.log(likely[text]), tokens=1, prompt_tokens=1, is_joined=False)
            for text in continuations
        ]


class Writer:
    """Replies as a function of what it is shown says."""

    def __init__(self, reply: Reply, name: str = "j") -> None:
        self.reply = reply
        self.name = name

    async def generate(
        self, item: Item, *, seeds: Sequence[int | None], sampling: Any, top_logprobs: int = 0
    ) -> list[Completion]:
        prompt = item.messages[0].content
        texts = re.findall(r"^(?:The reply|Reply \w):\n> (.*)$", prompt, re.MULTILINE)
        reply = Completion(
            text=self.reply(texts), finish_reason="stop", prompt_tokens=10, token_ids=(1, 2)
        )
        return [reply for _ in seeds]


def candidate(index: int, text: str, member: str) -> Candidate:
    return Candidate(
        index=index, member=member, decoding="sample", text=text, finish_reason="stop",
        prompt_tokens=1, tokens=1, logprob=-1.0, seed=index, seconds=0.0,
    )  # fmt: skip


def kept(drawn: Candidate, score: ScoreRecord, *, graded: bool) -> CandidateRecord:
    right = "right" in drawn.text
    outcome = "correct" if right else "wrong"
    return CandidateRecord(
        index=drawn.index, member=drawn.member, decoding="sample", text=drawn.text, answer=None,
        outcome=outcome, finish_reason="stop", prompt_tokens=1, tokens=1, logprob=-1.0, seed=1,
        correct=right if graded else None, grade=(), seconds=0.0, scores=(score,),
    )  # fmt: skip


def summary(
    kind: str,
    models: Writer | Weigher | Sequence[Writer | Weigher],
    pools: Sequence[Sequence[tuple[str, str]]],
    *,
    graded: bool = True,
    **more: Any,
) -> Summary:
    """Of a run whose items have these pools of (text, member)."""
    jury = [models] if isinstance(models, Writer | Weigher) else list(models)
    judge = JudgeSettings(**more.pop("judge", {}))
    config = ScorerConfig(kind=kind, models=tuple(m.name for m in jury), judge=judge, **more)
    scorer = make_scorer("s", config, {model.name: model for model in jury})
    records = []
    for number, pool in enumerate(pools):
        message = Message(role="user", content="?")
        item = Item(id=f"q{number}", task="t", question="?", reference="", messages=(message,))
        drawn = [candidate(i, text, member) for i, (text, member) in enumerate(pool)]
        scores = asyncio.run(scorer.score(item, drawn))
        rows = [ScoreRecord(scorer="s", value=one.value, parts=one.parts) for one in scores]
        records.append(
            Record(
                item_id=item.id, task="t", messages=(), choices=(), reference="", group=item.id,
                category="", outcome="ok", error=None, usage=(), answers=(),
                candidates=tuple(map(partial(kept, graded=graded), drawn, rows)),
            )
        )  # fmt: skip
    return summarize_answers(records, judges=judges_of({"judges": {"s": about(config)}}))


def figures(*how: Any, **more: Any) -> dict[str, JudgeRow]:
    rows = {row.figure: row for row in summary(*how, **more).judges}
    for row in rows.values():
        assert row.low <= row.value <= row.high
        assert row.low < row.high
    return rows


def worth(text: str) -> float:
    return float(text.split()[0])


def best(texts: list[str]) -> str:
    values = [worth(text) for text in texts]
    return f"[[{LETTERS[values.index(max(values))]}]]"


def pools(num: int = 12, size: int = 4, seed: int = 0) -> list[list[tuple[str, str]]]:
    """Texts that begin with different numbers and have lengths that tell nothing of these."""
    rng = random.Random(seed)
    found = []
    for _ in range(num):
        lengths = rng.sample(range(20), size)
        found.append([(f"{i} {'x' * length}", "m") for i, length in enumerate(lengths)])
    return found


def test_a_fair_judge_of_pairs_has_no_bias_of_place() -> None:
    rows = figures("judge_pairwise", Writer(best), pools())
    assert (rows["position"].value, rows["position"].unbiased) == (0.0, 0.0)
    assert (rows["first_place"].value, rows["first_place"].unbiased) == (0.5, 0.5)
    assert abs(rows["length"].value) < 0.3
    assert rows["coverage"].value == 1.0
    assert not {"agreement", "self:j", "mean"} & rows.keys(), "a mean of pairs says nothing"


def test_a_judge_that_follows_the_place_is_told() -> None:
    rows = figures("judge_pairwise", Writer(lambda texts: "[[B]]"), pools())
    assert rows["position"].value == 1.0
    found = summary("judge_pairwise", Writer(lambda texts: "[[B]]"), pools())
    assert any("same place in both orders in 100.0%" in line for line in found.warnings)
    assert rows["first_place"].value == 0.0

    def lazy(texts: list[str]) -> str:
        """The first, unless the second is better by 3: one pair of the six of 0, 1, 2, 3."""
        return "[[B]]" if worth(texts[1]) - worth(texts[0]) >= 3 else "[[A]]"

    rows = figures("judge_pairwise", Writer(lazy), pools())
    assert rows["position"].value == pytest.approx(5 / 6)
    assert rows["first_place"].value == pytest.approx(11 / 12)


def test_ties_follow_no_place() -> None:
    rows = figures("judge_pairwise", Writer(lambda texts: "[[C]]"), pools())
    assert rows["position"].value == 0.0
    assert "first_place" not in rows


WEIGHED: dict[str, Any] = {
    "prompt": "alpaca_eval",
    "judge": {"constrained": True, "weighted": True},
}


def test_weighed_verdicts_see_through_a_liking_for_a_place() -> None:
    def lean(texts: list[str]) -> float:
        return 1 / (1 + math.exp(-(0.1 * (worth(texts[0]) - worth(texts[1])) + 2)))

    duels = [[("1 x", "weak"), ("9 y", "strong")]] * 8
    found = summary("judge_pairwise", Weigher(lean), duels, **WEIGHED)
    rows = {row.figure: row.value for row in found.judges}
    assert (rows["first_place"], rows["position"]) == (1.0, 1.0)
    rates = {row.player: row.win_rate for row in found.rankings}
    first, second = (1 / (1 + math.exp(-lead)) for lead in (2.8, 1.2))
    assert rates["strong"] == pytest.approx((first + 1 - second) / 2)
    plain = {**WEIGHED, "judge": {"constrained": True}}
    blind = summary("judge_pairwise", Weigher(lean), duels, **plain)
    assert [row.win_rate for row in blind.rankings] == pytest.approx([0.5, 0.5])
    assert [len(each.warnings) for each in (found, blind)] == [0, 1]


def test_what_weighed_jurors_agree_on_is_how_much() -> None:
    def lean(by: float) -> Callable[[list[str]], float]:
        return lambda texts: 0.5 + by * (worth(texts[0]) - worth(texts[1])) / 40

    jury = [Weigher(lean(1.0), "a"), Weigher(lean(0.9), "b")]
    rows = figures("judge_pairwise", jury, pools(), **WEIGHED)
    assert rows["agreement"].value == pytest.approx(0.99, abs=0.01)
    assert "kappa" not in rows
    against = [Weigher(lean(1.0), "a"), Weigher(lean(-1.0), "b")]
    assert figures("judge_pairwise", against, pools(), **WEIGHED)["agreement"].value < -0.9


def test_a_knockout_counts_its_own_bouts() -> None:
    always = Writer(lambda texts: "[[A]]")
    rows = figures("judge_pairwise", always, pools(), tournament="knockout")
    assert (rows["position"].value, rows["first_place"].value) == (1.0, 1.0)


def test_one_of_several_by_its_letter_is_told() -> None:
    judge = {"orders": 6}
    fair = figures("judge_kway", Writer(best), pools(), judge=judge)
    assert fair["position"].value == 0.0
    assert fair["first_place"].value == pytest.approx(0.25, abs=0.15)
    letter = figures("judge_kway", Writer(lambda texts: "[[A]]"), pools(), judge=judge)
    assert letter["position"].value > 0.6
    assert (letter["first_place"].value, letter["first_place"].unbiased) == (1.0, 0.25)


@pytest.mark.parametrize("kind", ["judge", "judge_pairwise"])
def test_a_liking_for_length_is_told_and_among_the_wrong_alone(kind: str) -> None:
    def longer(texts: list[str]) -> str:
        if len(texts) == 1:
            return f"Score: {len(texts[0]) / 10:.1f}"
        return "[[A]]" if len(texts[0]) > len(texts[1]) else "[[B]]"

    right = [[("9 right " + "x" * 30, "m"), *pool] for pool in pools()]
    rows = figures(kind, Writer(longer), right)
    assert (rows["length"].value, rows["length"].unbiased) == (1.0, 0.0)
    assert rows["length_among_wrong"].value == 1.0
    ungraded = figures(kind, Writer(longer), right, graded=False)
    assert "length_among_wrong" not in ungraded


def test_a_taste_for_what_is_right_is_no_taste_for_length_among_the_wrong() -> None:
    def fair(texts: list[str]) -> str:
        return "Score: 5" if "right" in texts[0] else "Score: 1"

    right = [[("9 right " + "x" * 30, "m"), *pool] for pool in pools()]
    rows = figures("judge", Writer(fair), right)
    assert rows["length"].value > 0.3
    assert rows["length_among_wrong"].value == 0.0


def test_the_correlation_is_somers_d_with_ties_and_without_what_is_missing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 5, 9).astype(float), rng.integers(0, 3, 9).astype(float)
        wanted = scipy.stats.somersd(x, y).statistic
        assert somers_d(x, y) == pytest.approx(wanted)
        assert somers_d(np.append(x, 9.0), np.append(y, math.nan)) == pytest.approx(wanted)
    assert math.isnan(somers_d(np.ones(3), np.arange(3.0)))
    assert somers_d(np.arange(3.0), np.ones(3)) == 0.0


def two_members(own: str, others: str) -> list[list[tuple[str, str]]]:
    """Of two members, each with two candidates; the words say what these are like."""
    return [
        [
            (f"{number} mine {own}", "j"),
            (f"{number} mine too wrong", "j"),
            (f"{number} theirs {others}", "k"),
            (f"{number} theirs too wrong", "k"),
        ]
        for number in range(10)
    ]


def test_a_liking_for_its_own_is_told_apart_from_what_is_right() -> None:
    def fair(texts: list[str]) -> str:
        return f"Score: {1 + 2 * ('right' in texts[0])}"

    def vain(texts: list[str]) -> str:
        return f"Score: {1 + 2 * ('right' in texts[0]) + ('mine' in texts[0])}"

    better = two_members("right", "wrong")
    rows = figures("judge", Writer(fair), better)
    assert rows["self:j"].value == pytest.approx(1.0)
    assert rows["self_if_equal:j"].value == 0.0
    rows = figures("judge", Writer(vain), better)
    assert rows["self:j"].value == pytest.approx(2.0)
    assert rows["self_if_equal:j"].value == pytest.approx(1.0)
    assert "self_if_equal:j" not in figures("judge", Writer(vain), better, graded=False)
    alone = [pool[:2] for pool in better]
    assert "self:j" not in figures("judge", Writer(vain), alone), "there are no others"


def test_each_juror_is_measured_on_its_own_and_their_agreement_is_told() -> None:
    def fair(texts: list[str]) -> str:
        return f"Score: {worth(texts[0]) % 5:g}"

    def vain(texts: list[str]) -> str:
        return f"Score: {worth(texts[0]) % 5 + ('mine' in texts[0]):g}"

    same = two_members("wrong", "wrong")
    rows = figures("judge", [Writer(vain, "j"), Writer(fair, "k"), Writer(fair, "l")], same)
    assert rows["self:j"].value == pytest.approx(1.0)
    assert rows["self:k"].value == 0.0
    assert "self:l" not in rows, "it drew nothing"
    assert 0.8 < rows["agreement"].value < 1.0
    assert rows["agreement"].items == 10
    opposite = [Writer(fair, "k"), Writer(lambda texts: f"Score: {5 - worth(texts[0]) % 5:g}", "l")]
    assert figures("judge", opposite, same)["agreement"].value < 0.0


def test_jurors_of_pairs_agree_on_outcomes() -> None:
    worst = Writer(lambda texts: "[[B]]" if best(texts) == "[[A]]" else "[[A]]", "l")
    same = figures("judge_pairwise", [Writer(best, "j"), Writer(best, "k")], pools())
    assert same["agreement"].value == 1.0
    rows = figures("judge_pairwise", [Writer(best, "j"), worst], pools())
    assert rows["agreement"].value < 0.0
    rows = figures("judge_kway", [Writer(best, "j"), Writer(best, "k")], pools())
    assert rows["agreement"].value == 1.0
    reversed_pools = [pool[::-1] for pool in pools()]
    half = [
        Writer(best, "j"),
        Writer(lambda texts: best(texts) if "0" in texts[0] else "[[C]]", "k"),
    ]
    either = [
        figures("judge_pairwise", half, pool)["agreement"] for pool in (pools(), reversed_pools)
    ]
    assert either[0].value == pytest.approx(either[1].value), "the order of candidates is no matter"


def test_missing_verdicts_bound_the_mean_and_warn_below_the_floor() -> None:
    def partly(texts: list[str]) -> str:
        return "?" if worth(texts[0]) == 0 else "Score: 4"

    found = summary("judge", Writer(partly), pools())
    rows = {row.figure: row for row in found.judges}
    assert rows["coverage"].value == 0.75
    assert rows["mean"].value == 4.0
    assert rows["mean_if_lowest"].value == pytest.approx(3.0)
    assert rows["mean_if_highest"].value == pytest.approx(4.25)
    assert found.coverage == {"s": 0.75}
    assert [w for w in found.warnings if "judge" in w] == [
        "judge s gave 75.0% of the verdicts that it was asked for, less than its "
        "judge.min_coverage of 90.0%"
    ]
    content = summary("judge", Writer(partly), pools(), judge={"min_coverage": 0.7})
    assert not [warning for warning in content.warnings if "verdict" in warning]


def test_coverage_counts_verdicts_and_not_only_scores() -> None:
    def half(texts: list[str]) -> str:
        return "?" if worth(texts[0]) == 0 else best(texts)

    found = summary("judge_pairwise", Writer(half), pools())
    assert found.coverage == {"s": 0.75}
    (coverage,) = [row.value for row in found.judges if row.figure == "coverage"]
    assert coverage == pytest.approx(9 / 12)


def test_equal_texts_count_once_as_verdicts_and_each_as_candidates() -> None:
    twice = [[*pool, *pool] for pool in pools()]
    for kind in ("judge_pairwise", "judge_kway"):
        rows, once = figures(kind, Writer(best), twice), figures(kind, Writer(best), pools())
        assert rows["position"] == once["position"]
        assert rows["first_place"] == once["first_place"]
        assert rows["coverage"] == once["coverage"]


def test_a_run_without_judges_has_no_figures_of_them() -> None:
    assert judges_of({"seed": 0}) == {}
    assert summarize_answers([]).judges == ()
