"""Process reward models: how good each step of a solution is, by the probability of a label.

    turns   user: question step 1 | assistant: + | user: step 2 | ...   P(+) of the next reply
    tags    question step 1 TAG step 2 TAG ...                          P(+) of the next token

A step's score is the share of the first label in the two labels' probabilities. All steps before it
are marked as good, as in training. With `separator: null` the whole text is one step: an outcome
reward model.
Source: Wang et al. 2024 (arXiv 2312.08935), tags; Xiong et al. 2024 (RLHFlow), turns.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from actors.reward_models.pairwise import share
from actors.role_config import ProcessPrompts, ScorerConfig
from actors.roles import Model
from actors.types import Candidate, Item, Message, Score

AGGREGATES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "product": math.prod,
    "last": lambda steps: steps[-1],
    "mean": lambda steps: math.fsum(steps) / len(steps),
}


class Stepwise:
    """See the module's docstring. Parts: the score of each step. No verdict on a text without a
    step, and on one that doesn't fit into the context.
    """

    def __init__(self, config: ScorerConfig, model: Model | None) -> None:
        assert model is not None, "check_scorer lets no process pass without a model"
        self._model = model
        self.labels = config.labels or ("+", "-")
        self._prompts = config.process

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        """One call for all steps of all candidates: they share what comes before."""
        steps = [split(c.text, self._prompts.separator) for c in candidates]
        prompts = [
            prompt for texts in steps for prompt in prefixes(item.asked, texts, self._prompts)
        ]
        if not prompts:
            return [Score(value=None) for _ in candidates]
        rows = iter(await self._model.label_logprobs(prompts, self.labels))
        return [self._joined([next(rows) for _ in texts]) for texts in steps]

    def asking(self, question: str, *steps: str) -> tuple[Message, ...]:
        """What is asked of the last of these steps."""
        return prefixes(question, steps, self._prompts)[-1]

    def _joined(self, rows: Sequence[tuple[tuple[float, ...] | None, int]]) -> Score:
        # Steps share what comes before them: the last prompt holds all the others.
        tokens = rows[-1][1] if rows else 0
        found = [share(*logprobs) for logprobs, _ in rows if logprobs is not None]
        if not found or len(found) < len(rows):
            return Score(value=None, prompt_tokens=tokens)
        value = AGGREGATES[self._prompts.aggregate](found)
        return Score(value=value, parts=tuple(found), prompt_tokens=tokens, tokens=len(found))


def split(text: str, separator: str | None) -> list[str]:
    """The steps of a solution, without the separators and without empty ones."""
    pieces = [text] if separator is None else text.split(separator)
    return [piece.strip() for piece in pieces if piece.strip()]


def prefixes(
    question: str, steps: Sequence[str], prompts: ProcessPrompts
) -> list[tuple[Message, ...]]:
    """The prompt that ends where the label of each step stands. [step]"""
    if prompts.form == "turns":
        turns: list[Message] = []
        found = []
        for number, step in enumerate(steps):
            if number:
                turns.append(Message(role="assistant", content=prompts.good))
            content = step if number else f"{question} {step}"
            turns.append(Message(role="user", content=content))
            found.append(tuple(turns))
        return found
    texts, text = [], question
    for number, step in enumerate(steps):
        text += f"{prompts.between if number else ' '}{step} {prompts.tag}"
        texts.append(text)
    return [(Message(role="user", content=text),) for text in texts]
