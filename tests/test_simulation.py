"""The model that tests/bench/simulate.py predicts with, against sums that can be done by hand.

Every run ends with a probe, one step long, of each replica that had a part in the last shard.
"""

import numpy as np
import pytest

from tests.bench.cluster_model import Costs, Engine, Forecast, Lengths, Work, forecast
from tests.bench.driver_fit import solve
from tests.bench.recovery import Watch
from tests.bench.simulate import NIM, VLLM, published, replicas_fed
from tests.bench.watched import Look


def always(*tokens: int) -> Lengths:
    return lambda rng, num: np.array(tokens[:num])


def run(
    *tokens: int,
    num_items: int,
    engine: Engine,
    num_replicas: int = 1,
    costs: Costs | None = None,
    shard_size: int = 16,
) -> Forecast:
    work = Work(
        num_items=num_items,
        num_candidates=len(tokens),
        shard_size=shard_size,
        lengths=always(*tokens),
    )
    return forecast(work, engine, costs or Costs(), num_replicas=num_replicas)


def test_a_lone_candidate_takes_its_tokens_times_a_step_of_one_sequence():
    found = run(100, num_items=1, engine=Engine(step=0.01, each=0.001, latency=0.5))
    assert found.seconds == pytest.approx(0.5 + 100 * 0.011 + 0.51)
    assert found.num_tokens == 100


def test_steps_grow_with_the_sequences_and_shrink_as_the_short_ones_end():
    found = run(10, 30, num_items=1, engine=Engine(step=0.01, each=0.001))
    assert found.seconds == pytest.approx(10 * 0.012 + 20 * 0.011 + 0.01)


def test_a_call_holds_its_place_until_its_longest_candidate_ends():
    engine = Engine(step=0.01, in_flight=2)
    assert run(10, 30, num_items=4, engine=engine).seconds == pytest.approx(4 * 30 * 0.01 + 0.01)


def test_an_idle_replica_takes_a_call_that_is_larger_than_its_room():
    assert run(5, 5, 5, num_items=2, engine=Engine(step=1.0, in_flight=2)).seconds == 10 + 1


def test_replicas_share_the_items_and_one_runs_dry_before_the_other():
    engine = Engine(step=1.0, in_flight=1)
    found = run(10, num_items=3, engine=engine, num_replicas=2)
    assert found.seconds == 20 + 2
    assert found.tail_share == pytest.approx((2 + 12) / (2 * 22))


def test_a_driver_with_more_work_than_time_sets_the_pace():
    costs = Costs(item=0.1, candidate=0.1, token=0.01)
    found = run(10, num_items=50, engine=Engine(step=1e-6), num_replicas=8, costs=costs)
    assert found.seconds == pytest.approx(50 * 0.3, rel=0.01)
    assert found.driver_share == pytest.approx(1.0, rel=0.01)


def test_the_choice_of_a_replica_costs_as_much_as_there_are_replicas():
    engine, costs = Engine(step=1e-6), Costs(choice=0.001)
    small, large = (
        run(1, num_items=100, engine=engine, num_replicas=num, costs=costs) for num in (1, 50)
    )
    assert large.seconds == pytest.approx(50 * small.seconds, rel=0.05)


def test_a_commit_probes_each_replica_of_its_shard_after_the_other():
    costs = Costs(round_trip=2.0, commit=1.0)
    engine = Engine(step=0.5, in_flight=1)
    found = run(1, num_items=4, engine=engine, num_replicas=4, costs=costs, shard_size=4)
    assert found.seconds == pytest.approx(2.5 + 4 * 2.5 + 1.0)


def test_the_same_seed_gives_the_same_forecast():
    def drawn(rng: np.random.Generator, num: int) -> np.ndarray:
        return rng.integers(1, 100, num)

    work = Work(num_items=40, num_candidates=4, shard_size=16, lengths=drawn)
    first, again, other = (
        forecast(work, Engine(step=0.01), Costs(), num_replicas=3, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_the_fit_finds_the_costs_that_made_the_seconds():
    rows = [[100, 100, 1], [100, 1600, 1], [900, 900, 1], [10, 10, 1]]
    seconds = [0.001 * items + 0.0002 * candidates + 0.3 for items, candidates, _ in rows]
    assert solve(rows, seconds) == pytest.approx([0.001, 0.0002, 0.3])


def test_published_engines_give_back_what_was_published():
    nim = published(NIM)
    for num, rate in NIM:
        assert num / (nim.step + nim.each * num) == pytest.approx(rate, rel=0.15)
    assert 256 / (VLLM.step + VLLM.each * 256) == pytest.approx(8088.35)


def test_a_driver_feeds_as_many_replicas_as_keep_it_busy():
    costs = Costs(item=0.001, choice=1e-6)
    fed = replicas_fed(costs, 2.0)
    assert fed * 2.0 * (0.001 + 1e-6 * fed) == pytest.approx(0.8, rel=0.01)
    assert replicas_fed(Costs(item=0.001), 2.0) == 400


def look(seconds: float, tokens: int, pid: int) -> Look:
    return Look(
        seconds=seconds, cpu_seconds=0.0, status={"tokens": tokens, "replicas": [{"pid": pid}]}
    )


def test_only_what_the_replacement_adds_ends_a_recovery():
    watch = Watch()
    moments = [(1.0, 0, 7), (2.0, 5, 7), (3.0, 9, 7), (4.0, 9, 8), (5.0, 12, 8)]
    assert [watch.see(look(*moment)) for moment in moments] == [0, 7, 0, 0, 0]
    assert (watch.first_token, watch.killed, watch.new_token) == (2.0, 2.0, 5.0)
