"""What is known of the judges of a run: coverage, agreement, and what else moves their verdicts.

    records, `Score.parts` --cases--> a few numbers of each item --mean over items--> JudgeRow

coverage            share of the verdicts that were asked for and given
mean                of the scores, on a scale; where some are missing also `mean_if_lowest` and
                    `mean_if_highest`: what it would be, were all of these at that end
position            share of comparisons in which the verdict followed the place: with the places
                    exchanged, the same place was preferred
first_place         share of the verdicts, ties aside, that preferred the first place
length              rank correlation of score and length in characters, within an item: Somers' D,
                    of the pairs of candidates of different lengths those in which the longer has
                    the higher score, minus those in which it has the lower
length_among_wrong  the same among the wrong candidates alone
self:M              mean score of juror M for its own model's candidates, minus the others', within
                    an item; `self_if_equal:M` between candidates that are both right or both wrong
agreement           Krippendorff's alpha between the jurors (results.agreement)
kappa               Cohen's, of more than two jurors Light's, where a verdict is a name

Sources: Zheng et al. 2023 (arXiv 2306.05685), position, verbosity and self-enhancement bias; Somers
1962.
"""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from results.agreement import Level, agreement, kappa
from results.cases import Case, case, compared
from results.resampling import Floats
from results.schema import CandidateRecord, Record
from results.stats import mean_interval

MOSTLY = 0.5
"""Share of comparisons beyond which a judge is said to follow the place; the interval's low end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Another scale of the same marks: `Published(name="WB-Score", low=-80, high=100)`."""

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What a run says of one of its judges, under `judges` in its identity."""

    form: str
    """`scale`, `pair`, `versus` or `choice`."""
    jurors: tuple[str, ...]
    repeats: int
    low: float
    """The least score."""
    high: float
    min_coverage: float
    weighted: bool = False
    """Verdicts are means over all that could be given; see `actors.judge`."""
    published: Published | None = None
    """What the marks are in published figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRow:
    """One figure of one judge.

    JudgeRow(judge="jury", figure="position", value=0.22, low=0.15, high=0.3, unbiased=0.0,
             items=120)
    """

    judge: str
    figure: str
    value: float
    low: float
    """Of the 95 % interval, like `high`."""
    high: float
    unbiased: float | None
    """What a judge without this bias has; None: it isn't a bias."""
    items: int
    """That have this figure."""


def judges_of(identity: Mapping[str, Any]) -> dict[str, Judge]:
    """The judges of a run, by the names of their scores."""
    return {
        name: Judge(
            form=about["form"],
            jurors=tuple(about["jurors"]),
            repeats=about["repeats"],
            low=about["low"],
            high=about["high"],
            min_coverage=about["min_coverage"],
            weighted=about.get("weighted", False),
            published=Published(**scale) if (scale := about.get("published")) else None,
        )
        for name, about in identity.get("judges", {}).items()
    }


def doubts(rows: Sequence[JudgeRow], judges: Mapping[str, Judge]) -> list[str]:
    """One line for each judge that gave fewer verdicts than its floor, and for each whose verdicts
    mostly follow the place.
    """
    few = [
        f"judge {row.judge} gave {row.value:.1%} of the verdicts that it was asked for, less than "
        f"its judge.min_coverage of {judges[row.judge].min_coverage:.1%}"
        for row in rows
        if row.figure == "coverage" and row.value < judges[row.judge].min_coverage
    ]
    placed = [
        f"judge {row.judge} preferred the same place in both orders in {row.value:.1%} of its "
        "comparisons: its ties say little of the replies"
        for row in rows
        # Of weighed verdicts what is said of the place cancels, and nothing becomes a tie.
        if row.figure == "position" and row.low > MOSTLY and not judges[row.judge].weighted
    ]
    return [*few, *placed]


