"""The trust check of models that are asked for labels: a sound one passes, each fault fails the
check made for it.
"""

import asyncio
import math

import pytest

from actors.config import ModelConfig
from actors.reward_models.trust import PAIR
from actors.reward_models.trust_labels import EXAMINERS, SUM
from actors.role_config import ScorerConfig
from actors.scorer_table import trusted
from actors.types import ConfigError
from pipelines.reward_check import check_model
from tests.conftest import VLLM

SMALL = "bundled:smollm2-135m-instruct"
HOSTED = ModelConfig(path="m", engine="hf")
PAIRS = ScorerConfig(kind="pairwise", model="m")
STEPS = ScorerConfig(kind="process", model="m")


def shown_first(prompt):
    return prompt[-1].content.partition("[RESPONSE A]\n")[2].partition("\n\n[RESPONSE B]")[0]


def likes(prompt):
    """Of the first label: the good reply first, and right steps; all else by its length."""
    text = prompt[-1].content
    if text.endswith(SUM[1]) or shown_first(prompt) == PAIR[1]:
        return 0.8
    if text.endswith(SUM[2]) or shown_first(prompt) == PAIR[2]:
        return 0.3
    return 0.4 + len(text) % 7 / 100


class Model:
    """Gives both labels together the probability `mass`, and the first what `first` says of a call
    and a place in it.
    """

    name = "m"

    def __init__(self, first=lambda prompts, i: likes(prompts[i]), mass=0.9, refusal=None):
        self.first, self.mass, self.refusal = first, mass, refusal
        self.num_calls = 0

    async def label_logprobs(self, prompts, labels):
        self.num_calls += 1
        if self.refusal:
            raise ConfigError(self.refusal)
        rows = []
        for i in range(len(prompts)):
            p = self.first(prompts, i)
            rows.append(((math.log(self.mass * p), math.log(self.mass * (1 - p))), 10))
        return rows


def failing(model, scorer, config=HOSTED):
    checks = asyncio.run(EXAMINERS[scorer.kind](scorer, model, config))
    return [c.name for c in checks if not c.passed]


@pytest.mark.parametrize("scorer", [PAIRS, STEPS], ids=lambda s: s.kind)
def test_a_sound_model_passes(scorer):
    assert failing(Model(), scorer) == []


def padded(prompts, i):
    longest = max(len(p[-1].content) for p in prompts)
    return likes(prompts[i]) - (0.05 if len(prompts[i][-1].content) < longest else 0.0)


@pytest.mark.parametrize("scorer", [PAIRS, STEPS], ids=lambda s: s.kind)
@pytest.mark.parametrize(
    ("model", "checks"),
    [
        (Model(refusal="label 'A' must be one token"), ["labels"]),
        (Model(mass=0.009), ["labels expected"]),
        (Model(lambda prompts, i: likes(prompts[i]) - 0.02 * i), ["order in a batch"]),
        (Model(padded), ["padding"]),
        (Model(lambda prompts, i: 1 - likes(prompts[i])), ["known pair"]),
    ],
    ids=["spelling", "mass", "order", "padding", "turned"],
)
def test_each_fault_fails_the_check_made_for_it(scorer, model, checks):
    assert set(checks) <= set(failing(model, scorer))


def test_labels_that_are_wrong_end_the_check():
    model = Model(mass=0.001)
    assert failing(model, PAIRS) == ["labels expected"]
    assert model.num_calls == 1


def test_a_prompt_that_does_not_show_the_replies_is_found():
    blind = Model(lambda prompts, i: 0.6)
    assert failing(blind, PAIRS) == ["both orders", "known pair"]
    liking = Model(lambda prompts, i: 0.95 if shown_first(prompts[i]) == PAIR[1] else 0.94)
    assert failing(liking, PAIRS) == []


def test_a_known_pair_of_your_own_counts():
    def first(prompts, i):
        text = prompts[i][-1].content
        return 0.9 if text.endswith("yes") else 0.1 if text.endswith("no") else 0.5

    assert failing(Model(first), STEPS) == ["known pair"]
    config = HOSTED.model_copy(update={"known_pair": ("Is it?", "yes", "no")})
    assert failing(Model(first), STEPS, config) == []


def test_what_cannot_be_read_is_refused():
    class Short(Model):
        async def label_logprobs(self, prompts, labels):
            rows = await super().label_logprobs(prompts, labels)
            long = [len(prompt[-1].content) > 400 for prompt in prompts]
            return [(None, 0) if is_long else row for row, is_long in zip(rows, long, strict=True)]

    with pytest.raises(ConfigError, match="context that is too short"):
        asyncio.run(EXAMINERS["process"](STEPS, Short(), HOSTED))


def test_only_what_is_asked_for_labels_and_has_weights_is_tried():
    wrong = {"m": Model(mass=0.001)}

    def tried(scorer, engine):
        asyncio.run(trusted("roles.scorers.s", scorer, wrong, {"m": ModelConfig(engine=engine)}))

    tried(ScorerConfig(kind="p_true", model="m"), "hf")
    tried(PAIRS, "fake")
    tried(PAIRS, "pairrm")
    assert wrong["m"].num_calls == 0
    with pytest.raises(ConfigError, match=r"roles.scorers.s: .*labels expected.*nothing was sc"):
        tried(PAIRS, "hf")


def test_smollm2_compares_replies_and_is_no_process_model():
    lines = list(check_model(SMALL, "hf", (), by="pairwise"))
    assert len(lines) == 8
    assert all(line.ok for line in lines), lines
    *sound, last = check_model(SMALL, "hf", ["scorer.labels=[Good,Bad]"], by="process")
    assert [line.name for line in sound] == ["labels"]
    assert (last.name, last.ok) == ("labels expected", False)
    (only,) = check_model(SMALL, "hf", ["scorer.labels=[Excellently,Bad]"], by="pairwise")
    assert not only.ok
    assert "must be one token after the prompt" in only.text


def test_vllm_is_checked_likewise(vllm):
    checks = vllm.wait(EXAMINERS["pairwise"](PAIRS, vllm.fleet.models["small"], VLLM))
    assert [c.name for c in checks if not c.passed] == []


@pytest.mark.parametrize(
    ("engine", "overrides", "by", "problem"),
    [
        ("hf", (), "judge", "--by: wanted pairwise or process, got 'judge'"),
        ("hf", ("scorer.labels=[A,B]",), None, "for --by pairwise"),
        ("hf", ("scorer.label=[A,B]",), "pairwise", "did you mean 'labels'"),
        ("reward", (), "process", "wanted a model that generates"),
        ("pairrm", (), "pairwise", "reads no labels; leave --by out"),
    ],
)
def test_what_check_reward_refuses(engine, overrides, by, problem):
    with pytest.raises(ConfigError, match=problem):
        list(check_model(SMALL, engine, overrides, by=by))
