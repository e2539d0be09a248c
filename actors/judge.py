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
Those of two at a time are in `actors.judge_pairs`; all by name in `actors.judge_table`.
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
from typing import ClassVar, TypedDict

from actors.generator import candidate_seed
from actors.judge_prompts import Form, prompt_of, quoted
from actors.juror import Hearing, Juror
from actors.role_config import ScorerConfig
from actors.roles import Model
from actors.types import Candidate, ConfigError, Item, Score

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
            parts=tuple(as_part(verdict) for one in heard for verdict in one.verdicts),
            **spent(heard),
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
            parts += [juror, place, as_part(chosen)]
        took = spent(heard)
        read, written = took["prompt_tokens"], took["tokens"]
        return Score(
            value=mean([mean(row) for row in by_juror.values()]),
            parts=tuple(parts),
            prompt_tokens=read // num + (read % num if i == 0 else 0),
            tokens=written // num + (written % num if i == 0 else 0),
            said=took["said"] if i == 0 else (),
        )


def mean(verdicts: Sequence[float | None]) -> float | None:
    """Of those that there are; None where there are none."""
    known = [verdict for verdict in verdicts if verdict is not None]
    return math.fsum(known) / len(known) if known else None


class Spent(TypedDict):
    """What hearings took, and what was said there."""

    prompt_tokens: int
    tokens: int
    said: tuple[str, ...]


def spent(heard: Sequence[Hearing]) -> Spent:
    """Of all of them together."""
    return {
        "prompt_tokens": sum(one.prompt_tokens for one in heard),
        "tokens": sum(one.tokens for one in heard),
        "said": tuple(text for one in heard for text in one.said),
    }


def as_part(verdict: float | None) -> float:
    """NaN for none."""
    return math.nan if verdict is None else verdict
