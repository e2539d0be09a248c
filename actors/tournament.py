"""Tournaments: who is asked to meet whom, whoever decides it.

    full      every pair, in both orders: N (N - 1) bouts
    knockout  the champion so far against the next: 2 (N - 1) bouts; only the champion is known.
              Of two, a full tournament asks the same and says more: it is held in its place

Both orders are asked, so that a liking for the first place cancels. What comes out holds for those
that were compared: among others it would be something else.
Source of what a full matrix of logits comes to: Jiang et al. 2023 (arXiv 2306.02561), section 3.2.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

Pair = tuple[int, int]
"""Who is shown first, and second."""

Ask = Callable[[Sequence[Pair]], Awaitable[Sequence[float | None]]]
"""What the first of each pair is worth against the second, from 0 (worse) to 1 (better). None: it
can't be told."""

Settle = Callable[[float, float], float]
"""What a contestant is worth, given what was said with it in the first place and, of the other one,
with that in the first place."""


def mean_of_both(first: float, second: float) -> float:
    """Settles by the mean, for probabilities."""
    return (first + 1.0 - second) / 2.0


def both_agree(first: float, second: float) -> float:
    """Settles by agreement, for verdicts: a win only where both orders say so, otherwise a tie."""
    return first if math.isclose(first, 1.0 - second, abs_tol=1e-9) else 0.5


def by_logits(first: float, second: float) -> float:
    """Settles logits by their difference: both orders' mean, as a probability."""
    return 1.0 / (1.0 + math.exp(min(700.0, (second - first) / 2.0)))


def max_logits(logits: Mapping[Pair, float], i: int, num: int) -> tuple[float, float]:
    """What a full matrix M says of contestant i, shown first and second: the means over all `num`
    of M_ij and of -M_ji, one's own 0 among them. Their sum is LLM-Blender's score.
    """
    others = [j for j in range(num) if j != i]
    first = math.fsum(logits[i, j] for j in others) / num
    return first, -math.fsum(logits[j, i] for j in others) / num


def max_wins(logits: Mapping[Pair, float], i: int, num: int) -> tuple[float, float]:
    """As `max_logits`, the numbers of the others beaten: of M_ij > 0 and of M_ji < 0."""
    others = [j for j in range(num) if j != i]
    first = sum(logits[i, j] > 0.0 for j in others)
    return float(first), float(sum(logits[j, i] < 0.0 for j in others))


def both_orders(num: int) -> list[Pair]:
    """All pairs of `num` contestants, each in both orders."""
    return [(i, j) for i in range(num) for j in range(num) if i != j]


def is_knockout(tournament: Literal["full", "knockout"], num: int) -> bool:
    """Whether `num` contestants hold one."""
    return tournament == "knockout" and num > 2


async def knockout(order: Sequence[int], ask: Ask, settle: Settle) -> int | None:
    """The champion of all contestants, who come in in that order; one call for each bout. A tie
    keeps the champion so far. None: a bout could not be decided.
    """
    champion, *challengers = order
    for challenger in challengers:
        first, second = await ask([(champion, challenger), (challenger, champion)])
        if first is None or second is None:
            return None
        if settle(first, second) < 0.5:
            champion = challenger
    return champion
