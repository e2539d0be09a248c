"""The trust check of a language model whose verdict is the probability of a label; see
`actors.reward_models.trust`.

It asks the scorer's own prompts of the hosted model, so it runs where the scorer does, before the
first item.
"""

import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from actors.config import ModelConfig
from actors.reward_models import trust_pairs
from actors.reward_models.pairwise import Preferred, share
from actors.reward_models.process import Stepwise
from actors.reward_models.trust import LONG, PAIR, Check, company, noise
from actors.role_config import ScorerConfig
from actors.roles import Model
from actors.tournament import mean_of_both
from actors.types import ConfigError

LEAST = 0.01
"""Share of the next token that both labels must have together: far more than a token gets that is
spelled otherwise than in training."""
SUM = ("What is 2 + 3?", "2 + 3 = 5.", "2 + 3 = 17.")
"""A question, and a right and a wrong step to its answer."""


async def _pairwise(scorer: ScorerConfig, model: Model, config: ModelConfig) -> list[Check]:
    asked = _Asked(model, Preferred(scorer, model), config)
    question, better, worse = config.known_pair or PAIR
    shown = ((question, better, worse), (question, worse, better))
    found = [*await asked.labels(shown[0])]
    if not all(check.passed for check in found):
        return found
    found += await company(asked, trust_pairs.TEXTS, noise(config))
    first, second = await asked(*shown)
    found.append(
        Check(
            name="both orders",
            passed=first != second,
            wanted="another probability when the replies change places: the prompt shows both",
            got=f"P({asked.names[0]}) = {first:.4g} and {second:.4g}",
        )
    )
    found.append(
        Check(
            name="known pair",
            passed=first > second,
            wanted=f"to {question!r} the reply {better!r} above {worse!r}, over both orders",
            got=f"{mean_of_both(first, second):.4g}, of P({asked.names[0]}) = {first:.4g} shown "
            f"first and {second:.4g} shown second",
        )
    )
    return found


async def _process(scorer: ScorerConfig, model: Model, config: ModelConfig) -> list[Check]:
    asked = _Asked(model, Stepwise(scorer, model), config)
    question, better, worse = config.known_pair or SUM
    found = [*await asked.labels((question, better))]
    if not all(check.passed for check in found):
        return found
    texts = (("Name a colour.", "Blue."), ("Tell me a story.", LONG), SUM[:2])
    found += await company(asked, texts, noise(config))
    good, bad = await asked((question, better), (question, worse))
    found.append(
        Check(
            name="known pair",
            passed=good > bad,
            wanted=f"to {question!r} the step {better!r} above {worse!r}",
            got=f"P({asked.names[0]}) = {good:.4g} and {bad:.4g}",
        )
    )
    return found


class _Asked:
    """The share of the first label in both, of texts in calls of the size that is asked for."""

    def __init__(self, model: Model, scorer: Preferred | Stepwise, config: ModelConfig) -> None:
        self._path = config.path
        self._model = model
        self._scorer = scorer
        self.names = scorer.labels

    async def __call__(self, *texts: tuple[str, ...]) -> list[float]:
        return [share(*row) for row in await self._rows(texts)]

    async def _rows(self, texts: Sequence[tuple[str, ...]]) -> list[tuple[float, ...]]:
        prompts = [self._scorer.asking(*text) for text in texts]
        rows = [row for row, _ in await self._model.label_logprobs(prompts, self.names)]
        if None in rows:
            raise ConfigError(
                f"the model in {self._path}: wanted room for the {len(LONG)} characters of the "
                "trust check's longest reply, got a context that is too short for them"
            )
        return [row for row in rows if row is not None]

    async def labels(self, text: tuple[str, ...]) -> list[Check]:
        """Whether the labels are single tokens, and ones that the model would write there."""
        wanted = f"{self.names[0]!r} and {self.names[1]!r} one token each after the prompt"
        try:
            (row,) = await self._rows([text])
        except ConfigError as error:
            return [Check(name="labels", passed=False, wanted=wanted, got=str(error))]
        both = math.fsum(map(math.exp, row))
        return [
            Check(name="labels", passed=True, wanted=wanted, got="one token each"),
            Check(
                name="labels expected",
                passed=both >= LEAST,
                wanted=f"at least {LEAST:.0%} of the next token's probability on {self.names[0]!r} "
                f"and {self.names[1]!r}: elsewhere they are noise",
                got=f"{both:.2g}",
            ),
        ]


Examiner = Callable[[ScorerConfig, Model, ModelConfig], Coroutine[Any, Any, list[Check]]]
EXAMINERS: Mapping[str, Examiner] = {
    "pairwise": _pairwise,
    "process": _process,
}
"""By the scorer's kind: all checks, in order; of labels that are wrong, nothing is read. Raises
ConfigError (a text doesn't fit into the context), EngineError.
"""
