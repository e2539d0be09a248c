"""From what a method got to what is kept: the record of an item, graded; then, for all items of a
shard at once, what every method answers.

All of it is a pure function of candidates and scores, so a run can be graded and ranked again from
its records.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import product
from string import ascii_uppercase
from types import MappingProxyType

from actors.roles import Sandbox
from actors.types import Candidate, FinishReason, Item, ItemError, Message, Score
from pipelines import tested
from pipelines.base import Solution, keywords
from pipelines.graders import credited
from pipelines.job import Job
from pipelines.tasks.base import Task
from pipelines.tested import Verdicts, verdicts
from results.pools import OF, pool_of
from results.schema import (
    AnswerRecord,
    CandidateRecord,
    ErrorRecord,
    GradeRecord,
    ItemOutcome,
    Record,
    ReplyRecord,
    ScoreRecord,
    Turn,
    UsageRecord,
)

NOTHING_RUN: Verdicts = MappingProxyType({})


def finish(job: Job, item: Item, solution: Solution, known: Verdicts = NOTHING_RUN) -> Record:
    """Grade a solution, of which `known` says how its programs ended; `answered` does the rest."""
    graded = [
        credited(
            grade(job.task, item, candidate, _scores_of(solution, position), known), job.ranges
        )
        for position, candidate in enumerate(solution.candidates)
    ]
    return _record(item, candidates=graded, usage=_usage(job, solution), asked=solution.asked)


async def regrade(job: Job, record: Record, sandbox: Sandbox | None = None) -> Record:
    """Grade a record again, as if its candidates had just been drawn; no model is asked."""
    if record.outcome != "ok":
        return record
    item = _item(record)
    texts = [(kept.text, _reason(kept)) for kept in record.candidates]
    known = await verdicts(job.task, item, texts, sandbox)
    graded = [
        credited(_graded(job.task, item, kept, known), job.ranges) for kept in record.candidates
    ]
    return replace(record, candidates=tuple(graded))


def answered(job: Job, records: Iterable[Record]) -> list[Record]:
    """The records with what every ranker answers; those of failed items as they are."""
    records = list(records)
    good = [index for index, record in enumerate(records) if record.outcome == "ok"]
    known = {
        "metrics": job.metrics,
        "scales": job.scales,
        "relative": job.relative,
        "shares": job.config.roles.shares,
    }
    found: Sequence[tuple[AnswerRecord, ...]] = job.method.answers(
        [records[index].candidates for index in good],
        job.method_config,
        **{name: known[name] for name in keywords(job.method.answers)},
    )
    for index, answers in zip(good, found, strict=True):
        records[index] = replace(records[index], answers=answers)
    return records


def grade(
    task: Task,
    item: Item,
    candidate: Candidate,
    scores: Sequence[ScoreRecord],
    known: Verdicts = NOTHING_RUN,
) -> CandidateRecord:
    """The record of one candidate."""
    kept = CandidateRecord(
        index=candidate.index,
        member=candidate.member,
        decoding=candidate.decoding,
        text=candidate.text,
        answer=None,
        outcome="error",
        finish_reason=candidate.finish_reason,
        prompt_tokens=candidate.prompt_tokens,
        tokens=candidate.tokens,
        logprob=candidate.logprob,
        seed=candidate.seed,
        correct=None,
        grade=(),
        seconds=candidate.seconds,
        scores=tuple(scores),
        arm=candidate.arm,
        replies=tuple(ReplyRecord(**asdict(reply)) for reply in candidate.replies),
    )
    return _graded(task, item, kept, known)


def failed(item: Item, error: ItemError) -> Record:
    """The record of an item that could not be answered."""
    outcome: ItemOutcome = "too_long" if error.kind == "too_long" else "error"
    return _record(
        item,
        outcome=outcome,
        error=ErrorRecord(kind=error.kind, message=error.message),
    )


def _reason(kept: CandidateRecord) -> FinishReason:
    return "length" if kept.finish_reason == "length" else "stop"


def _graded(task: Task, item: Item, kept: CandidateRecord, known: Verdicts) -> CandidateRecord:
    text = kept.text
    if kept.decoding == "choice":
        # Whatever its text is, a choice answers by its letter, and a given reply by its place.
        text = ascii_uppercase[kept.index]
    elif kept.decoding == "given":
        text = str(kept.index)
    verdict = tested.grade(task, item, text, _reason(kept), known)
    return replace(
        kept,
        answer=verdict.answer,
        outcome=verdict.outcome,
        correct=verdict.outcome == "correct" if verdict.metrics else None,
        grade=tuple(GradeRecord(metric=name, value=value) for name, value in verdict.metrics),
    )


def _record(
    item: Item,
    *,
    candidates: Sequence[CandidateRecord] = (),
    usage: Sequence[UsageRecord] = (),
    asked: Sequence[Message] = (),
    outcome: ItemOutcome = "ok",
    error: ErrorRecord | None = None,
) -> Record:
    return Record(
        item_id=item.id,
        task=item.task,
        messages=tuple(Turn(role=m.role, content=m.content) for m in asked or item.messages),
        choices=item.choices,
        reference=item.reference,
        group=item.group or item.id,
        category=item.category,
        candidates=tuple(candidates),
        answers=(),
        outcome=outcome,
        error=error,
        usage=tuple(usage),
    )


def _item(record: Record) -> Item:
    """The item as grading needs it; the bare question is not kept, and grading doesn't read it."""
    return Item(
        id=record.item_id,
        task=record.task,
        messages=tuple(Message(role=t.role, content=t.content) for t in record.messages),
        question="",
        reference=record.reference,
        choices=record.choices,
        group=record.group,
        category=record.category,
    )


