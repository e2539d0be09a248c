"""Rankings of the models and arms of a run, from the verdicts of a judge of two at a time.

    records, `Score.parts` --cases.bouts--> wins[player, player] of each item --Bradley-Terry-->
    ratings on the scale of Elo, with intervals by bootstrap over clusters of items

A player is an arm of conversations, or a model's draws, or its greedy replies, or a pool of a
study, or the baseline that `judge_versus` compares with. Pools meet by way of the baseline alone,
since candidates are compared within theirs. Both orders of a comparison are bouts; a tie is half a
win. Several draws of a player share the bouts of their item, so every item counts the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from results.bradley_terry import expected, interval, rating_at, ratings, resampled
from results.cases import bouts, compared, heard
from results.judges import Judge
from results.pools import pool_of
from results.resampling import Floats
from results.schema import CandidateRecord, Record
from results.stats import NEAR_BOUND, clopper_pearson

BASELINE = "baseline"
"""The player that an item's reference is."""
FORMS = ("pair", "versus")
"""Of judges that compare two at a time."""
NUM_RESAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingRow:
    """One player under one judge.

    RankingRow(judge="duel", player="small", rating=968.3, low=921.0, high=1010.2, anchor="base",
               win_rate=0.454, win_rate_low=0.388, win_rate_high=0.515, bouts=240, items=240)
    """

    judge: str
    player: str
    rating: float | None
    """Elo points, the anchor's being 1000. None: no finite one fits; see `win_rate`."""
    low: float | None
    """Of the 95 % interval, like `high`; None: it has no end on this side."""
    high: float | None
    anchor: str
    """The baseline, or else the first player."""
    win_rate: float | None
    """Against the anchor, as the ratings have it, ties half: 1 or 0 for a player who has only ever
    won or lost. None: no chain of bouts tells the player from the anchor."""
    win_rate_low: float
    win_rate_high: float
    bouts: float
    """Sum of their weights."""
    items: int
    """With a bout of the player's."""


