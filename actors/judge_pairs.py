"""Judges of two at a time: of a pool's candidates, and of each candidate and the item's reference.

two texts, in both orders --juror--> what each verdict says of the one shown first --> outcome
"""

import random
from asyncio import gather
from collections.abc import Mapping, Sequence

from actors.generator import candidate_seed
from actors.judge import Judge, as_part, mean, spent
from actors.judge_prompts import prompt_of, quoted
from actors.juror import Hearing, Juror
from actors.role_config import ScorerConfig
from actors.roles import Model
from actors.tournament import (
    Pair,
    both_agree,
    both_orders,
    is_knockout,
    knockout,
    mean_of_both,
)
from actors.types import Item, ItemError, Score


class OfTwo(Judge):
    """What both share: the labels of a verdict, and what they are worth."""

    form = "pair"

    def __init__(self, config: ScorerConfig, jurors: Sequence[Model], seed: int) -> None:
        super().__init__(config, jurors, seed)
        prompt = prompt_of(config, self.form)
        self.labels, self.worth = tuple(prompt.worth), tuple(prompt.worth.values())
        self.weight = tuple(prompt.weight.get(label, 1.0) for label in prompt.worth)
        self.settle = mean_of_both if config.judge.weighted else both_agree

    def _worth(self, one: Hearing) -> float | None:
        """What a verdict on two says of the one shown first."""
        return one.worth(self.worth)

    def settled(self, first: float | None, second: float | None) -> float | None:
        """What the verdicts in both orders say of the one shown first at first; None where either
        can't be told.
        """
        return None if first is None or second is None else self.settle(first, second)


class Pairwise(OfTwo):
    """The value is the mean outcome against those others with which it can be told; of a knockout 1
    for the champion and 0 for the others, none where a bout can't be told.

    Parts: for each time that the candidate stood first, three numbers: the juror, the place of the
    other one among the candidates, and 1 if the first was preferred, 0 if the other, 0.5 for a tie,
    NaN for no verdict.
    """

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
        if is_knockout(self.config.tournament, num):
            # A tie keeps the champion so far: the first candidates must not gain by that.
            seed = candidate_seed(self.seed, f"{item.id}|judge|knockout", "", 0)
            order = random.Random(seed).sample(range(num), num)
            champion = await knockout(order, ask, self.settle)
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
            (juror, places[pair[1]], one)
            for juror, (_, heard) in enumerate(held)
            for pair, one in heard.items()
            if pair[0] == i
        ]
        parts = [(juror, other, as_part(self._worth(one))) for juror, other, one in first]
        return Score(
            value=mean([values[i] for values, _ in held]),
            parts=tuple(float(part) for three in parts for part in three),
            **spent([one for *_, one in first]),
        )


class Versus(OfTwo):
    """The value is the mean outcome of the jurors: 1, 0.5 or 0 against the item's reference. Parts:
    for each juror what its verdict says of the candidate, shown first, and the weight of that; the
    same of the reference, shown first. NaN: no verdict.
    """

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
            parts=tuple(as_part(n) for both in zip(worth, weight, strict=True) for n in both),
            **spent(heard),
        )
