"""Games, the paper's update one question at a time, and its fixed points, for tests of pikl.

`fixed_point` shares no code with the dynamics: it iterates the best responses, damped.

Axes: V verdict, N candidate. A pair is one question: the generator's [V, N], the discriminator's
[N, V].
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.methods.pikl import Policies, anchors

Floats = npt.NDArray[np.float64]
Pair = tuple[Floats, Floats]

near = pytest.approx


def game(correct: list[float], incorrect: list[float], says_correct: list[float]) -> Pair:
    """One question from probabilities: log generator [1, 2, N], log discriminator [1, N, 2]."""
    says = np.array(says_correct)
    return np.log([[correct, incorrect]]), np.log(np.stack([says, 1.0 - says], axis=-1)[None])


def games(seed: int, num: int, size: int) -> Pair:
    rng = np.random.default_rng(seed)
    generator_QVN = rng.dirichlet(np.ones(size), (num, 2))
    return np.log(generator_QVN), np.log(rng.dirichlet(np.ones(2), (num, size)))


A = game([0.6, 0.4], [0.3, 0.7], [0.7, 0.4])
B = game([0.4, 0.3, 0.2, 0.1], [0.38, 0.2, 0.22, 0.2], [0.55, 0.7, 0.6, 0.3])
SYMMETRIC = game([0.6, 0.4], [0.4, 0.6], [0.7, 0.3])
FLAT = game([0.5, 0.5], [0.5, 0.5], [0.5, 0.5])


def softmax(x: Floats) -> Floats:
    """Over the last axis."""
    odds: Floats = np.exp(x - x.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def first_policies(log_game: Pair) -> Pair:
    """The anchors of one question: generator [V, N], discriminator [N, V]."""
    found = anchors(*log_game)
    return found.generator_QVN[0], found.discriminator_QNV[0]


def responses(policies: Pair, tau: Pair, lambdas: tuple[float, float]) -> Pair:
    """Best responses to each other: both softmax(half the other's policy / lambda + log anchor)."""
    generator, discriminator = policies
    return (
        softmax(discriminator.T / (2 * lambdas[0]) + np.log(tau[0])),
        softmax(generator.T / (2 * lambdas[1]) + np.log(tau[1])),
    )


def fixed_point(tau: Pair, lambdas: tuple[float, float], start: Pair | None = None) -> Pair:
    now, change = start or tau, 1.0
    while change > 1e-13:
        steps = [b - x for b, x in zip(responses(now, tau, lambdas), now, strict=True)]
        now = (now[0] + 0.2 * steps[0], now[1] + 0.2 * steps[1])
        change = max(np.abs(step).max() for step in steps)
    return now


def residuals(policies: Pair, tau: Pair, lam: float) -> list[float]:
    best = responses(policies, tau, (lam, lam))
    return [float(np.abs(x - b).max()) for x, b in zip(policies, best, strict=True)]


def naive(
    tau: Pair,
    lambdas: tuple[float, float] = (0.1, 0.1),
    etas: tuple[float, float] = (0.1, 0.1),
    num: int = 5000,
    uniform: bool = False,
    alternating: bool = False,
) -> list[Pair]:
    """The paper's update as it is written, for one question: pi(1) ... pi(num + 1)."""
    policies = [tau]
    if uniform:
        policies = [(np.full_like(tau[0], 1 / len(tau[1])), np.full_like(tau[1], 0.5))]
    log_tau = np.log(tau[0]), np.log(tau[1])
    q_generator, q_discriminator = np.zeros_like(tau[0]), np.zeros_like(tau[1])
    for t in range(1, num + 1):
        generator, discriminator = policies[-1]
        q_generator = q_generator + (0.5 * discriminator.T - q_generator) / t
        exponent = q_generator + lambdas[0] * log_tau[0]
        moved = softmax(exponent / (1 / (etas[0] * t) + lambdas[0]))
        seen = moved if alternating else generator
        q_discriminator = q_discriminator + (0.5 * seen.T - q_discriminator) / t
        exponent = q_discriminator + lambdas[1] * log_tau[1]
        policies.append((moved, softmax(exponent / (1 / (etas[1] * t) + lambdas[1]))))
    return policies


def kl(policy: Floats, anchor: Floats) -> Floats:
    """KL divergence of each row."""
    ratio = np.log(np.maximum(policy, 1e-300)) - np.log(anchor)
    divergence: Floats = (policy * ratio).sum(axis=-1)
    return divergence


def naive_regrets(played: list[Pair], tau: Pair, lambdas: tuple[float, float]) -> list[float]:
    """By the definition: the best fixed policy's mean utility minus the mean utility."""
    found = []
    for p in range(2):
        pairs = [(policies[p], 0.5 * policies[1 - p].T) for policies in played]
        mean_payoff = np.mean([payoff for _, payoff in pairs], axis=0)
        best = softmax(mean_payoff / lambdas[p] + np.log(tau[p]))
        hindsight = (best * mean_payoff).sum() - lambdas[p] * kl(best, tau[p]).sum()
        earned = [(x * u).sum() - lambdas[p] * kl(x, tau[p]).sum() for x, u in pairs]
        found.append(float(hindsight - np.mean(earned)))
    return found


def potential(policies: Pair, tau: Pair, lam: float) -> float:
    pull = sum(kl(x, anchor).sum() for x, anchor in zip(policies, tau, strict=True))
    return float(0.5 * (policies[0] * policies[1].T).sum() - lam * pull)


def both(lam: float) -> dict[str, Any]:
    return {"lambda_generator": lam, "lambda_discriminator": lam}


def one(found: Policies) -> Pair:
    return found.generator_QVN[0], found.discriminator_QNV[0]


def six(value: Any) -> Any:
    return pytest.approx(np.array(value), abs=1e-5)
