"""Who is drawn, with which seeds, and what a blend of one or of identical members comes to."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from actors.blend import Blend
from actors.config import Sampling, parse
from actors.generator import ModelGenerator, candidate_seed
from actors.role_config import RolesConfig
from actors.types import Candidate, Completion, ConfigError, Item, Message

ITEM = Item(
    id="q1",
    task="t",
    question="?",
    reference="",
    messages=(Message(role="user", content="?"),),
)


class Echo:
    """A model that says its name and seed; keeps how many completions each call asked for."""

    def __init__(self, name: str, context: int = 100) -> None:
        self.name = name
        self.context = context
        self.calls: list[int] = []

    async def generate(
        self, item: Item, *, seeds: Sequence[int | None], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        self.calls.append(len(seeds))
        return [
            Completion(
                text=f"{self.name} {seed}",
                finish_reason="stop",
                prompt_tokens=3,
                token_ids=(1, 2),
                logprobs=(-1.0, -1.0),
            )
            for seed in seeds
        ]

    async def room(self, prompts: Sequence[tuple[Message, ...]]) -> list[int]:
        return [self.context - sum(len(m.content) for m in messages) for messages in prompts]


def blended(*models: Echo, shares: Sequence[float] = (), seed: int = 7) -> Blend:
    members = {m.name: ModelGenerator(m, seed=seed) for m in models}  # type: ignore[arg-type]
    each = shares or [1 / len(models)] * len(models)
    return Blend(members, dict(zip(members, each, strict=True)), seed=seed)


def draws(generator: ModelGenerator | Blend, n: int = 8, **more: object) -> list[Candidate]:
    call = generator.generate(ITEM, n=n, sampling=Sampling(), **more)  # type: ignore[arg-type]
    return asyncio.run(call)


@pytest.mark.parametrize("seed", range(5))
def test_draws_over_turns_are_multinomial_and_independent_of_the_past(seed: int) -> None:
    blend = blended(Echo("a"), Echo("b"), Echo("c"), seed=seed)
    names = [blend.draw(f"talk|turn {number}") for number in range(3000)]
    counts = Counter(names)
    sigma = (3000 * (1 / 3) * (2 / 3)) ** 0.5
    assert sigma == pytest.approx(25.8, abs=0.05)
    assert all(abs(counts[name] - 1000) < 4 * sigma for name in "abc")
    for member in "abc":
        drawn = np.array([name == member for name in names], np.float64)
        rho = np.corrcoef(drawn[:-1], drawn[1:])[0, 1]
        assert abs(rho) < 4 / 3000**0.5


def test_weights_say_how_often_each_member_is_drawn() -> None:
    blend = blended(Echo("a"), Echo("b"), shares=[0.75, 0.25])
    count = sum(blend.draw("x", index) == "a" for index in range(4000))
    assert abs(count - 3000) < 4 * (4000 * 0.75 * 0.25) ** 0.5


def test_a_draw_depends_on_seed_conversation_and_turn_alone() -> None:
    ids = [f"{talk}|turn {number}" for talk in "xy" for number in range(40)]

    def drawn(seed: int) -> list[str]:
        return [blended(Echo("a"), Echo("b"), seed=seed).draw(name) for name in ids]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(1)[:40] != drawn(1)[40:]


def test_a_blend_of_one_is_that_model_exactly() -> None:
    alone = ModelGenerator(Echo("a"), seed=7)  # type: ignore[arg-type]
    assert draws(blended(Echo("a")), greedy=True) == draws(alone, greedy=True)


def test_a_blend_of_identical_members_is_that_model_exactly_where_seeds_are_equal() -> None:
    same = ModelGenerator(Echo("a"), seed=7)  # type: ignore[arg-type]
    twins = Blend({"one": same, "two": same}, {"one": 0.5, "two": 0.5}, seed=7)
    assert draws(twins, n=16) == draws(same, n=16)


def test_each_draw_has_the_seed_of_its_member_and_index() -> None:
    models = Echo("a"), Echo("b")
    found = draws(blended(*models), n=32, greedy=True)
    assert [c.member for c in found[:2]] == ["a", "b"], "a greedy candidate of each comes first"
    assert [c.index for c in found] == [-1, -1, *range(32)]
    assert {c.member for c in found[2:]} == {"a", "b"}
    for candidate in found[2:]:
        assert candidate.seed == candidate_seed(7, "q1", candidate.member, candidate.index)
        assert candidate.text == f"{candidate.member} {candidate.seed}"
    assert [len(m.calls) for m in models] == [1, 1], "one call for all draws of a member"


def test_a_member_that_is_not_drawn_is_not_asked() -> None:
    models = {name: Echo(name) for name in "ab"}
    blend = blended(*models.values())
    (drawn,) = draws(blend, n=1)
    assert [len(models[name].calls) for name in "ab"] == [drawn.member == "a", drawn.member == "b"]


def test_the_room_of_a_blend_is_that_of_its_smallest_context() -> None:
    blend = blended(Echo("a", context=10), Echo("b", context=8))
    prompts = [(Message(role="user", content=text),) for text in ("1234", "123456789")]
    assert asyncio.run(blend.room(prompts)) == [4, -1]


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ({"blend": []}, "roles.generator.blend: tuple should have at least 1 item"),
        ({"blend": ["a", "a"]}, "roles.generator: blend: wanted each model once, got a, a"),
        ({"blend": ["a", "b"], "weights": [1]}, "weights: wanted one for each of 2 models, got 1"),
        ({"blend": ["a", "b"], "weights": [1, 0]}, "roles.generator.weights.1: .* greater than 0"),
        ({"blends": ["a"]}, "roles.generator.blends: unknown key; did you mean 'blend'"),
        (None, "roles.generator: input should be a valid string, got None"),
        (["a", "a"], "roles.generator: wanted each model once, got a, a"),
    ],
)
def test_a_blend_that_makes_no_sense_is_refused(generator: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(RolesConfig, {"generator": generator}, "roles")


def test_shares_are_the_weights_in_parts_of_one() -> None:
    assert parse(RolesConfig, {"generator": "a"}).shares == {"a": 1.0}
    assert parse(RolesConfig, {"generator": {"blend": ["a", "b"]}}).shares == {"a": 0.5, "b": 0.5}
    weighed = parse(RolesConfig, {"generator": {"blend": ["a", "b"], "weights": [3, 1]}})
    assert weighed.shares == {"a": 0.75, "b": 0.25}
