"""An encoder that reads a prompt and two replies at once, as a scorer.

    M_ij = the logit by which reply i, shown first, is preferred to reply j, shown second

    full      max_logits   mean over all j of M_ij - M_ji      (actors.tournament)
              max_wins     how often it wins, of 2 (N - 1) comparisons
    knockout  the last champion has 1, the others 0; M_ij - M_ji decides

Both orders are asked, so that a liking for the first place cancels: what i has over j, j lacks. Of
equal scores the earliest candidate is the best.
Source: Jiang et al. 2023 (arXiv 2306.02561), section 3.2.
"""

from collections.abc import Mapping, Sequence

from actors.reward_models.contest import Contest
from actors.role_config import ScorerConfig
from actors.roles import Model
from actors.tournament import Pair, by_logits, max_logits, max_wins
from actors.types import Item, Score

MATRICES = {"max_logits": max_logits, "max_wins": max_wins}


class Encoded(Contest[float]):
    """See the module's docstring. An item with a prompt or a candidate over the model's limits has
    an error, kind `too_long`: nothing is cut.

    Parts: of `full`, what the score is the sum of, from comparisons with the candidate first and
    second: what they differ by is a liking for a place.
    """

    def __init__(self, config: ScorerConfig, model: Model | None) -> None:
        assert model is not None, "check_scorer lets no pairwise pass without a model"
        alone = 0.0 if config.tournament == "full" else 0.5
        super().__init__(config.tournament, alone=alone, settle=by_logits)
        self._model = model
        self._matrix = MATRICES[config.matrix]

    async def _asked(
        self, item: Item, texts: Sequence[str], pairs: Sequence[Pair]
    ) -> list[tuple[float, int]]:
        return await self._model.preferences(item.messages, texts, pairs)

    def _standing(self, i: int, num: int, found: Mapping[Pair, float], tokens: int) -> Score:
        parts = self._matrix(found, i, num)
        return Score(value=sum(parts), parts=parts, prompt_tokens=tokens)
