"""Judges: hosted models that write a verdict down.

    prompt, candidates quoted --actors.juror--> verdicts --> a score for each candidate

judge           each candidate alone, on a scale; `repeats` verdicts are averaged
judge_pairwise  two at a time in both orders; a win only where both agree, otherwise a tie
judge_versus    each candidate against the item's reference in both orders; likewise
judge_kway      all at once under letters, one is chosen; `orders` shuffled orders are averaged

With `judge: {constrained: true, weighted: true}` a verdict is the mean of all that could be given,
by their probabilities, and two orders count by their mean instead of their agreement.
A jury (`models`) gives the mean over those of its jurors that have a verdict. Candidates of the
same text are judged once.
Sources: Yuan et al. 2024 (arXiv 2401.10020), additive scale, averaged; Zheng et al. 2023
(arXiv 2306.05685), single and pairwise grading, both orders; Malik et al. 2025 (arXiv 2506.01937),
one of several.
"""

import math
import random
from abc import ABC, abstractmethod
from asyncio import gather
from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import Any, ClassVar, TypedDict

from actors.generator import candidate_seed
from actors.judge_prompts import Form, prompt_of, quoted
from actors.juror import Hearing, Juror
from actors.role_config import ScorerConfig
from actors.roles import Model
from actors.tournament import Pair, both_agree, both_orders, knockout, mean_of_both
from actors.types import Candidate, ConfigError, Item, ItemError, Score

MOST_SHOWN = len(ascii_uppercase)
"""Candidates that `judge_kway` can show at once."""


class Judge(ABC):
    """What all judges share."""

    form: ClassVar[Form]
    layout: ClassVar[str] = ""
    """Of the scores' parts, where it isn't the form's: a name in `results.cases.READERS`."""

    def __init__(self, config: ScorerConfig, jurors: Sequence[Model], seed: int) -> None:
        prompt = prompt_of(config, self.form)
        self.jurors = [Juror(model, prompt, config.judge, seed) for model in jurors]
        self.labels, self.worth = tuple(prompt.worth), tuple(prompt.worth.values())
        self.weight = tuple(prompt.weight.get(label, 1.0) for label in prompt.worth)
        self.settle = mean_of_both if config.judge.weighted else both_agree
        self.config = config
        self.seed = seed

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        """The first candidate of each text bears the cost of judging it and keeps what was said."""
        places: dict[str, int] = {}
        for place, candidate in enumerate(candidates):
            places.setdefault(candidate.text, place)
        if not places:
            return []
        found = dict(zip(places, await self.judged(item, places), strict=True))
        free = {
            text: replace(score, prompt_tokens=0, tokens=0, said=())
            for text, score in found.items()
        }
        return [
            (found if places[c.text] == place else free)[c.text]
            for place, c in enumerate(candidates)
        ]

    @abstractmethod
    async def judged(self, item: Item, places: Mapping[str, int]) -> list[Score]:
        """One score for each text, given the place of its first candidate."""

    def _worth(self, one: Hearing) -> float | None:
        """What a verdict on two says of the one shown first."""
        return one.worth(self.worth)

    def settled(self, first: float | None, second: float | None) -> float | None:
        """What the verdicts in both orders say of the one shown first at first; None where either
        can't be told.
        """
        return None if first is None or second is None else self.settle(first, second)


class Pointwise(Judge):
    """Parts: the single verdicts, juror by juror, `repeats` of each; NaN for none."""

    form = "scale"

    async def judged(self, item: Item, places: Mapping[str, int]) -> list[Score]:
        """See `Judge`. Every text on its own."""
        return list(await gather(*(self._one(item, text) for text in places)))

    async def _one(self, item: Item, text: str) -> Score:
        quotes = {"answer": quoted(text)}
        num = self.config.judge.repeats
        heard = await gather(*(juror.hear(item, quotes, num=num) for juror in self.jurors))
        return Score(
            value=mean([mean(one.verdicts) for one in heard]),
            parts=tuple(_number(verdict) for one in heard for verdict in one.verdicts),
            **_spent(heard),
        )