class Judged:
    """`add` every record, then read `rows`. Memory: some numbers an item."""

    def __init__(self, name: str, judge: Judge) -> None:
        self._name = name
        self._judge = judge
        self._groups: list[str] = []
        self._figures: dict[str, array[float]] = {}
        self._chance = array("d")
        self._units: list[Floats] = []
        self._unit_rows = array("q")

    def add(self, record: Record) -> None:
        """Take in one record; those without scores of the judge are passed over."""
        alone = self._judge.form == "scale"
        for candidates in [record.candidates] if alone else compared(record.candidates):
            self._add(candidates, record.group)

    def _add(self, candidates: Sequence[CandidateRecord], group: str) -> None:
        judge = self._judge
        found = case(candidates, self._name, judge.form, len(judge.jurors), judge.weighted)
        if found is None:
            return
        row = len(self._groups)
        self._groups.append(group)
        for figure, value in self._measured(found):
            column = self._figures.setdefault(figure, array("d"))
            column.extend([math.nan] * (row - len(column)))
            column.append(value)
        if not math.isnan(found.said.first_place):
            self._chance.append(found.said.chance)
        if len(self._judge.jurors) > 1:
            self._units.append(found.said.units_UJ)
            self._unit_rows.extend([row] * len(found.said.units_UJ))

    def rows(self) -> list[JudgeRow]:
        """Figures that some item has, in the order of the module's docstring."""
        order = ("coverage", "mean", "mean_if", "position", "first", "length", "self")
        names = sorted(
            self._figures,
            key=lambda name: max(i for i, head in enumerate(order) if name.startswith(head)),
        )
        rows = [row for name in names if (row := self._row(name)) is not None]
        return [*rows, *self._agreement()]

    def _measured(self, found: Case) -> Iterable[tuple[str, float]]:
        judge, said, values_N = self._judge, found.said, found.values_N
        yield "coverage", said.given / said.asked if said.asked else math.nan
        if judge.form == "scale":
            yield from self._means(values_N)
        yield "position", said.position
        yield "first_place", said.first_place
        lengths_N = np.array([len(c.text) for c in found.candidates], dtype=np.float64)
        wrong_N = np.array([c.correct is False for c in found.candidates])
        yield "length", somers_d(lengths_N, values_N)
        yield "length_among_wrong", somers_d(lengths_N[wrong_N], values_N[wrong_N])
        for juror, verdicts_N in zip(judge.jurors, found.verdicts_JN, strict=True):
            own_N = np.array([c.member == juror for c in found.candidates])
            yield f"self:{juror}", preference(verdicts_N, own_N)
            right_N = np.array([_right(c) for c in found.candidates])
            yield f"self_if_equal:{juror}", preference(verdicts_N, own_N, right_N)

    def _means(self, values_N: Floats) -> Iterable[tuple[str, float]]:
        known_N = np.isfinite(values_N)
        yield "mean", float(values_N[known_N].mean()) if known_N.any() else math.nan
        if not known_N.all():
            yield "mean_if_lowest", float(np.where(known_N, values_N, self._judge.low).mean())
            yield "mean_if_highest", float(np.where(known_N, values_N, self._judge.high).mean())

    def _row(self, figure: str) -> JudgeRow | None:
        values_Q = np.full(len(self._groups), math.nan)
        values_Q[: len(self._figures[figure])] = self._figures[figure]
        if figure.startswith("mean_if"):
            # Items without a missing score are the same either way.
            mean_Q = np.asarray(self._figures["mean"])
            values_Q = np.where(np.isnan(values_Q), mean_Q, values_Q)
        if np.isnan(values_Q).all():
            return None
        bounds, unbiased = self._range(figure)
        interval = mean_interval(values_Q, groups=self._groups, bounds=bounds)
        return JudgeRow(
            judge=self._name,
            figure=figure,
            value=float(np.nanmean(values_Q)),
            low=interval.low,
            high=interval.high,
            unbiased=unbiased,
            items=int(np.isfinite(values_Q).sum()),
        )

    def _range(self, figure: str) -> tuple[tuple[float, float], float | None]:
        """What the figure of an item lies within, and its value without bias."""
        judge = self._judge
        if figure.startswith("mean"):
            return (judge.low, judge.high), None
        if figure.startswith("self"):
            return (judge.low - judge.high, judge.high - judge.low), 0.0
        if figure.startswith("length"):
            return (-1.0, 1.0), 0.0
        if figure == "first_place":
            return (0.0, 1.0), float(np.mean(self._chance))
        return (0.0, 1.0), 0.0 if figure == "position" else None

    def _agreement(self) -> list[JudgeRow]:
        if not any(len(units) for units in self._units):
            return []
        has_names = self._judge.form != "scale" and not self._judge.weighted
        level: Level = "nominal" if has_names else "interval"
        codes = np.unique(self._groups, return_inverse=True)[1]
        units_UJ, rows_U = np.concatenate(self._units), np.asarray(self._unit_rows)
        groups = codes[rows_U].tolist()
        found = {"agreement": agreement(units_UJ, level, groups=groups)}
        if level == "nominal":
            found["kappa"] = kappa(units_UJ, groups=groups)
        paired_U = np.isfinite(units_UJ).sum(axis=1) > 1
        return [
            JudgeRow(
                judge=self._name,
                figure=figure,
                value=one.value,
                low=one.low,
                high=one.high,
                unbiased=None,
                items=len(np.unique(rows_U[paired_U])),
            )
            for figure, one in found.items()
            if one is not None
        ]


def somers_d(x_N: Floats, y_N: Floats) -> float:
    """Somers' D of y given x: of the pairs that differ in x, the share that y orders alike minus
    the share that it orders the other way. NaN values take no part; NaN: no pair differs in x.
    """
    known_N = np.isfinite(x_N) & np.isfinite(y_N)
    x_NN, y_NN = (np.sign(np.subtract.outer(v, v)) for v in (x_N[known_N], y_N[known_N]))
    pairs = np.abs(x_NN).sum()
    return float((x_NN * y_NN).sum() / pairs) if pairs else math.nan


def preference(values_N: Floats, own_N: Any, classes_N: Floats | None = None) -> float:
    """Mean value of one's own minus the others', within classes; these count by their pairs of an
    own one and another. NaN values and classes take no part; NaN: no class has both.
    """
    classes_N = np.zeros(len(values_N)) if classes_N is None else classes_N
    known_N = np.isfinite(values_N)
    total = pairs = 0.0
    for of in np.unique(classes_N[np.isfinite(classes_N)]):
        own = values_N[known_N & own_N & (classes_N == of)]
        others = values_N[known_N & ~own_N & (classes_N == of)]
        if len(own) and len(others):
            total += len(own) * len(others) * (own.mean() - others.mean())
            pairs += len(own) * len(others)
    return float(total / pairs) if pairs else math.nan


def _right(candidate: CandidateRecord) -> float:
    return math.nan if candidate.correct is None else float(candidate.correct)
