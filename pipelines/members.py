"""What a blend's candidates tell of its members: greedy baselines, and pools without one of them.

shares: of each member, how likely it is to be drawn; a model alone has the share 1.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from results.schema import WITHOUT, AnswerRecord, CandidateRecord


def greedy(
    candidates: Sequence[CandidateRecord], shares: Mapping[str, float]
) -> Iterator[AnswerRecord]:
    """One answer for each metric; none where a greedy candidate has no verdict, and so no grade.

    Of a blend `greedy` is its greedy decoding in expectation, the mean of its members' credits by
    their shares; `greedy:NAME` are the members' own.
    """
    found = [c for c in candidates if c.decoding == "greedy"]
    if len(found) < 2:
        for candidate in found:
            yield from _own(candidate, "greedy")
        return
    if all(c.grade for c in found):
        total = math.fsum(shares[c.member] for c in found)
        for grades in zip(*(c.grade for c in found), strict=True):
            weighed = zip(found, grades, strict=True)
            value = math.fsum(shares[c.member] * grade.value for c, grade in weighed) / total
            yield AnswerRecord(method="greedy", metric=grades[0].metric, k=0, value=min(value, 1.0))
    for candidate in found:
        yield from _own(candidate, f"greedy:{candidate.member}")


def left_out(
    pool: Sequence[CandidateRecord], shares: Mapping[str, float]
) -> Iterator[tuple[str, list[CandidateRecord]]]:
    """For each member of a blend, what to put behind a method's name and the draws of the others.

    A member that drew nothing for this item is left out all the same: it is no accident that it
    adds nothing there, but part of what a blend is.
    """
    for name in shares if len(shares) > 1 else ():
        yield f"{WITHOUT}{name}", [c for c in pool if c.member != name]


def _own(candidate: CandidateRecord, method: str) -> Iterator[AnswerRecord]:
    for grade in candidate.grade:
        yield AnswerRecord(
            method=method,
            metric=grade.metric,
            k=0,
            value=grade.value,
            candidate=candidate.index,
            answer=candidate.answer,
            correct=candidate.correct,
        )
