"""Preference models and process reward models: both ask a hosted model for labels."""

import asyncio
import math
from dataclasses import replace

import pytest

from actors.reward_models.process import AGGREGATES, prefixes, split
from actors.role_config import ProcessPrompts, ScorerConfig
from actors.scorer_table import make_scorer
from actors.types import Candidate, Item, Message

ITEM = Item(
    id="q",
    task="t",
    question="What is {a}?",
    reference="",
    messages=(Message(role="user", content="What is {a}?"),),
)


def candidates(*texts):
    return [
        Candidate(
            index=i, member="m", decoding="sample", text=text, finish_reason="stop",
            prompt_tokens=1, tokens=1, logprob=-1.0, seed=i, seconds=0.0,
        )
        for i, text in enumerate(texts)
    ]  # fmt: skip


class Model:
    """Gives the first label the probability that `first` says for a prompt."""

    name = "m"

    def __init__(self, first):
        self.first, self.calls = first, []

    async def label_logprobs(self, prompts, labels):
        self.calls.append((list(prompts), tuple(labels)))
        rows = []
        for prompt in prompts:
            p = self.first(prompt)
            rows.append((None, 0) if p is None else ((math.log(p), math.log(1 - p)), 10))
        return rows


def scored(kind, model, texts, **more):
    scorer = make_scorer("s", ScorerConfig(kind=kind, model="m", **more), {"m": model})
    return asyncio.run(scorer.score(ITEM, candidates(*texts)))


def responses(prompt):
    _, _, rest = prompt[0].content.partition("[RESPONSE A]\n")
    first, _, rest = rest.partition("\n\n[RESPONSE B]\n")
    return first, rest.partition("\n\n")[0]


def by_strength(bias):
    """A is the stronger text, seen through a liking for the first place. A text is its strength."""

    def first(prompt):
        a, b = map(float, responses(prompt))
        return 1 / (1 + math.exp(-(a - b + bias)))

    return first


def test_a_liking_for_the_first_place_cancels():
    for bias in (0.0, 2.0):
        one, other = scored("pairwise", Model(by_strength(bias)), ["1.0", "0.5"])
        assert one.value + other.value == pytest.approx(1.0, abs=1e-12)
        assert one.value > 0.5
    lopsided = Model(lambda prompt: 0.9)
    values = [score.value for score in scored("pairwise", lopsided, ["x", "y", "z"])]
    assert values == pytest.approx([0.5] * 3, abs=1e-12)


def test_equal_texts_are_one_contestant_and_one_alone_is_at_a_half():
    model = Model(by_strength(0.0))
    first, twice, other = scored("pairwise", model, ["2", "2", "1"])
    assert first == twice
    assert len(model.calls[0][0]) == 2
    assert [s.value for s in scored("pairwise", model, ["2", "2"])] == [0.5, 0.5]
    assert other.value < 0.5


def test_all_pairs_are_asked_in_both_orders_in_one_call():
    model = Model(by_strength(1.0))
    found = scored("pairwise", model, ["3", "1", "2"])
    ((prompts, labels),) = model.calls
    assert labels == ("A", "B")
    assert len({responses(prompt) for prompt in prompts}) == 6
    strongest, weakest, middle = (score.value for score in found)
    assert strongest > middle > weakest
    # Parts: as the first, then as the second of each pair.
    assert all(s.parts[0] > s.parts[1] for s in found)


@pytest.mark.parametrize(
    "order", [("3", "1", "2", "0"), ("0", "2", "3", "1"), ("1", "2", "0", "3")]
)
def test_a_knockout_of_a_transitive_judge_finds_the_best(order):
    model = Model(by_strength(0.7))
    found = scored("pairwise", model, order, tournament="knockout")
    best = max(range(4), key=lambda i: found[i].value)
    assert order[best] == "3"
    assert sum(len(prompts) for prompts, _ in model.calls) == 2 * 3


def test_a_comparison_that_does_not_fit_leaves_no_verdict():
    too_long = Model(lambda p: None if "long" in p[0].content else 0.7)
    found = scored("pairwise", too_long, ["a", "b", "long"])
    assert [s.value for s in found] == [None] * 3


def test_steps_are_split_and_none_is_lost():
    assert split("a\n\nb\n\n\n\nc", "\n\n") == ["a", "b", "c"]
    assert len(split("one ки\ntwo ки\nthree ки\n", "ки\n")) == 3
    assert split("a\n\nb", None) == ["a\n\nb"]
    assert split("  \n\n ", "\n\n") == []


def test_steps_become_one_score_by_the_named_rule():
    steps = (0.9, 0.5, 0.8)
    wanted = {"min": 0.5, "product": 0.36, "last": 0.8, "mean": 0.733333}
    for name, value in wanted.items():
        assert AGGREGATES[name](steps) == pytest.approx(value, abs=1e-6)


def test_turns_show_every_earlier_step_as_a_good_one():
    found = prefixes("Q?", ["one", "two", "three"], ProcessPrompts())
    assert [[m.content for m in prompt] for prompt in found] == [
        ["Q? one"],
        ["Q? one", "+", "two"],
        ["Q? one", "+", "two", "+", "three"],
    ]
    assert {m.role for m in found[2][::2]} == {"user"}
    assert {m.role for m in found[2][1::2]} == {"assistant"}


def test_tags_stand_after_every_step():
    (_, _, last) = prefixes("Q?", ["one", "two", "three"], ProcessPrompts(form="tags"))
    assert [m.content for m in last] == ["Q? one ки\ntwo ки\nthree ки"]


def test_a_process_score_is_that_of_its_steps():
    ending = {"one": 0.9, "two": 0.5, "three": 0.8}
    model = Model(lambda prompt: ending[prompt[-1].content.split()[-1]])
    texts = ["one\n\ntwo\n\nthree", "", "three"]
    full, empty, single = scored(
        "process", model, texts, process=ProcessPrompts(aggregate="product")
    )
    assert full.value == pytest.approx(0.36)
    assert full.parts == pytest.approx((0.9, 0.5, 0.8))
    assert empty.value is None
    assert single.value == pytest.approx(0.8)
    assert len(model.calls) == 1
    cut = Model(lambda prompt: None if "three" in prompt[-1].content else 0.9)
    assert scored("process", cut, ["one\n\nthree"])[0].value is None


@pytest.mark.parametrize("kind", ["p_true", "process"])
def test_a_conversation_is_quoted_whole(kind):
    model = Model(lambda prompt: 0.5)
    turns = [Message(role=role, content=f"{role} says") for role in ("system", "user")]
    item = replace(ITEM, question="", messages=tuple(turns))
    scorer = make_scorer("s", ScorerConfig(kind=kind, model="m"), {"m": model})
    asyncio.run(scorer.score(item, candidates("so")))
    ((prompts, _),) = model.calls
    assert "system: system says\n\nuser: user says" in prompts[0][0].content
