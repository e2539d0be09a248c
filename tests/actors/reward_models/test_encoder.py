"""Tournaments by an encoder: over scripted logits they come out as worked out by hand."""

import asyncio

import pytest

from actors import engines
from actors.config import ModelConfig
from actors.role_config import ScorerConfig
from actors.scorer_table import check_scorer, make_scorer, scale_of
from actors.types import Candidate, ConfigError, Item
from tests.actors.reward_models.tiny_pairrm import QUESTION, REPLIES

ITEM = Item(id="q", task="t", question="What?", reference="", messages=QUESTION)
HOSTS = {"m": ModelConfig(engine="pairrm", path="some/model")}


def candidates(*texts):
    return [
        Candidate(
            index=i, member="m", decoding="sample", text=text, finish_reason="stop",
            prompt_tokens=1, tokens=1, logprob=-1.0, seed=i, seconds=0.0,
        )
        for i, text in enumerate(texts)
    ]  # fmt: skip


class Scripted:
    """Prefers the stronger of two texts, seen through a liking for the first place."""

    def __init__(self, logit):
        self.logit, self.calls = logit, []

    async def preferences(self, messages, texts, pairs):
        self.calls.append(list(pairs))
        return [(self.logit(texts[i], texts[j]), 10) for i, j in pairs]


def scored(model, texts, **more):
    config = ScorerConfig(kind="pairwise", model="m", **more)
    scorer = make_scorer("s", config, {"m": model}, hosts=HOSTS)
    return asyncio.run(scorer.score(ITEM, candidates(*texts)))


def values(model, texts, **more):
    return [score.value for score in scored(model, texts, **more)]


STRENGTHS = {"a": 0.5, "b": 2.0, "c": -1.0, "d": 2.5, "e": 0.0}


@pytest.mark.parametrize("bias", [0.0, 1.7])
def test_a_tournament_over_five_comes_out_as_worked_out(bias):
    model = Scripted(lambda a, b: STRENGTHS[a] - STRENGTHS[b] + bias)
    found = scored(model, STRENGTHS)
    # Strengths add up to 4: the mean over five of 2 (s_i - s_j), whatever the bias.
    assert [s.value for s in found] == pytest.approx([2 * (s - 0.8) for s in STRENGTHS.values()])
    assert [s.parts[0] - s.parts[1] for s in found] == pytest.approx([2 * bias * 4 / 5] * 5)
    assert [s.prompt_tokens for s in found] == [40] * 5
    assert len(model.calls) == 1
    assert len(set(model.calls[0])) == 20
    wins = values(model, STRENGTHS, matrix="max_wins")
    if not bias:
        assert wins == [4.0, 6.0, 0.0, 8.0, 2.0]
    assert sum(wins) == 20.0
    knockout = Scripted(model.logit)
    assert values(knockout, STRENGTHS, tournament="knockout") == [0.0, 0.0, 0.0, 1.0, 0.0]
    assert [len(pairs) for pairs in knockout.calls] == [2] * 4


def test_three_in_a_circle_and_ties():
    matrix = {"ab": 2.0, "ac": -1.0, "ba": -2.0, "bc": 0.5, "ca": 1.0, "cb": -0.5}
    circle = Scripted(lambda one, other: matrix[one + other])
    assert values(circle, "abc") == pytest.approx([2 / 3, -1.0, 1 / 3])
    assert values(circle, "abc", matrix="max_wins") == [2.0, 2.0, 2.0]
    tied = Scripted(lambda one, other: 0.9)
    assert values(tied, "xyz") == pytest.approx([0.0] * 3)
    # The champion so far stays: of equals the earliest.
    assert values(tied, "xyz", tournament="knockout") == [1.0, 0.0, 0.0]
    assert values(tied, "xx") == [0.0, 0.0]


def test_swapping_two_replies_turns_the_score(comparing):
    class Hosted:
        async def preferences(self, messages, texts, pairs):
            ids = comparing.prompts.comparisons(messages, texts, pairs)
            return [(logit, 1) for logit in await comparing.preferences(ids)]

    one, other = values(Hosted(), REPLIES[:2])
    assert one == pytest.approx(-other, abs=1e-6)
    assert values(Hosted(), REPLIES[1::-1]) == pytest.approx([other, one], abs=1e-5)
    assert abs(one) > 0.01


def test_the_models_engine_says_how_pairs_are_compared(paired):
    assert engines.suited(str(paired[0]), "vllm") == "pairrm"
    assert engines.suited("bundled:smollm2-135m-instruct", "vllm") == "vllm"
    assert engines.suited("./nowhere", "reward") == "reward"
    models = {**HOSTS, "t": ModelConfig(engine="fake"), "r": ModelConfig(engine="reward")}
    encoder, labels = (ScorerConfig(kind="pairwise", model=name) for name in "mt")
    check_scorer("s", encoder, models)
    check_scorer("s", labels, models)
    assert (scale_of(encoder, models), scale_of(labels, models)) == ("softmax", "probability")
    for more, message in (
        ({"model": "m", "prompt": "{context} {a} {b}"}, "prompt: an encoder reads one format"),
        ({"model": "t", "matrix": "max_wins"}, "matrix: it is for an encoder"),
        ({"model": "r"}, "wanted a model that generates or an encoder of pairs"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_scorer("s", ScorerConfig(kind="pairwise", **more), models)
    with pytest.raises(ConfigError, match=r"wanted a reward model .*has engine 'pairrm'"):
        check_scorer("s", ScorerConfig(kind="reward", model="m"), models)
