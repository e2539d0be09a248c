"""`lilliput length-control`: win rates against a baseline as if replies were as long as its own.

    records --judge_versus--> preference, length of the reply and of the baseline's, item by item
            --the GLM of alpaca_eval--> P(win) where the lengths are equal

The fit is the package's own, of its `length_controlled_minimal`: a logistic regression of the
preference on tanh(difference in characters / its standard deviation) and a constant, with an L1
penalty chosen by cross-validation; the rate is what it predicts at no difference. The
leaderboard's `length_controlled_v1` also has a difficulty for each of its 805 instructions and two
gamed baselines, tables that the package fetches; its figures differ.
Intervals are a jackknife over 20 groups of clusters: the package's own standard error knows nothing
of the fit's.
Source: Dubois et al. 2024 (arXiv 2404.04475).
"""

import math
import warnings
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from scipy import stats

from actors.types import ConfigError
from results.directories import Where
from results.judges import Judge, judges_of
from results.moments import SAME
from results.parts import read_records
from results.rankings import player
from results.resampling import Floats
from results.schema import Record
from results.store import read_manifest

INSTALL = "pip install 'lilliput[alpaca-eval]'"
MODEL = "length_controlled_minimal"
"""The package's name for it."""
NUM_GROUPS = 20
FEWEST = 10
"""Clusters of items with a verdict: below, its five folds say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthControlled:
    """One player's win rate under one judge, with and without its length."""

    judge: str
    player: str
    win_rate: float
    controlled: float | None
    """None: there is none; see `why_not`."""
    low: float | None
    """Of the 95 % interval of `controlled`, like `high`."""
    high: float | None
    longer: float
    """Mean length of its replies over that of the baseline's, in characters."""
    items: int
    """With a verdict on a reply of the player's."""
    why_not: str = ""
    """There is no rate at equal length: too few items, or verdicts or lengths that but for a few
    are all the same."""


@dataclass(slots=True)
class _Column:
    """One player's replies that have a verdict."""

    preference: "array[float]" = field(default_factory=lambda: array("d"))
    length: "array[float]" = field(default_factory=lambda: array("d"))
    baseline: "array[float]" = field(default_factory=lambda: array("d"))
    groups: list[str] = field(default_factory=list)
    items: set[str] = field(default_factory=set)


def length_control(run: Where) -> list[LengthControlled]:
    """Of every player under every judge that compares with a baseline.

    Raises ConfigError where the package isn't installed or no judge compared with a baseline,
    ResultsError for an unreadable run.
    """
    judges = judges_of(read_manifest(run).identity)
    named = {name: judge for name, judge in judges.items() if judge.form == "versus"}
    if not named:
        raise ConfigError(
            f"{run} has no judge that compares with a baseline: run with roles.graders: {{win: "
            "{kind: judge_versus, model: NAME}}"
        )
    columns = _columns(read_records(run), named)
    return [_row(*names, column) for names, column in columns.items()]


def controlled_rate(preference: Floats, length: Floats, baseline: Floats) -> float:
    """P(win) at equal lengths; preference in [0, 1], lengths in characters, [Q] each. Raises
    ConfigError where the package isn't installed.
    """
    glm = _package()
    pandas = import_module("pandas")
    # As alpaca_eval.metrics.glm_winrate._get_featurized_data has it, less what it fetches.
    delta = pandas.Series(baseline - length)
    train = pandas.DataFrame(
        {
            "preference": preference,
            "std_delta_len": delta / delta.std(),
            "not_gamed_baseline": True,
        }
    )
    formula, settings = (glm.GLM_INFO[MODEL][key] for key in ("formula", "kwargs"))
    equal = train.assign(std_delta_len=0.0)
    design, design_equal = glm.make_dmatrix_for_model(train, equal, formula=formula)
    with warnings.catch_warnings():
        # The package asks scikit-learn in a way that it will not understand from 1.10 on.
        warnings.simplefilter("ignore", FutureWarning)
        model = glm.fit_LogisticRegressionCV(design, "preference", **settings)
    return float(model.predict_proba(design_equal)[:, 1].mean())


def _package() -> Any:
    try:
        return import_module("alpaca_eval.metrics.glm_winrate")
    except ImportError as error:
        raise ConfigError(
            f"length control takes the package alpaca_eval: {INSTALL} ({error})"
        ) from None


def _columns(
    records: Iterable[Record], judges: Mapping[str, Judge]
) -> dict[tuple[str, str], _Column]:
    columns: dict[tuple[str, str], _Column] = {}
    for record in records:
        for candidate in record.candidates:
            for score in candidate.scores:
                if score.scorer not in judges or score.value is None:
                    continue
                column = columns.setdefault((score.scorer, player(candidate)), _Column())
                column.preference.append(score.value)
                column.length.append(len(candidate.text))
                column.baseline.append(len(record.reference))
                column.groups.append(record.group)
                column.items.add(record.item_id)
    return columns


def _row(judge: str, name: str, column: _Column) -> LengthControlled:
    preference, length, baseline = (
        np.asarray(values) for values in (column.preference, column.length, column.baseline)
    )
    part = np.unique(column.groups, return_inverse=True)[1] % NUM_GROUPS
    kept = [part != number for number in range(part.max() + 1)]
    value = low = high = None
    why_not = _why_not(preference, baseline - length, kept, len(set(column.groups)))
    if not why_not:
        value = controlled_rate(preference, length, baseline)
        without = [controlled_rate(preference[k], length[k], baseline[k]) for k in kept]
        if np.ptp([value, *without]) > SAME:
            low, high = _jackknife(value, without)
        else:
            # The penalty took every term out: one half, whatever the verdicts are.
            value, why_not = None, "too much alike"
    return LengthControlled(
        judge=judge,
        player=name,
        win_rate=float(preference.mean()),
        controlled=value,
        low=low,
        high=high,
        longer=float(length.mean() / max(baseline.mean(), 1.0)),
        items=len(column.items),
        why_not=why_not,
    )


def _why_not(preference: Floats, shorter: Floats, kept: Sequence[np.ndarray], clusters: int) -> str:
    """Nothing where a fit can tell something, with and without each group.

    One to verdicts that are all the same, or to one length, is the penalty's alone: it gives one
    half to a player who has lost every time.
    """
    if clusters < FEWEST:
        return "too few items"
    parts = [part for k in kept for part in (preference[k], shorter[k])]
    return "" if all(np.ptp(part) > 0 for part in parts) else "too much alike"


def _jackknife(value: float, without: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a rate, given what it is without each group."""
    num = len(without)
    stderr = math.sqrt(
        (num - 1) / num * float(np.square(np.subtract(without, np.mean(without))).sum())
    )
    half = float(stats.t.ppf(0.975, num - 1)) * stderr
    return max(0.0, value - half), min(1.0, value + half)
