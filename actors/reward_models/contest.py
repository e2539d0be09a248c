"""A scorer that holds a tournament: what all of them share, whoever is asked.

    texts --pairs, in both orders--> outcomes --tournament--> a score for each candidate

Equal texts are one contestant.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, Literal, TypeVar

from actors.tournament import Pair, Settle, both_orders, is_knockout, knockout
from actors.types import Candidate, Item, Score

T = TypeVar("T", float, float | None)
"""An outcome; of some contests it may be None: it can't be told."""


class Contest(ABC, Generic[T]):
    """See the module's docstring. `alone`: the score of the only contestant. `settle`: how the
    outcomes of both orders decide a bout of a knockout.
    """

    def __init__(
        self, tournament: Literal["full", "knockout"], *, alone: float, settle: Settle
    ) -> None:
        self._tournament = tournament
        self._alone = alone
        self._settle = settle

    @abstractmethod
    async def _asked(
        self, item: Item, texts: Sequence[str], pairs: Sequence[Pair]
    ) -> list[tuple[T, int]]:
        """The outcome of each pair, and the tokens read for it."""

    @abstractmethod
    def _standing(self, i: int, num: int, found: Mapping[Pair, T], tokens: int) -> Score:
        """What the outcomes of all pairs of `num` say of contestant i."""

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        """`full` is one call, `knockout` one for each bout."""
        texts = list(dict.fromkeys(c.text for c in candidates))
        if len(texts) < 2:
            return [Score(value=self._alone) for _ in candidates]
        play = self._knockout if is_knockout(self._tournament, len(texts)) else self._full
        scores = dict(zip(texts, await play(item, texts), strict=True))
        return [scores[c.text] for c in candidates]

    async def _full(self, item: Item, texts: Sequence[str]) -> list[Score]:
        num, pairs = len(texts), both_orders(len(texts))
        asked = await self._asked(item, texts, pairs)
        found = {pair: outcome for pair, (outcome, _) in zip(pairs, asked, strict=True)}
        tokens = [0] * num
        for (i, _), (_, read) in zip(pairs, asked, strict=True):
            tokens[i] += read
        return [self._standing(i, num, found, tokens[i]) for i in range(num)]

    async def _knockout(self, item: Item, texts: Sequence[str]) -> list[Score]:
        tokens = [0] * len(texts)

        async def ask(pairs: Sequence[Pair]) -> list[T]:
            rows = await self._asked(item, texts, pairs)
            for (i, _), (_, read) in zip(pairs, rows, strict=True):
                tokens[i] += read
            return [outcome for outcome, _ in rows]

        champion = await knockout(range(len(texts)), ask, self._settle)
        return [
            Score(value=None if champion is None else float(i == champion), prompt_tokens=read)
            for i, read in enumerate(tokens)
        ]
