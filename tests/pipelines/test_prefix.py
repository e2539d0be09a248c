"""The published best-of-N: first draws, highest reward, ties to the lowest index."""

import numpy as np
import pytest

from pipelines.methods.prefix import pick

GOLD = [[1, 0, 1], [0, 1, 1]]
REWARDS = [[0.2, 0.9, 0.5], [0.1, 0.3, 0.3]]


def score(rewards: list, k: int) -> float:
    """Per cent right among the picked."""
    picked = [gold[pick(own, k)] for own, gold in zip(rewards, GOLD, strict=True)]
    return 100 * sum(picked) / len(picked)


def test_the_worked_example_picks_as_published() -> None:
    assert [[pick(own, k) for own in REWARDS] for k in (1, 2, 3)] == [[0, 0], [1, 1], [1, 1]]
    assert [score(REWARDS, k) for k in (1, 2, 3)] == [50, 50, 50]
    assert [score(GOLD, k) for k in (1, 2)] == [50, 100]


def test_one_draw_is_the_first_whatever_the_rewards() -> None:
    rng = np.random.default_rng(1)
    assert all(pick(list(rng.random(8)), 1) == 0 for _ in range(20))


def test_the_oracle_never_falls_with_more_draws_and_a_reward_may() -> None:
    rng = np.random.default_rng(2)
    gold_QN = (rng.random((200, 16)) < 0.3).astype(float)
    oracle = [sum(row[pick(row, k)] for row in gold_QN) for k in range(1, 17)]
    assert oracle == sorted(oracle)
    worse = [sum(row[pick(1 - row, k)] for row in gold_QN) for k in range(1, 17)]
    assert worse[-1] < worse[0]


def test_no_verdict_loses_to_every_score_and_ties_with_itself() -> None:
    assert pick([None, float("-1e300"), None], 3) == 1
    assert pick([None, None], 2) == 0


def test_humaneval_scores_are_multiples_of_one_in_164() -> None:
    points = [round(100 * right / 164, 3) for right in (98, 121, 151, 102)]
    assert points == [59.756, 73.780, 92.073, 62.195]


@pytest.mark.parametrize("k", [0, 4])
def test_more_draws_than_there_are_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="wanted 1 <= k <= N=3"):
        pick([0.1, 0.2, 0.3], k)
