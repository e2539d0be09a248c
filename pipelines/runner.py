"""The whole job: items stream through the method, are graded, become records, are committed shard
by shard.

    shards (lazy, owed only) --> items, at most `in_flight` at once --> solve -> grade -> answers
    --> record
                                                                                   shard complete
                                                                                   --> commit

One loop hands out items in order; each item is one task. A slow item holds back its own shard only:
later shards go on and commit. The invariant that keeps memory flat: no more items are open than
`in_flight`, so no more shards either. A failed item becomes a record with its error; a failed
engine ends the run, with every committed shard kept.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from actors.types import ItemError, LilliputError
from cluster import Fleet
from pipelines.job import Job, Shard, bind
from pipelines.progress import Progress
from pipelines.records import failed, finish
from results.errors import ResultsError
from results.schema import Record
from results.store import Store


async def run(job: Job, store: Store, fleet: Fleet, progress: Progress) -> None:
    """Commit every owed shard. Raises EngineError, ConfigError (a bad row), ResultsError (a full
    disk); what is committed stays.
    """
    roles = bind(job, fleet.models)
    limit = asyncio.Semaphore(_in_flight(job))
    committed = store.committed()
    try:
        async with asyncio.TaskGroup() as group:
            for shard in job.shards():
                if shard.id in committed:
                    progress.skipped(len(shard.items))
                    continue
                work = _Work(shard)
                for position in range(len(shard.items)):
                    await limit.acquire()
                    one = _one(job, work, position, roles, store, progress)
                    group.create_task(one).add_done_callback(lambda _: limit.release())
    except* (LilliputError, ResultsError) as errors:
        # The first failure has cancelled the rest: it is the one to report.
        raise _first(errors) from None


@dataclass
class _Work:
    """A shard under way: its records by position."""

    shard: Shard
    records: dict[int, Record] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.records) == len(self.shard.items)

    def in_order(self) -> list[Record]:
        return [self.records[position] for position in range(len(self.records))]


async def _one(
    job: Job,
    work: _Work,
    position: int,
    roles: Mapping[str, Any],
    store: Store,
    progress: Progress,
) -> None:
    """One item, from question to record; the last one of a shard commits it."""
    item = work.shard.items[position]
    try:
        solution = await job.method.solve(item, job.method_config, **roles)
    except ItemError as error:
        record = failed(item, error)
    else:
        # In a thread: symbolic grading waits for a child process, and the loop must go on feeding
        # engines.
        record = await asyncio.to_thread(finish, job, item, solution)
    work.records[position] = record
    progress.finished(record)
    if work.complete:
        await asyncio.to_thread(store.commit, work.shard.id, work.in_order())


def _in_flight(job: Job) -> int:
    """Items open at once: enough to keep the generator's replicas full while others are scored."""
    config = job.config.models[job.config.roles.generator]
    per_item = getattr(job.method_config, "n", 1)
    return max(4, -(-2 * config.replicas * config.in_flight // per_item))


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
