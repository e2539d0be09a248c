"""A run on a cluster that is not here, event by event: one driver, its pool, its replicas.

    driver, one core --opens items--> line --> least-loaded replica with room
        ^                                          | its engine gives each of its b sequences one
        |                                          v token per step of `step + b * each`
        +-- reply: record; a shard is full: probes, then commit

It does what pipelines/runner.py (window, shards, vouch) and cluster/pool.py (line, load, in_flight)
do, without deaths: a call's weight is held until its longest candidate ends. Time is in seconds.
Left out: prefill on top of a step, a network that is full, and pools of several models.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

Lengths = Callable[[np.random.Generator, int], NDArray[np.int64]]
"""(random source, candidates of one item) -> tokens of each."""
Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One replica: `Engine(step=0.004, each=5e-5)`."""

    step: float
    """Seconds of a step of the model, however few sequences there are."""
    each: float = 0.0
    """Seconds that a step takes longer for each sequence."""
    latency: float = 0.0
    """Seconds before a call's first token that slow nobody else."""
    in_flight: int = 128
    """Sequences that the pool sends it at once, as `models.<name>.in_flight`."""

    @property
    def ideal(self) -> float:
        """Tokens per second with `in_flight` sequences at every step."""
        return self.in_flight / (self.step + self.each * self.in_flight)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds of the driver's core, and of the way to a replica and back."""

    item: float = 0.0
    """To open an item, call a replica, and keep the record."""
    candidate: float = 0.0
    """To read, grade and count one more candidate."""
    token: float = 0.0
    """To read one more token."""
    commit: float = 0.0
    """To write a shard."""
    probe: float = 0.0
    """To ask one replica, before a commit, whether it still computes what its pool does."""
    choice: float = 0.0
    """Of each replica, whenever one of them all is chosen for a call."""
    round_trip: float = 0.0
    """Not the driver's time: a call's way through Ray and the network, and back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is asked: `Work(num_items=1000, num_candidates=16, shard_size=16, lengths=...)`."""

    num_items: int
    num_candidates: int
    """Of one item; they go out as one call."""
    shard_size: int
    lengths: Lengths


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How the run went."""

    seconds: float
    num_items: int
    num_tokens: int
    driver_share: float
    """Of the time, that the driver's core was at work."""
    tail_share: float
    """Of all replica-seconds, those after a replica's last call."""

    @property
    def items_per_second(self) -> float:
        return self.num_items / self.seconds

    @property
    def tokens_per_second(self) -> float:
        return self.num_tokens / self.seconds


def forecast(
    work: Work, engine: Engine, costs: Costs, *, num_replicas: int, seed: int = 0
) -> Forecast:
    """Run the model once. The same seed gives the same forecast."""
    return _Run(work, engine, costs, num_replicas, seed).result()


class _Replica:
    """An engine under continuous batching.

    `_depth` is how many tokens a sequence would have that was there from the start. All sequences
    grow alike, so one that joins at depth d with L tokens ends at depth d + L.
    """

    def __init__(self, env: simpy.Environment, engine: Engine, number: int) -> None:
        self.number = number
        self.load = 0
        self.dry_since = 0.0
        self.vouched = -1.0
        """When its latest probe began."""
        self._env = env
        self._engine = engine
        self._depth = 0.0
        self._looked = 0.0
        self._ends: list[tuple[float, int, list[int], simpy.Event]] = []
        self._ticket = itertools.count()
        self._timer = 0

    @property
    def step(self) -> float:
        return self._engine.step + self._engine.each * len(self._ends)

    def generate(self, lengths: NDArray[np.int64]) -> simpy.Event:
        """An event at the end of the longest."""
        self._deepen()
        done, left = self._env.event(), [len(lengths)]
        for length in lengths.tolist():
            heapq.heappush(self._ends, (self._depth + length, next(self._ticket), left, done))
        self._wait()
        return done

    def _deepen(self) -> None:
        self._depth += (self._env.now - self._looked) / self.step
        self._looked = self._env.now

    def _wait(self) -> None:
        """For the next sequence's end; a timer that was set before is void."""
        self._timer += 1
        if self._ends:
            seconds = max(0.0, self._ends[0][0] - self._depth) * self.step
            timer = self._env.timeout(seconds, self._timer)
            timer.callbacks.append(self._on_timer)

    def _on_timer(self, timer: simpy.Event) -> None:
        if timer.value != self._timer:
            return
        self._deepen()
        self._depth = self._ends[0][0]  # Rounding must not leave it just short of the end.
        while self._ends and self._ends[0][0] <= self._depth:
            *_, left, done = heapq.heappop(self._ends)
            left[0] -= 1
            if not left[0]:
                done.succeed()
        self._wait()


