"""What a judge said of one item, read back from the parts of its scores.

    scale   the single verdicts, juror by juror, as many of each
    versus  for each juror four numbers: 1 if the candidate, shown first, was preferred, 0 if the
            item's reference, 0.5 for a tie, and the weight of that verdict; the same of the
            reference, shown first
    pair    for each time that the candidate stood first: juror, place of the other candidate, and 1
            if the first was preferred, 0 if the other, 0.5 for a tie
    choice  for each juror and order: juror, place at which the candidate was shown, and 1 if it was
            chosen, 0 if another

Weighed verdicts on two are anything from 0 to 1, and both orders count by their mean; of verdicts
that are names a win is one only where both orders agree, otherwise a tie.
NaN stands for a verdict that wasn't given. Candidates of the same text were judged once.
Axes: `J` juror, `N` candidate, `U` unit that every juror judges, `O` order.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from results.pools import pools
from results.resampling import Floats
from results.schema import CandidateRecord, ScoreRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was heard of one item, without its candidates. N are the distinct texts."""

    verdicts_JN: Floats
    """What each juror makes of each text."""
    units_UJ: Floats
    """What each juror said of each unit: a text, a pair seen from one side, or an order of all."""
    asked: int
    """Verdicts."""
    given: int
    position: float = math.nan
    """See `results.judges`; NaN: no two orders can be compared."""
    first_place: float = math.nan
    chance: float = math.nan
    """Of the first place, were places of no matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One item before a judge."""

    candidates: tuple[CandidateRecord, ...]
    """That were judged."""
    values_N: Floats
    """Their scores; NaN for none."""
    verdicts_JN: Floats
    """What each juror makes of them."""
    said: Said


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    """The distinct texts of an item."""

    parts: Sequence[Floats]
    """Of the first candidate of each."""
    number: Sequence[int]
    """The text of each candidate."""
    num_jurors: int
    weighted: bool


def case(
    candidates: Sequence[CandidateRecord],
    scorer: str,
    form: str,
    num_jurors: int,
    weighted: bool = False,
) -> Case | None:
    """None: the judge was asked about none of the candidates."""
    judged = [(c, score) for c in candidates for score in c.scores if score.scorer == scorer]
    if not judged:
        return None
    texts = _texts(judged, num_jurors, weighted)
    said = READERS[form](texts)
    values_N = np.array([math.nan if s.value is None else s.value for _, s in judged])
    return Case(
        candidates=tuple(candidate for candidate, _ in judged),
        values_N=values_N,
        # A lone judge's verdict is the score, which for a knockout is more than the bouts say.
        verdicts_JN=said.verdicts_JN[:, texts.number] if num_jurors > 1 else values_N[None],
        said=said,
    )


def bouts(
    candidates: Sequence[CandidateRecord], scorer: str, form: str, num_jurors: int
) -> tuple[tuple[CandidateRecord, ...], Floats] | None:
    """Of a judge of two at a time: the candidates that were judged, and how often each was
    preferred to each other one, [N + 1, N + 1], the item's reference last: mean over jurors and
    both orders, a tie half, by the weight of the verdict. NaN: they weren't compared in both
    orders. None: the judge was asked about none of the candidates.
    """
    judged = [(c, score) for c in candidates for score in c.scores if score.scorer == scorer]
    if not judged:
        return None
    texts = _texts(judged, num_jurors)
    wins_MM = np.full((len(judged) + 1, len(judged) + 1), math.nan)
    if form == "versus":
        first_NJ, weight_NJ, second_NJ, back_NJ = _fours(texts)
        wins_NJ = weight_NJ * first_NJ + back_NJ * (1.0 - second_NJ)
        losses_NJ = weight_NJ * (1.0 - first_NJ) + back_NJ * second_NJ
        wins_MM[:-1, -1] = _mean(wins_NJ)[texts.number] / 2.0
        wins_MM[-1, :-1] = _mean(losses_NJ)[texts.number] / 2.0
    else:
        said_JNN = _threes(texts)
        wins_NNJ = (said_JNN + 1.0 - said_JNN.transpose(0, 2, 1)).transpose(1, 2, 0) / 2.0
        # Of the same text none is better.
        np.einsum("iij->ij", wins_NNJ)[:] = 0.5
        wins_MM[:-1, :-1] = _mean(wins_NNJ)[np.ix_(texts.number, texts.number)]
    return tuple(candidate for candidate, _ in judged), wins_MM


def compared(candidates: Sequence[CandidateRecord]) -> list[Sequence[CandidateRecord]]:
    """Those that were shown to a judge of several together: of a study, pool by pool."""
    return [*pools(candidates).values()] or [candidates]


def heard(candidates: Sequence[CandidateRecord], scorer: str, form: str) -> bool:
    """Whether a judge of two at a time gave any verdict on them."""
    every = slice(None) if form == "versus" else slice(2, None, 3)
    parts = [s.parts for c in candidates for s in c.scores if s.scorer == scorer]
    return any(math.isfinite(part) for own in parts for part in own[every])


def _texts(
    judged: Sequence[tuple[CandidateRecord, ScoreRecord]], num_jurors: int, weighted: bool = False
) -> _Texts:
    texts: dict[str, int] = {}
    parts = []
    for candidate, score in judged:
        if candidate.text not in texts:
            texts[candidate.text] = len(texts)
            parts.append(np.array(score.parts, dtype=np.float64))
    number = [texts[candidate.text] for candidate, _ in judged]
    return _Texts(parts=parts, number=number, num_jurors=num_jurors, weighted=weighted)