class Pairwise(Judge):
    """The value is the mean outcome against those others with which it can be told; of a knockout 1
    for the champion and 0 for the others, none where a bout can't be told.

    Parts: for each time that the candidate stood first, three numbers: the juror, the place of the
    other one among the candidates, and 1 if the first was preferred, 0 if the other, 0.5 for a tie,
    NaN for no verdict.
    """

    form = "pair"

    async def judged(self, item: Item, places: Mapping[str, int]) -> list[Score]:
        """See `Judge`. Jurors hold tournaments of their own."""
        texts = list(places)
        if len(texts) < 2:
            return [Score(value=0.5)]
        held = await gather(*(self._held(juror, item, texts) for juror in self.jurors))
        return [self._joined(i, [*places.values()], held) for i in range(len(texts))]

    async def _held(
        self, juror: Juror, item: Item, texts: Sequence[str]
    ) -> tuple[list[float | None], dict[Pair, Hearing]]:
        """The value of each text, and what was heard."""
        heard: dict[Pair, Hearing] = {}

        async def ask(pairs: Sequence[Pair]) -> list[float | None]:
            quotes = [{"a": quoted(texts[i]), "b": quoted(texts[j])} for i, j in pairs]
            found = await gather(*(juror.hear(item, q, options=self.labels) for q in quotes))
            heard.update(zip(pairs, found, strict=True))
            return [self._worth(one) for one in found]

        num = len(texts)
        if self.config.tournament == "knockout":
            champion = await knockout(num, ask, self.settle)
            return [None if champion is None else float(i == champion) for i in range(num)], heard
        pairs = both_orders(num)
        found = dict(zip(pairs, await ask(pairs), strict=True))
        outcomes = [
            [self.settled(found[i, j], found[j, i]) for j in range(num) if j != i]
            for i in range(num)
        ]
        return [mean(row) for row in outcomes], heard

    def _joined(
        self,
        i: int,
        places: Sequence[int],
        held: Sequence[tuple[list[float | None], dict[Pair, Hearing]]],
    ) -> Score:
        first = [
            (number, places[pair[1]], one)
            for number, (_, heard) in enumerate(held)
            for pair, one in heard.items()
            if pair[0] == i
        ]
        parts = [(number, other, _number(self._worth(one))) for number, other, one in first]
        return Score(
            value=mean([values[i] for values, _ in held]),
            parts=tuple(float(number) for three in parts for number in three),
            **_spent([one for *_, one in first]),
        )


class Versus(Judge):
    """The value is the mean outcome of the jurors: 1, 0.5 or 0 against the item's reference. Parts:
    for each juror what its verdict says of the candidate, shown first, and the weight of that; the
    same of the reference, shown first. NaN: no verdict.
    """

    form = "pair"
    layout = "versus"

    async def judged(self, item: Item, places: Mapping[str, int]) -> list[Score]:
        """See `Judge`. Raises ItemError for an item without a reference."""
        if not item.reference.strip():
            raise ItemError("error", f"item {item.id!r} has no reference to compare replies with")
        return list(await gather(*(self._one(item, text) for text in places)))

    async def _one(self, item: Item, text: str) -> Score:
        mine, its = quoted(text), quoted(item.reference)
        orders = ({"a": mine, "b": its}, {"a": its, "b": mine})
        asked = (juror.hear(item, q, options=self.labels) for juror in self.jurors for q in orders)
        heard = await gather(*asked)
        worth = [self._worth(one) for one in heard]
        weight = [one.worth(self.weight) for one in heard]
        return Score(
            value=mean([self.settled(*both) for both in zip(worth[::2], worth[1::2], strict=True)]),
            parts=tuple(_number(n) for both in zip(worth, weight, strict=True) for n in both),
            **_spent(heard),
        )


