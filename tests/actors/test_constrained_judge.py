"""Judges whose verdicts are constrained: the likeliest of a closed set; nothing is written."""

import asyncio
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from actors.config import ModelConfig, parse
from actors.role_config import ScorerConfig
from actors.scorer_table import check_scorer, make_scorer
from actors.types import Candidate, ConfigError, Continuation, Item, Message, Score

ITEM = Item(
    id="q",
    task="t",
    question="Which?",
    reference="",
    messages=(Message(role="user", content="Which?"),),
)


class Inclined:
    """Finds verdicts as likely as it is told to; never writes."""

    name = "j"

    def __init__(self, logprobs: dict[str, float], *, room: int = 10**6) -> None:
        self.logprobs = logprobs
        self.room = room
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def continuation_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], continuations: Sequence[str]
    ) -> list[Continuation | None]:
        (prompt,) = {messages[0].content for messages in prompts}
        self.asked.append((prompt, tuple(continuations)))
        return [
            Continuation(logprob=self.logprobs[text], tokens=3, prompt_tokens=100, is_joined=False)
            if len(prompt) + len(text) <= self.room
            else None
            for text in continuations
        ]


def scored(model: Any, texts: Sequence[str], item: Item = ITEM, **config: Any) -> list[Score]:
    judge = {"constrained": True, **config.pop("judge", {})}
    parsed = parse(ScorerConfig, {"model": "j", "judge": judge, **config})
    pool = [
        Candidate(
            index=i, member="m", decoding="sample", text=text, finish_reason="stop",
            prompt_tokens=1, tokens=1, logprob=-1.0, seed=1, seconds=0.0,
        )
        for i, text in enumerate(texts)
    ]  # fmt: skip
    scorer = make_scorer("s", parsed, {"j": model})
    return asyncio.run(scorer.score(item, pool))


def test_of_two_the_likeliest_letter_is_the_verdict_in_each_order() -> None:
    model = Inclined({"[[A]]": -1.0, "[[B]]": -2.0, "[[C]]": -3.0})
    scores = scored(model, ["x", "y"], kind="judge_pairwise", prompt="verdict_pair")
    assert [score.value for score in scores] == [0.5, 0.5], "it goes by the place: a tie"
    assert [score.parts for score in scores] == [(0.0, 1.0, 1.0), (0.0, 0.0, 1.0)]
    assert [options for _, options in model.asked] == [("[[A]]", "[[B]]", "[[C]]")] * 2
    assert "> x\n\nReply B:\n> y" in model.asked[0][0]


def test_the_prompt_is_paid_for_once_and_nothing_was_written() -> None:
    model = Inclined({"[[A]]": -1.0, "[[B]]": -2.0, "[[C]]": -3.0})
    first, _ = scored(model, ["x", "y"], kind="judge_pairwise")
    assert (first.prompt_tokens, first.tokens) == (100 + 3 * 3, 0)


def test_on_a_scale_its_whole_numbers_compete() -> None:
    model = Inclined({f"Score: {mark}": -abs(mark - 4.2) for mark in range(6)})
    (score,) = scored(model, ["x"], kind="judge")
    assert (score.value, score.parts) == (4.0, (4.0,))


def test_of_several_every_letter_that_was_shown_competes() -> None:
    model = Inclined({"[[A]]": -3.0, "[[B]]": -2.0, "[[C]]": -1.0})
    scores = scored(model, ["x", "y", "z"], kind="judge_kway", judge={"orders": 1})
    assert sorted(score.value or 0.0 for score in scores) == [0.0, 0.0, 1.0]


WEIGHED = {"weighted": True}


def test_on_a_scale_weighed_the_mean_by_probability() -> None:
    model = Inclined({f"Score: {mark}": math.log((mark + 1) / 21) for mark in range(6)})
    (score,) = scored(model, ["x"], kind="judge", judge=WEIGHED)
    assert score.value == pytest.approx(sum(m * (m + 1) / 21 for m in range(6)))
    # Only how likely they are beside each other counts.
    rarer = Inclined({text: logprob - 800.0 for text, logprob in model.logprobs.items()})
    (again,) = scored(rarer, ["x"], kind="judge", judge=WEIGHED)
    assert again.value == pytest.approx(score.value)


