"""What a method would score with k draws, estimated from one pool of N >= k draws.

    pool of N candidates --every k-subset, equally likely--> method picks --> mean credit

pass_at_k, best_of_k and majority_at_k are exact for every N; weighted_majority_at_k is exact while
there are few subsets, else Monte Carlo.

Ties are shared equally: the expected credit under a random tie-break. A winning group of equal
answers earns the mean credit of its drawn members, so no result depends on the order of the pool.

Axes: N candidate, G group of equal answers, L level of equal scores, S subset, B (top count,
quadrature node), K draw size 0 ... k, J members drawn from one group.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, combinations

import numpy as np
import numpy.typing as npt

from pipelines.methods.votes import TIE

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ROWS = 4096
"""Subsets weighed at once; bounds memory, not the result."""


class Estimate(float):
    """A mean over k-subsets: `Estimate(0.61, mc_error=0.004)`. Behaves as the float that it is."""

    mc_error: float
    """Standard error of a Monte Carlo average over subsets, in units of credit; 0.0: exact."""

    def __new__(cls, value: float, mc_error: float = 0.0) -> "Estimate":
        estimate = super().__new__(cls, value)
        estimate.mc_error = float(mc_error)
        return estimate


def pass_at_k(num: int, num_correct: int, k: int) -> float:
    """Share of the k-subsets of `num` draws that hold at least one of the `num_correct` right ones.

    1 - C(n-c, k) / C(n, k), as the product 1 - prod_{i=n-c+1..n} (1 - k/i), which cannot overflow.
    Source: Chen et al. 2021 (arXiv 2107.03374), section 2.1 and figure 3.
    Raises ValueError unless 1 <= k <= num and 0 <= num_correct <= num.
    """
    _check_sizes(k, draws=num)
    if not 0 <= num_correct <= num:
        raise ValueError(f"wanted 0 <= num_correct <= num={num}, got num_correct={num_correct}")
    return 1.0 - float(_share_within(num, k)[num - num_correct])


def best_of_k(scores_N: Sequence[float | None], gold_N: Sequence[float], k: int) -> Estimate:
    """Mean gold of the best-scored candidate of a k-subset; exact.

    With scores ascending, the candidate at rank i is the best of C(i-1, k-1) subsets. Summed over
    a level of equal scores, with c candidates at or below it: (C(c, k) - C(c', k)) / C(N, k) times
    the level's mean gold, where c' counts those below it. With gold as the score this is the
    oracle, and pass@k if gold is 0 or 1.

    scores_N: [N] higher is better, infinities allowed. None is no verdict: it loses to every score,
        and among themselves such candidates tie.
    gold_N: [N] what the chosen candidate is worth: a credit in [0, 1], or any finite number.
    Raises ValueError for NaN, unequal lengths, and unless 1 <= k <= N.
    """
    num = len(scores_N)
    _check_sizes(k, scores=num, gold=len(gold_N))
    gold = _numbers("gold", gold_N)
    if any(score is not None and math.isnan(score) for score in scores_N):
        raise ValueError(f"wanted numbers, or None for no verdict, got scores {list(scores_N)}")
    scored = sorted({score for score in scores_N if score is not None})
    level_of = {score: level for level, score in enumerate(scored, start=1)}
    level_N = np.array([0 if score is None else level_of[score] for score in scores_N])
    count_L = np.bincount(level_N)
    gold_L = np.bincount(level_N, weights=gold) / np.maximum(count_L, 1)
    wins_L = np.diff(_share_within(num, k)[np.cumsum(count_L)], prepend=0.0)
    return Estimate(np.clip(wins_L @ gold_L, gold.min(), gold.max()))


def majority_at_k(answers_N: Sequence[str | None], correct_N: Sequence[float], k: int) -> Estimate:
    """Mean credit of the commonest answer of a k-subset, ties shared; exact for every N.

    answers_N: [N] canonical answers. None uses up its draw, but never votes; a subset of only such
        draws earns 0.
    correct_N: [N] credits in [0, 1].
    Source: majority vote of Wang et al. 2022 (arXiv 2203.11171); the mean over subsets is
        `_expected_plurality`.
    Raises ValueError for credits outside [0, 1], unequal lengths, and unless 1 <= k <= N.
    """
    num = len(answers_N)
    _check_sizes(k, answers=num, correct=len(correct_N))
    credit_N = _credits(correct_N)
    groups = _members(answers_N).values()
    size_G = [len(members) for members in groups]
    # Whatever number of a group is drawn, all its members are equally likely to be among them:
    # the drawn ones earn on average what the whole group does.
    credit_G = [float(credit_N[members].mean()) for members in groups]
    if not any(credit_G):
        return Estimate(0.0)
    return Estimate(min(1.0, _expected_plurality(size_G, credit_G, num=num, k=k)))


def weighted_majority_at_k(
    answers_N: Sequence[str | None],
    weights_N: Sequence[float | None],
    correct_N: Sequence[float],
    k: int,
    *,
    seed: int = 0,
    max_subsets: int = 20_000,
    num_subsets: int = 4_096,
) -> Estimate:
    """Mean credit of the answer with the largest sum of weights in a k-subset, ties shared.

    All C(N, k) subsets where these are at most `max_subsets` (or k = N); else `num_subsets` random
    ones, with their standard error. Equal seeds draw equal subsets, nested over k, so differences
    between methods and between draw sizes are paired.

    answers_N: [N] canonical answers; None never votes.
    weights_N: [N] finite and >= 0; None does not vote. If all votes of a subset weigh 0, they tie.
    correct_N: [N] credits in [0, 1]; the winning group earns the mean of its drawn voters.
    Source: weighted vote of Li et al. 2022 (arXiv 2206.02336).
    Raises ValueError for negative or infinite weights, NaN, credits outside [0, 1], unequal
        lengths, num_subsets < 2, and unless 1 <= k <= N.
    """
    num = len(answers_N)
    _check_sizes(k, answers=num, weights=len(weights_N), correct=len(correct_N))
    if num_subsets < 2:
        raise ValueError(f"wanted num_subsets >= 2 (for an error), got {num_subsets}")
    credit_N = _credits(correct_N)
    weight_N = _weights(weights_N)
    votes = zip(answers_N, weights_N, strict=True)
    groups = list(_members([None if weight is None else a for a, weight in votes]).values())
    if not any(credit_N[members].any() for members in groups):
        return Estimate(0.0)
    group_NG = np.zeros((num, len(groups)))
    for group, members in enumerate(groups):
        group_NG[members, group] = 1.0
    total = math.comb(num, k)
    exact = total <= max(1, max_subsets)
    drawn_SN = _subsets(num, k, total, None) if exact else _subsets(num, k, num_subsets, seed)
    credit_S = _weigh(drawn_SN, group_NG, weight_N, credit_N)
    error = 0.0 if exact else credit_S.std(ddof=1) / math.sqrt(num_subsets)
    return Estimate(min(1.0, credit_S.mean()), mc_error=error)


def _expected_plurality(size_G: list[int], credit_G: list[float], *, num: int, k: int) -> float:
    """Mean credit of the largest group in a k-subset of `num` draws, ties shared.

    Let every draw enter on its own with probability k/N: given that k enter, all k-subsets are
    equally likely, groups are independent until then, and no number overflows. For a top count m
    and t groups that reach it, the share 1/t is the integral of y^(t-1) over [0, 1], so

        sum over m  integral dy  [x^k]  sum over g  credit_g b_g(m) x^m  prod over h != g  F_h(x)
        F_h(x) = sum over j < m  b_h(j) x^j  +  y b_h(m) x^m,      b_h(j) = P(j of h enter)

    divided by P(k enter). Gauss-Legendre nodes make the integral of the polynomial exact. All terms
    are positive: the relative error stays near N times machine precision.
    """
    entering = _entering(num, k)
    top_B, tie_B, weight_B = _top_counts(size_G, k)
    j_J = np.arange(min(max(size_G), k) + 1)
    at_top_BJ = j_J == top_B
    allowed_BJ = np.where(j_J < top_B, 1.0, at_top_BJ * tie_B)
    ways_BK = np.tile(entering[num - sum(size_G)], (len(weight_B), 1))
    earned_BK = np.zeros_like(ways_BK)
    # Groups without credit come first: for them there is nothing to keep in `earned`.
    for credit, size in sorted(zip(credit_G, size_G, strict=True)):
        drawn_J = entering[size, : min(size, k) + 1]
        factor_BJ = allowed_BJ[:, : len(drawn_J)] * drawn_J
        if credit > 0.0:
            wins_BJ = at_top_BJ[:, : len(drawn_J)] * (credit * drawn_J)
            earned_BK = _product(earned_BK, factor_BJ) + _product(ways_BK, wins_BJ)
        ways_BK = _product(ways_BK, factor_BJ)
    return float(weight_B @ earned_BK[:, k]) / float(entering[num, k])


def _top_counts(size_G: list[int], k: int) -> tuple[Floats, Floats, Floats]:
    """Every top count with its quadrature nodes: counts [B, 1], nodes [B, 1], weights [B]."""
    rules = []
    for top in range(1, min(max(size_G), k) + 1):
        most_tied = min(k // top, sum(size >= top for size in size_G))
        node_B, weight_B = _unit_interval_rule((most_tied + 1) // 2)
        rules.append((np.full_like(node_B, top), node_B, weight_B))
    top_B, node_B, weight_B = np.hstack(rules)
    return top_B[:, None], node_B[:, None], weight_B


def _product(left_BK: Floats, right_BJ: Floats) -> Floats:
    """Row by row the product of two polynomials, cut after the degree of the left one. [B, K]"""
    product_BK = left_BK * right_BJ[:, :1]
    for j in range(1, right_BJ.shape[1]):
        product_BK[:, j:] += left_BK[:, :-j] * right_BJ[:, j : j + 1]
    return product_BK


def _weigh(drawn_SN: Flags, group_NG: Floats, weight_N: Floats, credit_N: Floats) -> Floats:
    """Credit of each subset under the weighted vote. [S]"""
    voted_N3G = np.hstack([group_NG * weight_N[:, None], group_NG * credit_N[:, None], group_NG])
    credits = []
    for start in range(0, len(drawn_SN), ROWS):
        sums_S3G = drawn_SN[start : start + ROWS].astype(np.float64) @ voted_N3G
        total_SG, credit_SG, count_SG = np.split(sums_S3G, 3, axis=1)
        top_S = total_SG.max(axis=1, keepdims=True)
        won_SG = (count_SG > 0.0) & (total_SG >= top_S * (1.0 - TIE))
        mean_SG = credit_SG / np.maximum(count_SG, 1.0)
        credits.append((won_SG * mean_SG).sum(axis=1) / np.maximum(won_SG.sum(axis=1), 1))
    return np.concatenate(credits)


def _members(answers_N: Sequence[str | None]) -> dict[str, list[int]]:
    """Indices of the candidates of each answer; None has no group."""
    groups: dict[str, list[int]] = {}
    for index, answer in enumerate(answers_N):
        if answer is not None:
            groups.setdefault(answer, []).append(index)
    return groups


def _share_within(num: int, k: int) -> Floats:
    """C(c, k) / C(num, k) for c = 0 ... num: share of k-subsets that lie within c given draws."""
    i = np.arange(num, 0, -1)
    return np.concatenate([[1.0], np.cumprod(np.maximum(i - k, 0) / i)])[::-1]


@lru_cache(maxsize=64)
def _entering(num: int, k: int) -> Floats:
    """P(j of s draws enter), each with probability k/num, for s = 0 ... num, j = 0 ... k."""
    p = k / num
    table = np.zeros((num + 1, k + 1))
    table[0, 0] = 1.0
    for size in range(num):
        table[size + 1] = (1.0 - p) * table[size]
        table[size + 1, 1:] += p * table[size, :-1]
    return table


@lru_cache(maxsize=512)
def _unit_interval_rule(num_nodes: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on [0, 1]: exact for degrees below 2 * num_nodes."""
    node_B, weight_B = np.polynomial.legendre.leggauss(num_nodes)
    return (node_B + 1.0) / 2.0, weight_B / 2.0


@lru_cache(maxsize=32)
def _subsets(num: int, k: int, count: int, seed: int | None) -> Flags:
    """Who is drawn in each of `count` subsets: random ones; with seed None, all of them. [S, N]"""
    if seed is None:
        every = chain.from_iterable(combinations(range(num), k))
        indices_SK = np.fromiter(every, np.intp, count * k).reshape(count, k)
    else:
        indices_SK = np.random.default_rng(seed).random((count, num)).argsort(axis=1)[:, :k]
    drawn_SN = np.zeros((count, num), dtype=np.bool_)
    np.put_along_axis(drawn_SN, indices_SK, True, axis=1)
    return drawn_SN


def _check_sizes(k: int, **lengths: int) -> None:
    num = min(lengths.values())
    if num < max(lengths.values()):
        raise ValueError(f"wanted one value per candidate everywhere, got lengths {lengths}")
    if not 1 <= k <= num:
        raise ValueError(f"wanted 1 <= k <= N={num} draws, got k={k}; draw more or ask for less")


def _numbers(name: str, values_N: Sequence[float]) -> Floats:
    value_N = np.asarray(values_N, dtype=np.float64)
    if not np.isfinite(value_N).all():
        raise ValueError(f"wanted finite {name}, got {list(values_N)}")
    return value_N


def _credits(correct_N: Sequence[float]) -> Floats:
    credit_N = _numbers("credits", correct_N)
    if ((credit_N < 0.0) | (credit_N > 1.0)).any():
        raise ValueError(f"wanted credits in [0, 1], got {list(correct_N)}")
    return credit_N


def _weights(weights_N: Sequence[float | None]) -> Floats:
    weight_N = _numbers("weights", [0.0 if weight is None else weight for weight in weights_N])
    if (weight_N < 0.0).any():
        raise ValueError(f"wanted weights >= 0, got {list(weights_N)}; use votes.positive_weights")
    # Scaled by a power of two, so that no sum overflows and equal sums stay equal.
    return np.ldexp(weight_N, -len(weights_N).bit_length())