def _scores_of(solution: Solution, position: int) -> list[ScoreRecord]:
    rows = [(name, scores[position]) for name, scores in solution.scores.items()]
    return [
        ScoreRecord(scorer=name, value=score.value, parts=score.parts, said=score.said)
        for name, score in rows
        if score is not None
    ]


def _drawn(solution: Solution, members: Sequence[str]) -> Iterator[UsageRecord]:
    """Greedy candidates first, then draws; of each member, and in each pool of a study."""
    parts: dict[tuple[str, str, str], list[Candidate]] = {}
    for candidate in solution.candidates:
        key = (candidate.decoding, candidate.member, _behind(candidate))
        parts.setdefault(key, []).append(candidate)
    for decoding, member in product(("greedy", "sample"), members):
        for (how, who, pool), drawn in parts.items():
            if (how, who) != (decoding, member):
                continue
            own = f":{member}" if len(members) > 1 and not pool else pool
            yield UsageRecord(
                role=f"generator:{decoding}{own}",
                model=member,
                requests=len(drawn),
                prompt_tokens=sum(c.prompt_tokens for c in drawn),
                tokens=sum(c.tokens or 0 for c in drawn),
            )


def _behind(candidate: Candidate) -> str:
    """What stands behind a role's name for the candidate's pool; empty: it is in none."""
    pool = pool_of(candidate)
    return f"{OF}{pool}" if pool else ""


def _usage(job: Job, solution: Solution) -> list[UsageRecord]:
    """Tokens of each role on this item; prompt tokens count once per request, cached or not."""
    roles = job.config.roles
    rows = [*_drawn(solution, list(roles.shares))]
    asking = {**roles.scorers, **roles.graders}
    for name, scores in solution.scores.items():
        if name not in asking:
            continue
        asked: dict[str, list[Score]] = {}
        for candidate, score in zip(solution.candidates, scores, strict=True):
            if score is not None:
                asked.setdefault(_behind(candidate), []).append(score)
        rows += [
            UsageRecord(
                role=f"scorer:{name}{pool}",
                model="+".join(asking[name].asked),
                requests=len(scored),
                prompt_tokens=sum(score.prompt_tokens for score in scored),
                tokens=sum(score.tokens for score in scored),
            )
            for pool, scored in asked.items()
        ]
    rows += [
        UsageRecord(
            role=use.role,
            model=use.model,
            requests=use.requests,
            prompt_tokens=use.tokens,
            tokens=use.generated,
        )
        for use in solution.usage
    ]
    return rows
