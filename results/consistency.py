"""Whether a record agrees with itself: no run writes one that does not."""

from collections import Counter
from collections.abc import Iterator

from results.mismatches import Mismatch
from results.schema import OUTCOMES, UNBOUNDED, AnswerRecord, CandidateRecord, Record


def contradictions(record: Record) -> Iterator[Mismatch]:
    """One for each statement of a record that another one of its statements excludes."""

    def wrong(what: str, wanted: object, got: object) -> Mismatch:
        return Mismatch(name=f"item {record.item_id!r}: {what}", wanted=str(wanted), got=str(got))

    if record.outcome == "ok" and record.error is not None:
        yield wrong("error", "none of an item that came out", record.error.kind)
    if record.outcome != "ok" and (record.candidates or record.answers):
        yield wrong("outcome", "ok, as it has candidates or answers", record.outcome)
    for candidate in record.candidates:
        where = f"candidate {candidate.index} ({candidate.decoding})"
        if candidate.outcome not in OUTCOMES:
            yield wrong(f"{where} outcome", f"one of {', '.join(OUTCOMES)}", candidate.outcome)
        if (verdict := _verdict(candidate)) != candidate.correct:
            yield wrong(f"{where} correct", verdict, candidate.correct)
        for grade in candidate.grade:
            if not 0.0 <= grade.value <= 1.0:
                yield wrong(f"{where} {grade.metric}", "a credit from 0 to 1", grade.value)
    for key, count in Counter((a.method, a.metric, a.k) for a in record.answers).items():
        if count > 1:
            yield wrong(f"answers of {_named(*key)}", 1, count)
    for answer in record.answers:
        where = _named(answer.method, answer.metric, answer.k)
        if answer.metric not in UNBOUNDED and not -1e-9 <= answer.value <= 1 + 1e-9:
            yield wrong(where, "a credit from 0 to 1", answer.value)
        if (correct := _chosen(record, answer)) != answer.correct:
            yield wrong(f"{where} correct", correct, answer.correct)


def _verdict(candidate: CandidateRecord) -> bool | None:
    """What the outcome and the grade say; credit from graders is neither right nor wrong."""
    metrics = {grade.metric for grade in candidate.grade}
    judged = metrics <= {score.scorer for score in candidate.scores}
    return None if judged else candidate.outcome == "correct"


def _chosen(record: Record, answer: AnswerRecord) -> bool | None:
    """Of the candidate that the answer names; of a place that candidates share (a greedy one of
    each member of a blend), whatever the answer says, if one of them has it.
    """
    found = [c.correct for c in record.candidates if c.index == answer.candidate]
    if answer.candidate is None or answer.correct in found:
        return answer.correct
    return found[0] if found else None


def _named(method: str, metric: str, k: int) -> str:
    return f"{method} {metric} k={k}"
