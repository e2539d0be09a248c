"""The Consensus Game: a generator and a discriminator learn to agree, each held near its own start.

    log P(y | x, v), log P(v | x, y)  --anchors-->  first policies  --solve-->  policies that agree

For each question a verdict v is drawn, correct or incorrect, each with probability 1/2. The
generator sees v and plays a candidate y; the discriminator sees y and guesses v. Both earn 1 if the
guess is right. Each pays lambda * KL(policy || anchor) at each of its information sets: two for the
generator, one per candidate for the discriminator. Both learn by piKL-Hedge.

Known limits of the dynamics:
- The game is common-payoff, not zero-sum: vanishing regret doesn't make the last iterate converge.
  Up to lambda_generator * lambda_discriminator = 1/16, where the default of 0.01 is, there may be
  several equilibria; the anchors and the nearly uniform start choose one.
- After T iterations the anchors weigh 1 - 1 / (1 + eta * lambda * T), 0.98 with the defaults: the
  last iterate is off its fixed point, by 0.03 in a worked game of four candidates, the average by
  0.08. `Equilibrium.residual_Q` says by how much.
- Near a symmetric game below that threshold, differences as small as rounding grow with T. So
  candidates are put in a canonical order first: no bit of a result depends on their order, on
  padding, or on the other questions of the batch.

Sources: Jacob et al. 2023 (arXiv 2310.09139); piKL: Bakhtin et al. 2022 (arXiv 2210.05492). Axes:
Q question, V verdict (0 correct, 1 incorrect), N candidate, P player (0 generator, 1
discriminator), C question of a chunk.
"""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Chunk = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Questions with equally many candidates, and where these stand: [C], [C, N]."""

CLIP = 50.0
"""Nats below the sum at which the first normalisation stops. An anchor at 0 would stay there."""
WIDE = 600.0
"""Nats within which exp() can neither overflow nor empty a whole row."""
CHUNK = 1 << 16
"""Candidates played at once: of fewer, threads would wait for the interpreter lock."""
TINY = 1e-300
"""Stands for a 0 that is to be divided by, or whose logarithm is to be taken."""


@dataclass(frozen=True, slots=True)
class Policies:
    """What both players do; 0.0 where there is no candidate."""

    generator_QVN: Floats
    """P(y | x, v): sums to 1 over N."""
    discriminator_QNV: Floats
    """P(v | x, y): sums to 1 over V."""


@dataclass(frozen=True, slots=True)
class Equilibrium(Policies):
    """What both players do after the last iteration, or did on average, and how good that is."""

    regret_generator_Q: Floats
    """What the best fixed policy in hindsight earns more per iteration, KL included, summed over
    the information sets. In units of payoff; may be below 0."""
    regret_discriminator_Q: Floats
    moved_generator_Q: Floats
    """KL(policy || anchor), nats, at the information set where it is largest."""
    moved_discriminator_Q: Floats
    residual_Q: Floats
    """Largest distance of a probability from the best response to the other player: 0 at a fixed
    point. For lambda = 0 the best response jumps, and so may this."""


def anchors(
    log_generator_QVN: ArrayLike,
    log_discriminator_QNV: ArrayLike,
    *,
    mask_QN: ArrayLike | None = None,
) -> Policies:
    """Return the policies that the model starts with, by the double normalisation.

    The generator's probabilities are normalised over v for each y, then over y for each v: what
    both prompts share, such as length, cancels. The discriminator's are normalised over y for each
    v, then over v for each y: a bias towards one verdict cancels. The first normalisation gives at
    least exp(-50), and even shares to what is -inf throughout.

    log_generator_QVN: [Q, 2, N] log P(y | x, v), nats; -inf is allowed. Equal candidates are the
        caller's to merge: each is played as one.
    log_discriminator_QNV: [Q, N, 2] log P(v | x, y), nats.
    mask_QN: [Q, N] True where there is a candidate; what stands elsewhere is not read. None: all.
    Source: Jacob et al. 2023 (arXiv 2310.09139), initial policies; order of the steps as in public
        implementations, clipping our own.
    Raises ValueError for other shapes, NaN, +inf, and a question without candidates.
    """
    batch = _Batch(log_generator_QVN, log_discriminator_QNV, mask_QN)
    for chunk in batch.chunks():
        batch.write(chunk, [np.exp(log_VNC) for log_VNC in batch.log_anchors(chunk)])
    return Policies(batch.generator_QVN, batch.discriminator_QNV)


def solve(
    log_generator_QVN: ArrayLike,
    log_discriminator_QNV: ArrayLike,
    *,
    mask_QN: ArrayLike | None = None,
    lambda_generator: float = 0.1,
    lambda_discriminator: float = 0.1,
    eta_generator: float = 0.1,
    eta_discriminator: float = 0.1,
    iterations: int = 5000,
    iterate: Literal["last", "average"] = "last",
    first: Literal["anchor", "uniform"] = "anchor",
) -> Equilibrium:
    """Play every question's game; both players move at once.

        pi(t+1) ~ exp{(q(t) + lambda log anchor) / (1 / (eta t) + lambda)}
        q(t) = half the mean of the other player's pi(1) ... pi(t)

    log_generator_QVN, log_discriminator_QNV, mask_QN: as in `anchors`.
    lambda_*: pull of the anchor, payoff per nat; 0 is plain Hedge. eta_*: learning rate.
    iterations: T, the number of updates.
    iterate: `last` returns pi(T+1), `average` the mean of pi(1) ... pi(T). Regret is always theirs.
    first: pi(1), the anchors or uniform.
    Source: Jacob et al. 2023 (arXiv 2310.09139), update and defaults; not its choice of iterate.
    Raises ValueError as `anchors`, and for settings out of range.
    """
    rules = (lambda_generator, eta_generator), (lambda_discriminator, eta_discriminator)
    _check(rules, iterations, iterate, first)
    batch = _Batch(log_generator_QVN, log_discriminator_QNV, mask_QN)
    figures_5Q = np.zeros((5, len(batch.num_Q)))

    def play(chunk: Chunk) -> None:
        pairs = zip(batch.log_anchors(chunk), rules, strict=True)
        players = [_Player(log_VNC, 1 - p, *rule) for p, (log_VNC, rule) in enumerate(pairs)]
        payoff_C = _play(players, iterations, at_anchor=first == "anchor")
        policies = [p.policy_VNC if iterate == "last" else p.sum_VNC / iterations for p in players]
        batch.write(chunk, policies)
        figures_5Q[:, chunk[0]] = _figures(players, policies, payoff_C, iterations)

    # NumPy lets go of the interpreter lock inside its loops, so threads share the cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(play, batch.chunks()))
    return Equilibrium(batch.generator_QVN, batch.discriminator_QNV, *figures_5Q)


def _check(rules: Iterable[tuple[float, float]], num: int, iterate: str, first: str) -> None:
    if not all(0.0 <= lambda_ < math.inf and 0.0 < eta < math.inf for lambda_, eta in rules):
        raise ValueError(f"wanted finite lambda >= 0 and eta > 0, got (lambda, eta) = {rules}")
    if num < 1 or iterate not in ("last", "average") or first not in ("anchor", "uniform"):
        raise ValueError(
            "wanted iterations >= 1, iterate last or average, first anchor or uniform, "
            f"got {num}, {iterate!r}, {first!r}"
        )


class _Batch:
    """All questions, checked; read and written by chunks that need no mask."""

    def __init__(self, log_g: ArrayLike, log_d: ArrayLike, mask_QN: ArrayLike | None) -> None:
        generator, discriminator = np.asarray(log_g, np.float64), np.asarray(log_d, np.float64)
        shape_QN = generator.shape[::2]
        mask = np.ones(shape_QN, np.bool_) if mask_QN is None else np.asarray(mask_QN, np.bool_)
        got = (generator.shape, discriminator.shape, mask.shape)
        if generator.ndim != 3 or got != ((shape_QN[0], 2, shape_QN[1]), (*shape_QN, 2), shape_QN):
            raise ValueError(
                "wanted log_generator [Q, 2, N], log_discriminator [Q, N, 2] and mask [Q, N], "
                f"got shapes {', '.join(map(str, got))}"
            )
        logs_Q4N = np.concatenate([generator, discriminator.transpose(0, 2, 1)], axis=1)
        self.logs_Q4N = np.where(mask[:, None], logs_Q4N, 0.0)
        bad_Q = (np.isnan(self.logs_Q4N) | np.isposinf(self.logs_Q4N)).any(axis=(1, 2))
        if bad_Q.any():
            raise ValueError(f"question {bad_Q.argmax()}: wanted log-probabilities, got NaN or inf")
        self.num_Q = mask.sum(axis=1)
        if not self.num_Q.all():
            raise ValueError(f"question {self.num_Q.argmin()}: wanted a candidate, got none")
        # By presence, then by the four numbers: only equal candidates are interchangeable.
        self.order_QN = np.lexsort((*self.logs_Q4N.transpose(1, 0, 2), ~mask))
        self.generator_QVN = np.zeros(generator.shape)
        self.discriminator_QNV = np.zeros(discriminator.shape)

    def chunks(self) -> Iterator[Chunk]:
        for num in np.unique(self.num_Q):
            rows, size = np.flatnonzero(self.num_Q == num), max(1, CHUNK // int(num))
            for start in range(0, len(rows), size):
                rows_C = rows[start : start + size]
                # Of one column alone NumPy adds up the rows in another order, hence other bits.
                rows_C = rows_C if len(rows_C) > 1 else rows_C.repeat(2)
                yield rows_C, self.order_QN[rows_C, :num]

    def log_anchors(self, chunk: Chunk) -> list[Floats]:
        """Double normalisation of both players. [V, N, C] each"""
        rows_C, order_CN = chunk
        logs_C4N = np.take_along_axis(self.logs_Q4N[rows_C], order_CN[:, None], axis=2)
        logs_PVNC = np.ascontiguousarray(logs_C4N.transpose(1, 2, 0)).reshape(2, 2, -1, len(rows_C))
        clipped = [np.maximum(_normalised(x, axis=p), -CLIP) for p, x in enumerate(logs_PVNC)]
        return [_normalised(x, axis=1 - p) for p, x in enumerate(clipped)]

    def write(self, chunk: Chunk, policies: Sequence[Floats]) -> None:
        """Put policies [V, N, C] where they belong."""
        rows_C1, order_CN = chunk[0][:, None], chunk[1]
        for v in range(2):
            self.generator_QVN[rows_C1, v, order_CN] = policies[0][v].T
            self.discriminator_QNV[rows_C1, order_CN, v] = policies[1][v].T


class _Player:
    """One player in one chunk: its policy now, and sums over what it did. The generator chooses
    along axis 1, a candidate for each verdict; the discriminator along axis 0.
    """

    def __init__(self, log_anchor_VNC: Floats, axis: int, lambda_: float, eta: float) -> None:
        self.log_anchor_VNC, self.axis, self.lambda_, self.eta = log_anchor_VNC, axis, lambda_, eta
        self.policy_VNC, self.exponent_VNC = np.empty((2, *log_anchor_VNC.shape))
        self.scale = np.empty_like(log_anchor_VNC.take([0], axis))
        self.sum_VNC = np.zeros_like(log_anchor_VNC)
        self.entropy_C = np.zeros(log_anchor_VNC.shape[-1])

    def weights(self, t: int) -> tuple[float, float]:
        """Of the opponent's summed policies and of the log anchor, after t iterations."""
        stiffness = 1.0 / self.eta + self.lambda_ * t
        return 0.5 / stiffness, self.lambda_ * t / stiffness

    def act(self, opponent_sum_VNC: Floats, weights: tuple[float, float], *, wide: bool) -> None:
        np.multiply(opponent_sum_VNC, weights[0], out=self.exponent_VNC)
        np.multiply(self.log_anchor_VNC, weights[1], out=self.policy_VNC)
        self.exponent_VNC += self.policy_VNC
        if wide:
            self.exponent_VNC -= self.exponent_VNC.max(axis=self.axis, keepdims=True)
        np.exp(self.exponent_VNC, out=self.policy_VNC)
        np.add.reduce(self.policy_VNC, axis=self.axis, keepdims=True, out=self.scale)
        np.reciprocal(self.scale, out=self.scale)
        self.policy_VNC *= self.scale

    def remember(self) -> None:
        """Add the policy and its entropy, -log scale - <policy, exponent>, to the sums."""
        self.sum_VNC += self.policy_VNC
        self.entropy_C -= np.log(self.scale).sum(axis=(0, 1))
        self.entropy_C -= _dot(self.policy_VNC, self.exponent_VNC)

    def best(self, opponent_VNC: Floats) -> tuple[Floats, Floats]:
        """Best response, its worth lambda * LSE(payoff / lambda + log anchor). [V, N, C], [C]"""
        payoff_VNC, scale = 0.5 * opponent_VNC, max(self.lambda_, TINY)
        top = payoff_VNC.max(axis=self.axis, keepdims=True)
        exponent_VNC = (payoff_VNC - top) / scale + self.log_anchor_VNC
        log_norm = _log_sum(exponent_VNC, self.axis)
        return np.exp(exponent_VNC - log_norm), (top + scale * log_norm).sum(axis=(0, 1))


