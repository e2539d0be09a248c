"""Tournaments: who is asked to meet whom, whoever decides it.

    full      every pair, in both orders: N (N - 1) bouts
    knockout  the champion so far against the next: 2 (N - 1) bouts; only the champion is known

Both orders are asked, so that a liking for the first place cancels. What comes out holds for those
that were compared: among others it would be something else.
"""

from collections.abc import Awaitable, Callable, Sequence

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
    return first if first == 1.0 - second else 0.5


def both_orders(num: int) -> list[Pair]:
    """All pairs of `num` contestants, each in both orders."""
    return [(i, j) for i in range(num) for j in range(num) if i != j]


async def knockout(num: int, ask: Ask, settle: Settle) -> int | None:
    """The champion of `num` contestants in their order, one call for each bout. A tie keeps the
    champion so far. None: a bout could not be decided.
    """
    champion = 0
    for challenger in range(1, num):
        first, second = await ask([(champion, challenger), (challenger, champion)])
        if first is None or second is None:
            return None
        if settle(first, second) < 0.5:
            champion = challenger
    return champion