class Shown(Inclined):
    """Prefers the text `good` to any other with P = 0.9, and the first place beside that."""

    async def continuation_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], continuations: Sequence[str]
    ) -> list[Continuation | None]:
        first = re.findall(r"^> (.*)$", prompts[0][0].content, re.MULTILINE)[1]
        a = 0.9 if first == "good" else 0.6
        self.logprobs = {"[[A]]": math.log(a), "[[B]]": math.log(1 - a), "[[C]]": -100.0}
        return await super().continuation_logprobs(prompts, continuations)


def test_of_two_weighed_the_mean_of_both_orders() -> None:
    texts = ["good", "bad"]
    config: dict[str, Any] = {"kind": "judge_pairwise", "prompt": "verdict_pair"}
    plain = scored(Shown({}), texts, **config)
    assert [score.value for score in plain] == [0.5, 0.5], "both orders prefer the first place"
    better, worse = scored(Shown({}), texts, **config, judge=WEIGHED)
    assert (better.value, worse.value) == pytest.approx(((0.9 + 0.4) / 2, (0.6 + 0.1) / 2))
    assert (better.parts, worse.parts) == (pytest.approx((0, 1, 0.9)), pytest.approx((0, 0, 0.6)))
    three = ["bad", "good", "bad "]
    knocked = scored(Shown({}), three, **config, judge=WEIGHED, tournament="knockout")
    assert [score.value for score in knocked] == [0.0, 1.0, 0.0]


class Preferring(Inclined):
    """Finds a reply better than the reference with the probability that it is."""

    async def continuation_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], continuations: Sequence[str]
    ) -> list[Continuation | None]:
        first, second = re.findall(r"^> (.*)$", prompts[0][0].content, re.MULTILINE)[1:]
        a = 1.0 - float(second) if first == "base" else float(first)
        self.logprobs = {"[[A]]": math.log(a or 1e-99), "[[B]]": math.log(1.0 - a or 1e-99)}
        return await super().continuation_logprobs(prompts, continuations)


def test_the_weighed_win_rate_of_alpaca_eval() -> None:
    # Preferences of 1, 1.25, 2 and 1.5 on its scale, on which 2 is a win.
    item = replace(ITEM, reference="base")
    texts = ["0.0", "0.25", "1.0", "0.5"]
    model = Preferring({})
    scores = scored(
        model, texts, item=item, kind="judge_versus", prompt="alpaca_eval", judge=WEIGHED
    )
    values = [score.value for score in scores]
    assert values == pytest.approx([0.0, 0.25, 1.0, 0.5])
    assert sum(value or 0.0 for value in values) / 4 == pytest.approx(0.4375)
    assert scores[1].parts == pytest.approx((0.25, 1.0, 0.75, 1.0))


def test_what_does_not_fit_with_every_verdict_has_none() -> None:
    prompt = "Mark it.\n{answer}"
    judge = {"low": 9.0, "high": 10.0, "verdict": "Mark {verdict}"}
    likely = {"Mark 9": -2.0, "Mark 10": -1.0}
    for longest, value in (("Mark 10", 10.0), ("Mark 9", None)):
        model = Inclined(likely, room=len("Mark it.\n> x") + len(longest))
        (score,) = scored(model, ["x"], kind="judge", prompt=prompt, judge=judge)
        assert score.value == value


def test_what_cannot_be_weighed_is_refused() -> None:
    with pytest.raises(ConfigError, match="a written verdict has no weight"):
        parse(ScorerConfig, {"kind": "judge", "model": "j", "judge": {"weighted": True}})
    judge = {"weighted": True, "constrained": True}
    parsed = parse(ScorerConfig, {"kind": "judge_kway", "model": "j", "judge": judge})
    with pytest.raises(ConfigError, match="'judge_kway' counts choices"):
        check_scorer("s", parsed, {"j": ModelConfig(engine="fake")})
    graded = {"kind": "judge_versus", "model": "j", "judge": judge, "prompt": "arena_hard"}
    with pytest.raises(ConfigError, match="labels have weights of their own"):
        check_scorer("s", parse(ScorerConfig, graded), {"j": ModelConfig(engine="fake")})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"repeats": 2}, "judge.repeats: a constrained verdict is always the same"),
        ({"low": 0.2, "high": 1.7}, "wanted two whole numbers on the scale, got 0.2 to 1.7"),
    ],
)
def test_what_cannot_be_constrained_is_refused(config: dict[str, Any], message: str) -> None:
    judge = {"constrained": True, **config}
    parsed = parse(
        ScorerConfig, {"kind": "judge", "model": "j", "prompt": "Rate\n{answer}", "judge": judge}
    )
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_scorer("s", parsed, {"j": ModelConfig(engine="fake")})