class Rankings:
    """`add` every record, then read `rows` and `doubts`. Memory: P^2 numbers an item."""

    def __init__(self, name: str, judge: Judge) -> None:
        self.name = name
        self._judge = judge
        self._players: dict[str, int] = {}
        self._items: list[dict[tuple[int, int], float]] = []
        self._groups: list[str] = []
        self._heard = False

    def add(self, record: Record) -> None:
        """Take in one record; those without bouts of the judge are passed over."""
        judge = self._judge
        parts = [record.candidates] if judge.form == "versus" else compared(record.candidates)
        sums: dict[tuple[int, int], list[float]] = {}
        for part in parts:
            found = bouts(part, self.name, judge.form, len(judge.jurors))
            if found is None:
                continue
            candidates, wins_MM = found
            names = [*map(player, candidates), *([BASELINE] if judge.form == "versus" else [])]
            if not all(names):
                continue
            self._heard = self._heard or heard(candidates, self.name, judge.form)
            numbers = [self._players.setdefault(name, len(self._players)) for name in names]
            for a, i in enumerate(numbers):
                for b, j in enumerate(numbers):
                    if i != j and math.isfinite(wins_MM[a, b]):
                        sums.setdefault((i, j), []).append(float(wins_MM[a, b]))
        if sums:
            self._groups.append(record.group)
            self._items.append({pair: math.fsum(one) / len(one) for pair, one in sums.items()})

    def rows(self) -> list[RankingRow]:
        """Of each player, the best first; nothing where fewer than two have met, or the judge has
        not given a single verdict: equal texts are ties without one.
        """
        if not self._items or not self._heard:
            return []
        wins_QPP, anchor = self._wins(), self._anchor
        codes = np.unique(self._groups, return_inverse=True)[1]
        wins_GPP = np.zeros((codes.max() + 1, *wins_QPP.shape[1:]))
        np.add.at(wins_GPP, codes, wins_QPP)
        rating_P = ratings(wins_QPP.sum(axis=0), anchor)
        if len(wins_GPP) > 1:
            rating_RP = resampled(wins_GPP, anchor, num_resamples=NUM_RESAMPLES, seed=0)
        else:
            # A single cluster says nothing of the spread.
            rating_RP = np.full((1, len(rating_P)), math.nan)
            rating_RP[:, anchor] = rating_P[anchor]
        rows = [
            self._row(name, number, rating_P, rating_RP, wins_QPP)
            for name, number in self._players.items()
        ]
        return sorted(rows, key=lambda row: -2.0 if row.win_rate is None else -row.win_rate)

    def doubts(self, rows: Sequence[RankingRow]) -> list[str]:
        """One line for each way in which players have no finite rating."""
        head = f"ranking by {self.name}"
        apart = [row.player for row in rows if row.win_rate is None]
        best = [row.player for row in rows if row.rating is None and row.win_rate == 1.0]
        worst = [row.player for row in rows if row.rating is None and row.win_rate == 0.0]
        found = []
        if apart:
            found.append(
                f"{head}: no chain of bouts tells {', '.join(apart)} from {rows[0].anchor}, so "
                "there is no rating"
            )
        for names, did in ((best, "won"), (worst, "lost")):
            if names:
                found.append(
                    f"{head}: {', '.join(names)} {did} every bout with {rows[0].anchor} and those "
                    "level with it, so no finite rating fits"
                )
        return found

    @property
    def _anchor(self) -> int:
        return self._players.get(BASELINE, 0)

    def _wins(self) -> Floats:
        wins_QPP = np.zeros((len(self._items), len(self._players), len(self._players)))
        for wins_PP, item in zip(wins_QPP, self._items, strict=True):
            for pair, value in item.items():
                wins_PP[pair] = value
        return wins_QPP

    def _row(
        self, name: str, number: int, rating_P: Floats, rating_RP: Floats, wins_QPP: Floats
    ) -> RankingRow:
        rating = float(rating_P[number])
        met_QP = wins_QPP[:, number] + wins_QPP[:, :, number]
        met_Q = met_QP.sum(axis=1)
        low, high = interval(rating_RP[:, number])
        if number != self._anchor and not math.isnan(rating):
            low, high = self._widened(low, high, rating, met_QP)
        return RankingRow(
            judge=self.name,
            player=name,
            rating=_finite(rating),
            low=_finite(low),
            high=_finite(high),
            anchor=next(p for p, n in self._players.items() if n == self._anchor),
            win_rate=None if math.isnan(rating) else expected(rating),
            win_rate_low=expected(low),
            win_rate_high=expected(high),
            bouts=float(met_Q.sum()),
            items=int((met_Q > 0).sum()),
        )

    def _widened(
        self, low: float, high: float, rating: float, met_QP: Floats
    ) -> tuple[float, float]:
        """Where resampling covers too little: Clopper-Pearson, as of that many wins in as many
        trials as there are clusters with a bout of the player's; also what resampling says, where
        not all of these are with the anchor.
        """
        groups = np.asarray(self._groups)
        clusters = len(np.unique(groups[met_QP.sum(axis=1) > 0]))
        credit = clusters * expected(rating)
        if clusters < 2 or (low < high and min(credit, clusters - credit) >= NEAR_BOUND):
            return low, high
        exact = clopper_pearson(credit, clusters)
        ends = rating_at(exact.low), rating_at(exact.high)
        direct = len(np.unique(groups[met_QP[:, self._anchor] > 0]))
        return ends if direct == clusters else (min(low, ends[0]), max(high, ends[1]))


def player(candidate: CandidateRecord) -> str:
    """Whose candidate it is; nothing for one that came with the item."""
    greedy = " greedy" if candidate.decoding == "greedy" else ""
    alone = f"{candidate.member}{greedy}" if candidate.member else ""
    return pool_of(candidate) or candidate.arm or alone


def rank_all(judges: Mapping[str, Judge]) -> list[Rankings]:
    """One ranking for each judge of two at a time."""
    return [Rankings(name, judge) for name, judge in judges.items() if judge.form in FORMS]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