def _scale(texts: _Texts) -> Said:
    verdicts_NJR = np.stack(texts.parts).reshape(len(texts.parts), texts.num_jurors, -1)
    verdicts_NJ = _mean(verdicts_NJR)
    return Said(
        verdicts_JN=verdicts_NJ.T,
        units_UJ=verdicts_NJ,
        asked=verdicts_NJR.size,
        given=_count(verdicts_NJR),
    )


def _pair(texts: _Texts) -> Said:
    num = len(texts.parts)
    said_JNN = _threes(texts)
    mirrored_JNN = said_JNN.transpose(0, 2, 1)
    outcome_JNN = _settled(said_JNN, mirrored_JNN, texts.weighted)
    i_U, j_U = np.triu_indices(num, 1)
    either_U = ~np.eye(num, dtype=np.bool_)
    follows_JNN = _follows(said_JNN, mirrored_JNN)
    return Said(
        verdicts_JN=_mean(outcome_JNN),
        # Seen from either side, so that agreement doesn't depend on the candidates' order.
        units_UJ=outcome_JNN[:, either_U].T,
        asked=sum(len(parts) for parts in texts.parts) // 3,
        given=_count(said_JNN),
        position=_overall(follows_JNN[:, i_U, j_U]),
        first_place=_first(said_JNN),
        chance=0.5,
    )


def _settled(first: Floats, second: Floats, weighted: bool) -> Floats:
    """What both orders say of the one that was shown first at first; NaN where either is none."""
    if weighted:
        return (first + 1.0 - second) / 2.0
    both = np.isfinite(first) & np.isfinite(second)
    return np.where(both, np.where(np.isclose(first, 1.0 - second), first, 0.5), math.nan)


def _follows(first: Floats, second: Floats) -> Floats:
    """Whether both orders prefer the same place; NaN where either is no verdict."""
    leans = np.sign(first - 0.5) * np.sign(second - 0.5)
    return np.where(np.isfinite(leans), leans > 0, math.nan)


def _first(said: Floats) -> float:
    """Share of the verdicts, ties aside, that prefer the first place."""
    decided = said[np.isfinite(said) & np.not_equal(said, 0.5)]
    return _overall((decided > 0.5).astype(np.float64))


def _threes(texts: _Texts) -> Floats:
    """What each juror said of each text, shown first, against each other one."""
    num = len(texts.parts)
    said_JNN = np.full((texts.num_jurors, num, num), math.nan)
    for i, parts in enumerate(texts.parts):
        for juror, other, verdict in parts.reshape(-1, 3):
            said_JNN[int(juror), i, texts.number[int(other)]] = verdict
    return said_JNN


def _versus(texts: _Texts) -> Said:
    first_NJ, _, second_NJ, _ = _fours(texts)
    outcome_NJ = _settled(first_NJ, second_NJ, texts.weighted)
    said_NJ2 = np.stack([first_NJ, second_NJ], axis=-1)
    return Said(
        verdicts_JN=outcome_NJ.T,
        units_UJ=outcome_NJ,
        asked=said_NJ2.size,
        given=_count(said_NJ2),
        position=_overall(_follows(first_NJ, second_NJ)),
        first_place=_first(said_NJ2),
        chance=0.5,
    )


def _fours(texts: _Texts) -> Floats:
    """First and its weight, second and its weight, each [N, J]."""
    return np.stack(texts.parts).reshape(len(texts.parts), texts.num_jurors, 4).transpose(2, 0, 1)


def _choice(texts: _Texts) -> Said:
    num = len(texts.parts)
    orders = texts.parts[0].size // (3 * texts.num_jurors)
    threes_NJO3 = np.stack(texts.parts).reshape(num, texts.num_jurors, orders, 3)
    place_NJO, chosen_NJO = threes_NJO3[..., 1], threes_NJO3[..., 2]
    given_JO = np.asarray(np.isfinite(chosen_NJO).all(axis=0))
    who_JO = np.where(given_JO, np.nan_to_num(chosen_NJO).argmax(axis=0), math.nan)
    where_JO = np.where(given_JO, (place_NJO * np.nan_to_num(chosen_NJO)).sum(axis=0), math.nan)
    follows = [
        float(where_JO[j, a] == where_JO[j, b] and who_JO[j, a] != who_JO[j, b])
        for j in range(texts.num_jurors)
        for a, b in combinations(range(where_JO.shape[1]), 2)
        if given_JO[j, a] and given_JO[j, b]
    ]
    return Said(
        verdicts_JN=_mean(chosen_NJO).T,
        units_UJ=where_JO.T,
        asked=where_JO.size,
        given=_count(where_JO),
        position=_overall(np.array(follows)),
        first_place=_overall(np.where(given_JO, where_JO == 0, math.nan)),
        chance=1.0 / num,
    )


READERS: Mapping[str, Callable[[_Texts], Said]] = {
    "scale": _scale,
    "pair": _pair,
    "versus": _versus,
    "choice": _choice,
}
"""By the form of the verdicts."""


def _count(verdicts: Floats) -> int:
    return int(np.isfinite(verdicts).sum())


def _mean(values: Floats) -> Floats:
    """Over the last axis, of what there is; NaN where there is nothing."""
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    mean: Floats = np.divide(total, count, out=np.full(count.shape, math.nan), where=count > 0)
    return mean


def _overall(values: Floats) -> float:
    return float(_mean(values.reshape(-1)))
