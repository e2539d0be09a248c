"""Scorers on candidates whose scores can be worked out by hand."""

import asyncio
import math
from collections.abc import Sequence

import pytest

from actors.config import ModelConfig, Sampling
from actors.generator import ModelGenerator, candidate_seed
from actors.role_config import ScorerConfig
from actors.roles import LabelLogprobs
from actors.scorer_table import check_scorer, make_scorer
from actors.types import Candidate, Completion, ConfigError, Item, Message

ITEM = Item(
    id="q1",
    task="t",
    question="What is {answer} plus 3?",
    reference="5",
    messages=(Message(role="user", content="?"),),
)


def candidate(text: str = "5", **fields: object) -> Candidate:
    values = {
        "index": 0, "member": "small", "decoding": "sample", "text": text, "finish_reason": "stop",
        "prompt_tokens": 3, "tokens": 4, "logprob": -2.0, "seed": 1, "seconds": 0.0, **fields,
    }  # fmt: skip
    return Candidate(**values)  # type: ignore[arg-type]


class ScriptedModel:
    """Says what it is told, and keeps what it was asked."""

    name = "small"

    def __init__(self, rows: list[LabelLogprobs] | None = None) -> None:
        self.rows = rows or []
        self.prompts: list[tuple[Message, ...]] = []
        self.seeds: list[int | None] = []

    async def generate(
        self, item: Item, *, seeds: Sequence[int | None], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        self.seeds = list(seeds)
        return [
            Completion(
                text=f"draw {seed}",
                finish_reason="stop",
                prompt_tokens=7,
                token_ids=(1, 2),
                logprobs=(-0.5, -1.5),
                top_mean_logprobs=(-2.0, -4.0) if top_logprobs else (),
            )
            for seed in seeds
        ]

    async def label_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], labels: Sequence[str]
    ) -> list[LabelLogprobs]:
        self.prompts = list(prompts)
        return self.rows


def test_mean_logprob_is_per_token_and_gives_no_verdict_on_unknown_tokens() -> None:
    scorer = make_scorer("m", ScorerConfig(kind="mean_logprob"), {})
    scores = asyncio.run(scorer.score(ITEM, [candidate(), candidate(logprob=None, tokens=None)]))
    assert [s.value for s in scores] == [-0.5, None]


def test_p_true_is_the_share_of_yes_between_yes_and_no() -> None:
    rows = [((math.log(0.3), math.log(0.1)), 20), ((-800.0, -2000.0), 21)]
    model = ScriptedModel(rows)
    scorer = make_scorer("p", ScorerConfig(kind="p_true", model="small"), {"small": model})
    scores = asyncio.run(scorer.score(ITEM, [candidate("5"), candidate("{question} 6")]))
    assert scores[0].value == pytest.approx(0.75)
    assert scores[1].value == 1.0
    assert (scores[0].prompt_tokens, scores[0].tokens) == (20, 1)
    asked = [prompt[0].content for prompt in model.prompts]
    assert "What is {answer} plus 3?" in asked[0], "a brace in the question is not a placeholder"
    assert "Proposed answer:\n{question} 6\n" in asked[1], "nor is one in the answer"


def test_the_generator_gives_every_draw_its_own_seed_and_greedy_none() -> None:
    model = ScriptedModel()
    generator = ModelGenerator(model, seed=7, top_logprobs=20)
    drawn = asyncio.run(generator.generate(ITEM, n=3, sampling=Sampling(), greedy=True))
    assert [c.index for c in drawn] == [-1, 0, 1, 2]
    assert [c.decoding for c in drawn] == ["greedy", "sample", "sample", "sample"]
    assert model.seeds == [None, *(candidate_seed(7, "q1", "small", i) for i in range(3))]
    assert (drawn[1].tokens, drawn[1].logprob) == (2, -2.0)
    assert [c.seed for c in drawn] == model.seeds
    assert drawn[1].certainty == pytest.approx(3.0 - math.log(20))


def test_seeds_depend_on_run_item_member_and_index_and_fit_31_bits() -> None:
    base = (0, "q1", "small", 0)
    others = [(1, *base[1:]), (0, "q2", "small", 0), (0, "q1", "big", 0), (0, "q1", "small", 1)]
    seeds = [candidate_seed(*key) for key in (base, *others)]
    assert len(set(seeds)) == 5
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_text_too_long_to_be_judged_gets_no_verdict_and_costs_the_others_nothing() -> None:
    model = ScriptedModel([((math.log(0.3), math.log(0.1)), 20), (None, 0)])
    scorer = make_scorer("p", ScorerConfig(kind="p_true", model="small"), {"small": model})
    scores = asyncio.run(scorer.score(ITEM, [candidate(), candidate("w " * 9000)]))
    assert scores[0].value == pytest.approx(0.75)
    assert (scores[1].value, scores[1].prompt_tokens) == (None, 0)


def test_recorded_scores_are_looked_up_by_name() -> None:
    scorer = make_scorer("r", ScorerConfig(kind="recorded", field="armo"), {})
    kept = candidate(recorded_scores=(("armo", 0.7),))
    assert [s.value for s in asyncio.run(scorer.score(ITEM, [kept, candidate()]))] == [0.7, None]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kind": "magic"}, "unknown scorer 'magic'; known: mean_logprob"),
        ({"kind": "p_true"}, "needs model"),
        ({"kind": "p_true", "model": "absent"}, "no model 'absent' under models"),
        ({"kind": "recorded"}, "needs field"),
        (
            {"kind": "reward", "model": "small"},
            "wanted a reward model .engine reward or vllm_reward",
        ),
    ],
)
def test_a_scorer_that_cannot_work_is_refused(config: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_scorer("s", ScorerConfig.model_validate(config), {"small": ModelConfig()})