def _play(players: Sequence[_Player], iterations: int, *, at_anchor: bool) -> Floats:
    """Leave both players after the last update; return their mean payoff. [C]"""
    generator, discriminator = players
    wide = max(p.weights(iterations)[0] for p in players) * iterations + 2.0 * CLIP > WIDE
    payoff_C = np.zeros_like(generator.entropy_C)
    for t in range(iterations + 1):
        for player, opponent in ((generator, discriminator), (discriminator, generator)):
            weights = (0.0, 1.0) if at_anchor and t == 0 else player.weights(t)
            player.act(opponent.sum_VNC, weights, wide=wide)
        if t < iterations:
            payoff_C += _dot(generator.policy_VNC, discriminator.policy_VNC)
            generator.remember()
            discriminator.remember()
    return payoff_C / (2 * iterations)


def _figures(
    players: Sequence[_Player], policies: Sequence[Floats], payoff_C: Floats, num: int
) -> Floats:
    """Both regrets, both distances from the anchors, the residual. [5, C]"""
    regret, moved, residual = [], [], []
    for p, player in enumerate(players):
        _, hindsight_C = player.best(players[1 - p].sum_VNC / num)
        kl_C = -(player.entropy_C + _dot(player.sum_VNC, player.log_anchor_VNC)) / num
        regret.append(hindsight_C - (payoff_C - player.lambda_ * kl_C))
        log_VNC = np.log(np.maximum(policies[p], TINY)) - player.log_anchor_VNC
        moved.append((policies[p] * log_VNC).sum(axis=player.axis).max(axis=0))
        response_VNC, _ = player.best(policies[1 - p])
        residual.append(np.abs(policies[p] - response_VNC).max(axis=(0, 1)))
    return np.stack([*regret, *moved, np.maximum(*residual)])


def _dot(left_VNC: Floats, right_VNC: Floats) -> Floats:
    dot_C: Floats = np.einsum("vnc,vnc->c", left_VNC, right_VNC)
    return dot_C


def _normalised(log_VNC: Floats, axis: int) -> Floats:
    """Log-probabilities that sum to 1 over the axis; even where all are -inf."""
    nowhere = np.isneginf(log_VNC.max(axis=axis, keepdims=True))
    log_VNC = np.where(nowhere, 0.0, log_VNC)
    return log_VNC - _log_sum(log_VNC, axis)


def _log_sum(log_VNC: Floats, axis: int) -> Floats:
    top = log_VNC.max(axis=axis, keepdims=True)
    total: Floats = top + np.log(np.exp(log_VNC - top).sum(axis=axis, keepdims=True))
    return total
