"""What the rank page asks of its roles: scripted ones, no cluster, no model."""

import asyncio
from collections.abc import Mapping, Sequence

from actors.config import Sampling
from actors.types import Candidate, Item, Message, Score
from pipelines.base import Solution
from pipelines.rank import Config, solve

ITEM = Item(
    id="q1",
    task="t",
    question="What is 2 + 3?",
    reference="5",
    messages=(Message(role="user", content="What is 2 + 3?"),),
)


class ScriptedGenerator:
    """Draws the texts of its script; keeps what it was asked for."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.asked: list[tuple[int, Sampling, bool]] = []

    async def generate(
        self, item: Item, *, n: int, sampling: Sampling, greedy: bool = False
    ) -> list[Candidate]:
        self.asked.append((n, sampling, greedy))
        first = [candidate(-1, "the greedy text")] if greedy else []
        return first + [candidate(i, self.texts[i]) for i in range(n)]


def candidate(index: int, text: str) -> Candidate:
    return Candidate(
        index=index,
        member="small",
        decoding="greedy" if index < 0 else "sample",
        text=text,
        finish_reason="stop",
        prompt_tokens=3,
        tokens=1,
        logprob=-1.0,
        seed=None if index < 0 else index,
        seconds=0.0,
    )


class ScriptedScorer:
    """Gives the values of its script; keeps the candidates it saw."""

    def __init__(self, *values: float | None) -> None:
        self.values = values
        self.seen: list[Candidate] = []

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        self.seen = list(candidates)
        return [Score(value=value) for value in self.values]


def drawn(
    config: Config, generator: ScriptedGenerator, scorers: Mapping[str, ScriptedScorer]
) -> Solution:
    return asyncio.run(solve(ITEM, config, generator=generator, scorers=scorers))


def test_the_generator_gets_n_sampling_and_greedy_as_the_config_says() -> None:
    sampling = Sampling(temperature=0.7, max_tokens=9)
    generator = ScriptedGenerator("5", "7")
    drawn(Config(n=2, sampling=sampling, greedy=False), generator, {})
    assert generator.asked == [(2, sampling, False)]


def test_scorers_see_the_draws_and_never_the_greedy_candidate() -> None:
    scorer = ScriptedScorer(0.1, 0.9, 0.4)
    solution = drawn(Config(n=3), ScriptedGenerator("5", "7", "6"), {"s": scorer})
    assert [c.text for c in scorer.seen] == ["5", "7", "6"]
    assert [c.index for c in solution.candidates] == [-1, 0, 1, 2]
    greedy, *scores = solution.scores["s"]
    assert greedy is None
    assert [score and score.value for score in scores] == [0.1, 0.9, 0.4]


def test_every_scorer_is_asked_once_about_the_same_draws() -> None:
    scorers = {"s": ScriptedScorer(0.1, 0.2), "t": ScriptedScorer(0.3, None)}
    solution = drawn(Config(n=2, greedy=False), ScriptedGenerator("5", "7"), scorers)
    assert scorers["s"].seen == scorers["t"].seen == list(solution.candidates)
    assert [score and score.value for score in solution.scores["t"]] == [0.3, None]
