"""What a run would cost, foretold from a probe of a few of its items, and what it came to.

    probe's records, device seconds --per item, times the run's items--> Forecast --> `actual`

The probe is a run of its own over a random subset. Tokens have Student's t interval over its items;
seconds and money are in proportion to them, so their intervals say nothing of how busy the machine
is: a probe that doesn't fill it overstates the seconds of a full run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from results.moments import moments
from results.resampling import clusters
from results.schema import Record
from results.spending import by_role, hosted
from results.stats import unbounded_interval
from results.tallies import Tallies

GENERATED, READ = "tokens generated", "tokens read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """`Forecast(figure="tokens generated", value=2.1e6, low=1.9e6, high=2.3e6, actual=2.2e6)`."""

    figure: str
    """Tokens generated and read, seconds of CPUs and GPUs and of the run itself, money."""
    value: float
    low: float | None
    """Of the 95 % interval over the probe's items, like `high`; None: a single item."""
    high: float | None
    probed: int
    """Items of the probe."""
    actual: float | None = None
    """What the run came to; None: it isn't known, or not yet."""


def totals(usage: Mapping[str, Mapping[str, Any]], about: Mapping[str, Any]) -> dict[str, float]:
    """What a run used, by figure; those that aren't known are left out."""
    spent = by_role(usage, hosted(about))
    found: dict[str, float | None] = {
        GENERATED: sum(use["tokens"] for use in usage.values()),
        READ: sum(use["prompt_tokens"] for use in usage.values()),
    }
    for name in ("cpu_seconds", "gpu_seconds"):
        known = [value for one in spent.values() if (value := getattr(one, name)) is not None]
        found[name.replace("_", " ")] = sum(known) if known else None
    found["run seconds"] = (
        sum(one.get("run_seconds", 0.0) for one in about.get("timing", [])) or None
    )
    prices = [one.money for one in spent.values() if one.money is not None]
    found["money"] = sum(prices) if prices and len(prices) == len(spent) else None
    return {figure: value for figure, value in found.items() if value is not None}


def foretell(
    records: Iterable[Record], about: Mapping[str, Any], num_items: int
) -> tuple[Forecast, ...]:
    """Of a run with so many items, by a probe's records and manifest; none without a record."""
    tallies, tokens = Tallies(), []
    for record in records:
        tallies.add(record)
        tokens.append(
            (sum(use.tokens for use in record.usage), sum(u.prompt_tokens for u in record.usage))
        )
    if not tokens:
        return ()
    both_Q2 = np.array(tokens, dtype=np.float64)
    columns = np.stack([both_Q2[:, 0], both_Q2[:, 1], both_Q2.sum(axis=1)])
    spread = [_relative(column) for column in columns]
    ends = {GENERATED: spread[0], READ: spread[1]}
    scale = num_items / len(tokens)
    return tuple(
        _forecast(figure, value * scale, ends.get(figure, spread[2]), len(tokens))
        for figure, value in totals(tallies.usage, about).items()
    )


def with_actual(
    kept: Iterable[Mapping[str, Any]],
    usage: Mapping[str, Mapping[str, Any]],
    about: Mapping[str, Any],
) -> tuple[Forecast, ...]:
    """The forecast that a manifest keeps, beside what happened."""
    found = totals(usage, about)
    rows = (Forecast(**row) for row in kept)
    return tuple(replace(row, actual=found.get(row.figure)) for row in rows)


def _relative(values_Q: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float] | None:
    """Ends of the mean's interval as multiples of the mean."""
    if len(values_Q) < 2 or not values_Q.any():
        return None
    (column,) = moments(*clusters(values_Q[None], None))
    found = unbounded_interval(column)
    return max(found.low, 0.0) / column.mean, found.high / column.mean


def _forecast(figure: str, value: float, ends: tuple[float, float] | None, probed: int) -> Forecast:
    low, high = (None, None) if ends is None else (value * ends[0], value * ends[1])
    return Forecast(figure=figure, value=value, low=low, high=high, probed=probed)
