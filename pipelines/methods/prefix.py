"""Best-of-k of the first k draws: the protocol of Song et al. 2024 (arXiv 2407.10457), section 5.

    scores of N draws --first k--> the highest, of equal ones the lowest index --> its gold

One prefix of one pool is one draw of a noisy figure; `estimators.best_of_k` averages it over all
k-subsets. Axes: N candidate.
"""

from collections.abc import Sequence
from math import inf


def pick(scores_N: Sequence[float | None], k: int) -> int:
    """Index of the best of the first k; of equal scores the lowest.

    scores_N: [N] higher is better; None is no verdict and loses to every score. With k = 1 it is
        the first draw, whatever the scores. With gold as the score this is the oracle, which never
        falls with k; a reward may.
    Raises ValueError unless 1 <= k <= N.
    """
    if not 1 <= k <= len(scores_N):
        raise ValueError(f"wanted 1 <= k <= N={len(scores_N)} draws, got k={k}")
    return max(range(k), key=lambda i: (_known(scores_N[i]), -i))


def _known(score: float | None) -> float:
    return -inf if score is None else score
