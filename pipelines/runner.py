"""The whole job: items stream through the method, are graded, become records, are committed shard
by shard.

    shards (lazy, owed only) --> items, at most `in_flight` at once --> solve -> run -> grade
                                                                                -> record
                                                                 shard complete: answers, commit

One loop hands out items in order; each item is one task. A slow item holds back its own shard only:
later shards go on and commit. The invariant that keeps memory flat: no more items are open than
`in_flight`, so no more shards either. A failed item becomes a record with its error; a failed
engine ends the run, with every committed shard kept.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from actors.scorer_table import trusted
from actors.types import ItemError, LilliputError
from cluster import Fleet
from cluster.receipts import Receipt, collected
from pipelines import graders
from pipelines.job import Job, Shard
from pipelines.progress import Progress
from pipelines.records import answered, failed, finish
from pipelines.roles import bind
from pipelines.tested import verdicts
from results.errors import ResultsError
from results.schema import Record
from results.store import Store

logger = logging.getLogger(__name__)


async def run(
    job: Job, store: Store, fleet: Fleet, progress: Progress, stop: asyncio.Event
) -> bool:
    """Commit every owed shard. Once `stop` is set no shard is begun; those that are open are
    finished. Returns whether every owed shard is committed.

    Raises EngineError, ConfigError (a bad row), ResultsError (a full disk); what is committed
    stays.
    """
    line = Line(job, store, fleet)
    await line.trusted()
    try:
        async with asyncio.TaskGroup() as group:
            for shard in owed(job, store, progress):
                if stop.is_set():
                    return False
                await line.feed(shard, group, progress)
    except* (LilliputError, ResultsError) as errors:
        # The first failure has cancelled the rest: it is the one to report.
        raise first(errors) from None
    return True


def owed(job: Job, store: Store, progress: Progress) -> Iterator[Shard]:
    """The shards that are not committed, lazily, in order."""
    committed = store.committed()
    for shard in job.shards():
        if shard.id in committed:
            progress.skipped(len(shard.items))
        else:
            yield shard


class Watcher(Protocol):
    """Hears of every item."""

    def opened(self) -> None:
        """It was handed out."""
        ...

    def finished(self, record: Record, seconds: float) -> None:
        """It is done, well or not, after that many seconds."""
        ...


@dataclass
class _Work:
    """A shard under way: its records by position."""

    shard: Shard
    watcher: Watcher
    records: dict[int, Record] = field(default_factory=dict)
    receipts: dict[int, list[Receipt]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.records) == len(self.shard.items)

    def in_order(self) -> list[Record]:
        return [self.records[position] for position in range(len(self.records))]


class Line:
    """What every item of a run goes through, on one fleet."""

    def __init__(self, job: Job, store: Store, fleet: Fleet) -> None:
        self.job = job
        self.store = store
        self.fleet = fleet
        self.roles = bind(job.config, job.method, fleet.models)
        self.sandbox = fleet.sandbox
        roles, seed = job.config.roles, job.config.seed
        self.graders = graders.bind(roles, fleet.models, seed=seed)
        pools = [fleet.pools[name] for name in job.config.roles.shares]
        self.window = Window(lambda: open_items(job, sum(pool.capacity for pool in pools)))

    async def trusted(self) -> None:
        """Raises ConfigError where a scorer's model fails its trust check: before the first item,
        since its scores would be noise.
        """
        roles = self.job.config.roles
        for role, scorers in (("scorers", roles.scorers), ("graders", roles.graders)):
            for name, scorer in scorers.items():
                where = f"roles.{role}.{name}"
                await trusted(where, scorer, self.fleet.models, self.job.config.models)

    async def feed(self, shard: Shard, group: asyncio.TaskGroup, watcher: Watcher) -> None:
        """Hand out a shard's items as there is room, a task of the group for each; comes back when
        the last one is under way.
        """
        work = _Work(shard, watcher)
        for position in range(len(shard.items)):
            await self.window.enter()
            watcher.opened()
            one = group.create_task(self.one(work, position))
            one.add_done_callback(lambda _: self.window.leave())

    async def one(self, work: _Work, position: int) -> None:
        """One item, from question to record; the last one of a shard commits it."""
        begin = time.monotonic()
        await self.solve(work, position)
        work.watcher.finished(work.records[position], time.monotonic() - begin)
        if work.complete:
            await self.vouch(work)
            records = await asyncio.to_thread(answered, self.job, work.in_order())
            await asyncio.to_thread(self.store.commit, work.shard.id, records)

    async def solve(self, work: _Work, position: int) -> None:
        """The record of one item, and which replicas had a part in it."""
        item, job = work.shard.items[position], self.job
        try:
            with collected() as receipts:
                solution = await job.method.solve(item, job.method_config, **self.roles)
                solution = await graders.graded(item, solution, self.graders)
                texts = [(c.text, c.finish_reason) for c in solution.candidates]
                known = await verdicts(job.task, item, texts, self.sandbox)
        except ItemError as error:
            record = failed(item, error)
        else:
            # In a thread: symbolic grading waits for a child process, and the loop must go on
            # feeding engines.
            record = await asyncio.to_thread(finish, job, item, solution, known)
        work.records[position], work.receipts[position] = record, receipts

    async def vouch(self, work: _Work) -> None:
        """Ask again what a replica answered that has gone wrong since its last good probe."""
        while True:
            vouching = (self.fleet.vouch(receipts) for receipts in work.receipts.values())
            trusted = await asyncio.gather(*vouching)
            doubtful = [p for p, good in zip(work.receipts, trusted, strict=True) if not good]
            if not doubtful:
                return
            logger.warning("%d items of shard %s are asked again", len(doubtful), work.shard.id)
            await asyncio.gather(*(self.solve(work, position) for position in doubtful))


class Window:
    """Items open at once, as many as `limit` says at the moment."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._open = 0
        self._left = asyncio.Event()

    async def enter(self, num: int = 1) -> None:
        """Wait until items may be opened, and count them."""
        while self._open >= self._limit():
            self._left.clear()
            await self._left.wait()
        self._open += num

    def leave(self, num: int = 1) -> None:
        """They are done."""
        self._open -= num
        self._left.set()


def open_items(job: Job, capacity: int) -> int:
    """Items to have open on a generator that holds so many sequences: enough to keep its replicas
    full while others are scored.
    """
    # Several models are asked by an item all at once; a blend's draws go to one of them each.
    asked = len(job.config.roles.shares) if isinstance(job.config.roles.generator, tuple) else 1
    per_item: int = job.method.sends(job.method_config) * asked
    return max(4, -(-2 * capacity // per_item))


def first(errors: BaseExceptionGroup[Exception]) -> Exception:
    """Of the errors of a task group the one that came first, groups within it opened."""
    error = errors.exceptions[0]
    return first(error) if isinstance(error, BaseExceptionGroup) else error
