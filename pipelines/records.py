"""From what a method got to what is kept: grading, ranking, and the record of an item.

All of it is a pure function of candidates and scores, so a run can be graded and ranked again from
its records.
"""

from collections.abc import Sequence
from dataclasses import replace

from actors.types import Candidate, FinishReason, Item, ItemError, Message
from pipelines.base import Solution
from pipelines.job import Job
from pipelines.tasks.base import Task
from results.schema import (
    AnswerRecord,
    CandidateRecord,
    ErrorRecord,
    GradeRecord,
    ItemOutcome,
    Record,
    ScoreRecord,
    Turn,
    UsageRecord,
)


def finish(job: Job, item: Item, solution: Solution) -> Record:
    """Grade a solution and let every ranker answer."""
    graded = [
        grade(job.task, item, candidate, _scores_of(solution, position))
        for position, candidate in enumerate(solution.candidates)
    ]
    return _record(
        item, candidates=graded, answers=answer(job, graded), usage=_usage(job, solution)
    )


def regrade(job: Job, record: Record) -> Record:
    """Grade and rank a record again, as if its candidates had just been drawn; no model is
    asked.
    """
    if record.outcome != "ok":
        return record
    item = _item(record)
    graded = [_graded(job.task, item, kept) for kept in record.candidates]
    return replace(record, candidates=tuple(graded), answers=answer(job, graded))


def answer(job: Job, graded: Sequence[CandidateRecord]) -> tuple[AnswerRecord, ...]:
    """What every ranker says."""
    answers: tuple[AnswerRecord, ...] = job.method.answers(
        graded, job.method_config, metrics=job.task.metrics, scales=job.scales
    )
    return answers


def grade(
    task: Task, item: Item, candidate: Candidate, scores: Sequence[ScoreRecord]
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
    )
    return _graded(task, item, kept)


def failed(item: Item, error: ItemError) -> Record:
    """The record of an item that could not be answered."""
    outcome: ItemOutcome = "too_long" if error.kind == "too_long" else "error"
    return _record(
        item,
        outcome=outcome,
        error=ErrorRecord(kind=error.kind, message=error.message),
    )


def _graded(task: Task, item: Item, kept: CandidateRecord) -> CandidateRecord:
    reason: FinishReason = "length" if kept.finish_reason == "length" else "stop"
    verdict = task.grade(item, kept.text, reason)
    return replace(
        kept,
        answer=verdict.answer,
        outcome=verdict.outcome,
        correct=None if verdict.outcome == "timed_out" else verdict.outcome == "correct",
        grade=tuple(GradeRecord(metric=name, value=value) for name, value in verdict.metrics),
    )


def _record(
    item: Item,
    *,
    candidates: Sequence[CandidateRecord] = (),
    answers: Sequence[AnswerRecord] = (),
    usage: Sequence[UsageRecord] = (),
    outcome: ItemOutcome = "ok",
    error: ErrorRecord | None = None,
) -> Record:
    return Record(
        item_id=item.id,
        task=item.task,
        messages=tuple(Turn(role=m.role, content=m.content) for m in item.messages),
        choices=item.choices,
        reference=item.reference,
        group=item.group or item.id,
        candidates=tuple(candidates),
        answers=tuple(answers),
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
    )


def _scores_of(solution: Solution, position: int) -> list[ScoreRecord]:
    rows = [(name, scores[position]) for name, scores in solution.scores.items()]
    return [
        ScoreRecord(scorer=name, value=score.value, parts=score.parts)
        for name, score in rows
        if score is not None
    ]


def _usage(job: Job, solution: Solution) -> list[UsageRecord]:
    """Tokens of each role on this item; prompt tokens count once per request, cached or not."""
    roles = job.config.roles
    rows = []
    for decoding in ("greedy", "sample"):
        drawn = [c for c in solution.candidates if c.decoding == decoding]
        if drawn:
            rows.append(
                UsageRecord(
                    role=f"generator:{decoding}",
                    model=roles.generator,
                    requests=len(drawn),
                    prompt_tokens=sum(c.prompt_tokens for c in drawn),
                    tokens=sum(c.tokens or 0 for c in drawn),
                )
            )
    for name, scores in solution.scores.items():
        asked = [score for score in scores if score is not None]
        rows.append(
            UsageRecord(
                role=f"scorer:{name}",
                model=roles.scorers[name].model or "",
                requests=len(asked),
                prompt_tokens=sum(score.prompt_tokens for score in asked),
                tokens=sum(score.tokens for score in asked),
            )
        )
    return rows