class _Pool:
    """See cluster/pool.py. Every call has the same weight."""

    def __init__(self, env: simpy.Environment, replicas: list[_Replica], limit: int) -> None:
        self._env = env
        self._limit = limit
        self._line: deque[tuple[simpy.Event, int]] = deque()
        self._by_load = [(0, replica.number, replica) for replica in replicas]

    def take(self, weight: int) -> simpy.Event:
        """An event that gives the replica which takes the call."""
        taken = self._env.event()
        self._line.append((taken, weight))
        self._serve()
        return taken

    def give(self, replica: _Replica, weight: int) -> None:
        """The call is answered."""
        self._move(replica, -weight)
        if not replica.load:
            replica.dry_since = self._env.now
        self._serve()

    def _serve(self) -> None:
        while self._line:
            load, _, replica = self._by_load[0]
            if load != replica.load:
                heapq.heappop(self._by_load)  # It moved since; its present load is in there too.
                continue
            taken, weight = self._line[0]
            if load and load + weight > self._limit:
                return
            self._line.popleft()
            self._move(replica, weight)
            taken.succeed(replica)

    def _move(self, replica: _Replica, weight: int) -> None:
        replica.load += weight
        heapq.heappush(self._by_load, (replica.load, replica.number, replica))


class _Run:
    """See pipelines/runner.py."""

    def __init__(
        self, work: Work, engine: Engine, costs: Costs, num_replicas: int, seed: int
    ) -> None:
        self._work, self._engine, self._costs = work, engine, costs
        self._env = simpy.Environment()
        self._replicas = [_Replica(self._env, engine, i) for i in range(num_replicas)]
        self._pool = _Pool(self._env, self._replicas, engine.in_flight)
        self._rng = np.random.default_rng(seed)
        self._window = max(4, -(-2 * num_replicas * engine.in_flight // work.num_candidates))
        self._choice = costs.choice * num_replicas
        self._open = 0
        self._left = self._env.event()
        self._driver_free = 0.0
        self._driver_busy = 0.0
        self._tokens = 0
        self._end = 0.0
        self._receipts: dict[int, list[tuple[_Replica, float]]] = {}

    def result(self) -> Forecast:
        self._env.process(self._feed())
        self._env.run()
        idle = sum(self._end - replica.dry_since for replica in self._replicas)
        return Forecast(
            seconds=self._end,
            num_items=self._work.num_items,
            num_tokens=self._tokens,
            driver_share=self._driver_busy / self._end,
            tail_share=idle / (self._end * len(self._replicas)),
        )

    def _drive(self, seconds: float) -> simpy.Event:
        """The driver's core: first come, first served."""
        self._driver_free = max(self._env.now, self._driver_free) + seconds
        self._driver_busy += seconds
        return self._env.timeout(self._driver_free - self._env.now)

    def _feed(self) -> Steps:
        for index in range(self._work.num_items):
            while self._open >= self._window:
                self._left = self._env.event()
                yield self._left
            self._open += 1
            # How an item's cost splits between its two ends is a guess; its sum is measured.
            yield self._drive((self._costs.item + self._choice) / 2)
            self._env.process(self._item(index // self._work.shard_size))

    def _item(self, shard: int) -> Steps:
        env, costs, num = self._env, self._costs, self._work.num_candidates
        lengths = self._work.lengths(self._rng, num)
        num_tokens = int(lengths.sum())
        replica = yield self._pool.take(num)
        yield env.timeout(costs.round_trip / 2 + self._engine.latency)
        yield replica.generate(lengths)
        yield env.timeout(costs.round_trip / 2)
        yield self._drive((costs.item + self._choice) / 2)
        self._pool.give(replica, num)
        receipt = (replica, env.now)
        yield self._drive(costs.candidate * num + costs.token * num_tokens)
        self._tokens += num_tokens
        receipts = self._receipts.setdefault(shard, [])
        receipts.append(receipt)
        begin = shard * self._work.shard_size
        if len(receipts) == min(self._work.shard_size, self._work.num_items - begin):
            yield from self._commit(self._receipts.pop(shard))
        self._open -= 1
        if not self._left.triggered:
            self._left.succeed()

    def _commit(self, receipts: list[tuple[_Replica, float]]) -> Steps:
        """One probe after the other, as the runner does."""
        for replica, moment in receipts:
            if replica.vouched < moment:
                replica.vouched = self._env.now
                yield self._drive(self._costs.probe)
                wait = self._costs.round_trip + self._engine.latency + replica.step
                yield self._env.timeout(wait)
        yield self._drive(self._costs.commit)
        self._end = max(self._end, self._env.now)