class KWay(Judge):
    """The value is the share of the verdicts that chose the candidate.

    Parts: for each juror and order three numbers: the juror, the place at which the candidate was
    shown (0 is A), and 1 if it was chosen, 0 if another, NaN for no verdict. All jurors see the
    same orders. A prompt's cost is shared evenly, the rest of the division borne by the first,
    which keeps what was said of all.
    """

    form = "choice"

    async def judged(self, item: Item, places: Mapping[str, int]) -> list[Score]:
        """See `Judge`. Raises ConfigError for more texts than there are letters."""
        texts, num = list(places), len(places)
        if num > MOST_SHOWN:
            raise ConfigError(
                f"judge_kway shows at most {MOST_SHOWN} candidates at once, got {num} of "
                f"item {item.id!r}; draw fewer, or use judge_pairwise"
            )
        if num < 2:
            return [Score(value=1.0)]
        orders = [self._shuffled(item, order, num) for order in range(self.config.judge.orders)]
        asked = [(number, order) for number in range(len(self.jurors)) for order in orders]
        heard = await gather(
            *(self._hear(self.jurors[number], item, texts, order) for number, order in asked)
        )
        return [self._joined(i, num, asked, heard) for i in range(num)]

    def _shuffled(self, item: Item, order: int, num: int) -> list[int]:
        """Which text stands at each place."""
        seed = candidate_seed(self.seed, f"{item.id}|judge|order", "", order)
        return random.Random(seed).sample(range(num), num)

    async def _hear(
        self, juror: Juror, item: Item, texts: Sequence[str], order: Sequence[int]
    ) -> Hearing:
        letters = ascii_uppercase[: len(order)]
        shown = (f"Reply {x}:\n{quoted(texts[i])}" for x, i in zip(letters, order, strict=True))
        return await juror.hear(item, {"answers": "\n\n".join(shown)}, options=letters)

    @staticmethod
    def _joined(
        i: int, num: int, asked: Sequence[tuple[int, Sequence[int]]], heard: Sequence[Hearing]
    ) -> Score:
        by_juror: dict[int, list[float | None]] = {}
        parts: list[float] = []
        for (juror, order), one in zip(asked, heard, strict=True):
            place = order.index(i)
            chosen = None if one.verdict is None else float(one.verdict == place)
            by_juror.setdefault(juror, []).append(chosen)
            parts += [juror, place, _number(chosen)]
        spent = _spent(heard)
        read, written = spent["prompt_tokens"], spent["tokens"]
        return Score(
            value=mean([mean(row) for row in by_juror.values()]),
            parts=tuple(parts),
            prompt_tokens=read // num + (read % num if i == 0 else 0),
            tokens=written // num + (written % num if i == 0 else 0),
            said=spent["said"] if i == 0 else (),
        )


JUDGES: Mapping[str, type[Judge]] = {
    "judge": Pointwise,
    "judge_pairwise": Pairwise,
    "judge_versus": Versus,
    "judge_kway": KWay,
}
"""By the scorer's kind."""


def check(config: ScorerConfig) -> None:
    """Refuse a judge that can't work. Raises ConfigError."""
    if bool(config.model) == bool(config.models) or len({*config.models}) < len(config.models):
        raise ConfigError(
            f"wanted model, or several different models as a jury, got model {config.model!r} and "
            f"models {list(config.models)}"
        )
    if config.judge.repeats > 1 and config.kind != "judge":
        raise ConfigError(f"judge.repeats: {config.kind!r} asks once in each order; take it out")
    if config.judge.weighted and config.kind == "judge_kway":
        raise ConfigError("judge.weighted: 'judge_kway' counts choices; take it out")
    if config.judge.repeats > 1 and config.judge.constrained:
        raise ConfigError("judge.repeats: a constrained verdict is always the same; take it out")
    prompt = prompt_of(config, JUDGES[config.kind].form)
    if config.judge.weighted and prompt.weight:
        raise ConfigError(
            "judge.weighted: the prompt's labels have weights of their own, which a mean of them "
            "has no place for; take it out, or name another prompt"
        )
    if config.judge.constrained and prompt.form == "scale" and len(prompt.marks) < 2:
        raise ConfigError(
            f"judge.constrained: wanted two whole numbers on the scale, got {prompt.low:g} to "
            f"{prompt.high:g}"
        )


def about(config: ScorerConfig) -> dict[str, Any]:
    """What a run keeps of a judge, to be read with its scores later. Raises ConfigError."""
    form = JUDGES[config.kind].form
    prompt = prompt_of(config, form)
    return {
        "form": JUDGES[config.kind].layout or form,
        "jurors": list(config.asked),
        "repeats": config.judge.repeats,
        "weighted": config.judge.weighted,
        "low": prompt.low,
        "high": prompt.high,
        "published": prompt.published and prompt.published.model_dump(),
        "min_coverage": config.judge.min_coverage,
        "prompt": prompt.digest,
    }


def mean(verdicts: Sequence[float | None]) -> float | None:
    """Of those that there are; None where there are none."""
    known = [verdict for verdict in verdicts if verdict is not None]
    return math.fsum(known) / len(known) if known else None


class _Spent(TypedDict):
    """What hearings took, and what was said there."""

    prompt_tokens: int
    tokens: int
    said: tuple[str, ...]


def _spent(heard: Sequence[Hearing]) -> _Spent:
    return {
        "prompt_tokens": sum(one.prompt_tokens for one in heard),
        "tokens": sum(one.tokens for one in heard),
        "said": tuple(text for one in heard for text in one.said),
    }


def _number(verdict: float | None) -> float:
    return math.nan if verdict is None else verdict
