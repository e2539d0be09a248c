"""Scorers that ask a language model, or nobody; `actors.scorer_table` has these and all others.

mean_logprob     how likely the model found its own text, per token
self_certainty   how far each next-token distribution was from flat
p_true           the hosted weights, asked whether the answer is right
recorded         a score that came with a replayed candidate
likelihood       how likely hosted weights find the text
consensus        what the rankers of the Consensus Game read
"""

import math
from collections.abc import Sequence

from actors import consensus
from actors.role_config import ScorerConfig
from actors.roles import Model
from actors.types import Candidate, Continuation, Item, Message, Score

P_TRUE_PROMPT = (
    "Question:\n{question}\n\nProposed answer:\n{answer}\n\n"
    "Is the proposed answer right? Reply with {yes} or {no} only."
)
"""After Kadavath et al. 2022 (2207.05221, section 3.2): the model judges its own sample, one at
a time."""
LABELS = ("Yes", "No")


class MeanLogprob:
    """Mean log-probability of the candidate's own tokens, nats per token, at temperature 1.

    The mean and not the sum: a sum prefers short texts (2407.10457 and others use either; this one
    is stated).
    """

    def __init__(self, config: ScorerConfig, model: Model | None) -> None:
        pass

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        """No verdict for a candidate whose tokens or log-probability are unknown."""
        return [
            Score(value=None if c.logprob is None or not c.tokens else c.logprob / c.tokens)
            for c in candidates
        ]


class Likelihood:
    """Mean log-probability of the text as a reply to the item's prompt, nats per token, by the
    hosted model, whoever wrote it. Parts: the sum. No verdict on an empty text and on one that
    doesn't fit into the context.
    """

    def __init__(self, config: ScorerConfig, model: Model | None) -> None:
        assert model is not None, "check_scorer lets no likelihood pass without a model"
        self._model = model

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        """One call for all candidates of the item: they share the prompt."""
        texts = list(dict.fromkeys(c.text for c in candidates if c.text.strip()))
        rows = await self._model.continuation_logprobs([item.messages] * len(texts), texts)
        found = {
            text: Score(
                value=row.logprob / row.tokens,
                parts=(row.logprob,),
                prompt_tokens=row.prompt_tokens + row.tokens,
            )
            for text, row in zip(texts, rows, strict=True)
            if row is not None
        }
        return [found.get(c.text, Score(value=None)) for c in candidates]


class SelfCertainty:
    """Mean over tokens of -(1/K) sum_j log(K p_j) over the K likeliest next tokens.

    With K the whole vocabulary this is the KL divergence of the next-token distribution from the
    uniform one, the self-certainty of Kang et al. 2025 (2502.18581, eq. 6). Engines return the K
    likeliest tokens only, so this is its truncated form (Fu et al. 2025, 2508.15260, eq. 2, up to
    the constant log K). Higher is more certain.
    """

    def __init__(self, config: ScorerConfig, model: Model | None) -> None:
        pass

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        """No verdict for a candidate that came without its top log-probabilities."""
        return [Score(value=c.certainty) for c in candidates]


class PTrue:
    """P(yes) / (P(yes) + P(no)) after the question, the candidate's text and the question whether
    it is right.

    Parts: log P(yes), log P(no). No verdict on a text that doesn't fit into the context. The text
    is quoted as it is, but a special token that it spells is read letter by letter
    (`actors.spelling`): it can argue with the judge, not end its turn or answer for it.
    """

    def __init__(self, config: ScorerConfig, model: Model | None) -> None:
        assert model is not None, "check_scorer lets no p_true pass without a model"
        self._model = model
        self._prompt = config.prompt or P_TRUE_PROMPT
        self._labels = config.labels or LABELS

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        """One call for all candidates of the item: they share the question's prefill."""
        yes, no = self._labels
        # str.replace and not str.format: questions and answers hold braces.
        head = self._prompt.replace("{yes}", yes).replace("{no}", no)
        prompts = [
            (Message(role="user", content=_fill(head, question=item.asked, answer=c.text)),)
            for c in candidates
        ]
        rows = await self._model.label_logprobs(prompts, self._labels)
        return [
            Score(value=None) if logprobs is None else self._score(logprobs, prompt_tokens)
            for logprobs, prompt_tokens in rows
        ]

    @staticmethod
    def _score(logprobs: tuple[float, ...], prompt_tokens: int) -> Score:
        yes, no = logprobs
        value = 1.0 / (1.0 + math.exp(min(700.0, no - yes)))
        return Score(value=value, parts=(yes, no), prompt_tokens=prompt_tokens, tokens=1)


class Recorded:
    """The score of that name that a replayed candidate came with; no verdict where it has none."""

    def __init__(self, config: ScorerConfig, model: Model | None) -> None:
        assert config.field is not None, "check_scorer lets no recorded pass without a field"
        self._field = config.field

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        """Looked up, not computed."""
        return [Score(value=dict(c.recorded_scores).get(self._field)) for c in candidates]


class Consensus:
    """Log-probabilities of the candidate's text as a right and as a wrong answer, and of both
    verdicts on it (`actors.consensus`), nats.

    The value is the first of these; the parts are all four, and rankers such as `equilibrium:D` are
    made of them. Candidates of the same text are asked about once. No verdict on an empty text and
    on one that doesn't fit into the context.
    """

    def __init__(
        self, config: ScorerConfig, model: Model | None, discriminator: Model | None = None
    ) -> None:
        assert model is not None, "check_scorer lets no consensus pass without a model"
        self._model = model
        self._judge = discriminator or model
        self._prompts = config.verdicts

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        """A few calls for all candidates of the item: they share the question's prefill."""
        texts = list(dict.fromkeys(c.text.strip() for c in candidates if c.text.strip()))
        if not texts:
            return [Score(value=None) for _ in candidates]
        found = await consensus.ask(
            item.messages, texts, self._prompts, likelihood=self._model, discriminator=self._judge
        )
        rows = zip(*(found[part] for part in consensus.PARTS), strict=True)
        scores = dict(zip(texts, map(_joined, rows), strict=True))
        return [scores.get(c.text.strip(), Score(value=None)) for c in candidates]


def _joined(rows: tuple[Continuation | None, ...]) -> Score:
    whole = [row for row in rows if row is not None]
    if len(whole) < len(rows):
        return Score(value=None)
    logprobs = tuple(row.logprob for row in whole)
    tokens = sum(row.prompt_tokens + row.tokens for row in whole)
    return Score(value=logprobs[0], parts=logprobs, prompt_tokens=tokens)


def _fill(template: str, *, question: str, answer: str) -> str:
    head, found, tail = template.partition("{answer}")
    filled = head.replace("{question}", question)
    return filled + answer + tail.replace("{question}", question) if found else filled
