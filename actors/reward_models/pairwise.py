"""Preference models: which of two replies is better, by the probability of a label.

    p(a, b) = (P(A | a first) + 1 - P(A | b first)) / 2

Both orders are asked, so that a liking for the first place cancels: p(a, b) + p(b, a) = 1, and
equal replies are at 1/2. P(A | .) is the share of A in the two labels' probabilities.

    full      a candidate's score is its mean p against the others    (actors.tournament)
    knockout  the last champion has 1, the others 0: they have no rank

Source: Dong et al. 2024 (arXiv 2405.07863), pairwise preference model; Jiang et al. 2023
(arXiv 2306.02561), both orders and full matrix.
"""

import math
from collections.abc import Mapping, Sequence

from actors.consensus import filled
from actors.reward_models.contest import Contest
from actors.role_config import ScorerConfig
from actors.roles import Model
from actors.tournament import Pair, mean_of_both
from actors.types import Item, Message, Score

PROMPT = (
    "Here are a conversation and two replies to it.\n\n[CONTEXT]\n{context}\n\n"
    "[RESPONSE A]\n{a}\n\n[RESPONSE B]\n{b}\n\n"
    "Which reply is better? Answer with {label_a} or {label_b} only."
)
LABELS = ("A", "B")


class Preferred(Contest[float | None]):
    """See the module's docstring. A candidate of which a comparison doesn't fit into the context
    has no verdict.

    Parts: of `full`, the mean p of each order, the candidate first and second.
    """

    def __init__(self, config: ScorerConfig, model: Model | None) -> None:
        assert model is not None, "check_scorer lets no pairwise pass without a model"
        super().__init__(config.tournament, alone=0.5, settle=mean_of_both)
        self._model = model
        self.labels = config.labels or LABELS
        template = config.prompt or PROMPT
        for name, label in zip(("{label_a}", "{label_b}"), self.labels, strict=True):
            template = template.replace(name, label)
        self._template = template

    async def _asked(
        self, item: Item, texts: Sequence[str], pairs: Sequence[Pair]
    ) -> list[tuple[float | None, int]]:
        """P(A) where the first of each pair is A, and the tokens read for it."""
        prompts = [self._prompt(item.messages, texts[i], texts[j]) for i, j in pairs]
        rows = await self._model.label_logprobs(prompts, self.labels)
        return [(None if row is None else share(*row), tokens) for row, tokens in rows]

    def asking(self, question: str, *texts: str) -> tuple[Message, ...]:
        """What is asked of two replies to a question, in this order."""
        return self._prompt((Message(role="user", content=question),), *texts)

    def _prompt(self, messages: Sequence[Message], a: str, b: str) -> tuple[Message, ...]:
        context = "\n".join(f"<turn> {m.role}\n{m.content}" for m in messages)
        text = filled(self._template, context=context, a=a, b=b)
        return (Message(role="user", content=text),)

    def _standing(self, i: int, num: int, found: Mapping[Pair, float | None], tokens: int) -> Score:
        first = [found[i, j] for j in range(num) if j != i]
        second = [found[j, i] for j in range(num) if j != i]
        known_first = [p for p in first if p is not None]
        known_second = [1.0 - p for p in second if p is not None]
        if len(known_first) < len(first) or len(known_second) < len(second):
            return Score(value=None, prompt_tokens=tokens)
        means = math.fsum(known_first) / len(first), math.fsum(known_second) / len(second)
        return Score(value=sum(means) / 2.0, parts=means, prompt_tokens=tokens)


def share(logprob_a: float, logprob_b: float) -> float:
    """The first label's share of both probabilities."""
    return 1.0 / (1.0 + math.exp(min(700.0, logprob_b - logprob_a)))
