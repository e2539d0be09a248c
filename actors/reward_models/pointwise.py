"""A reward model as a scorer: the item's prompt and each candidate as its reply, one score each. A
candidate that is a conversation is read turn by turn.
"""

from collections.abc import Sequence

from actors.conversation import conversation
from actors.role_config import ScorerConfig
from actors.roles import Model
from actors.types import Candidate, Item, Score


class Rewarded:
    """The hosted reward model's score, raw; parts as its family documents them.

    The whole text is scored, a thought included. No verdict on a text that doesn't fit into the
    model's context with its prompt: nothing is ever cut.
    """

    def __init__(self, config: ScorerConfig, model: Model | None) -> None:
        assert model is not None, "check_scorer lets no reward pass without a model"
        self._model = model

    async def score(self, item: Item, candidates: Sequence[Candidate]) -> list[Score]:
        """One call for all candidates of the item: they share the prompt."""
        if not candidates:
            return []
        found = await self._model.rewards(
            [conversation(item, candidate) for candidate in candidates]
        )
        return [
            Score(value=None)
            if reward is None
            else Score(value=reward.value, parts=reward.parts, prompt_tokens=reward.tokens)
            for reward in found
        ]
