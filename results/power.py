"""How many items a comparison needs: what it can show with those it has, and how many would do.

A two-sided test at `level` finds a true difference D with probability `power` when

    D = (z of level + z of power) * stderr,    stderr = spread / sqrt(items)

`spread` is the standard deviation of one item's part in the difference. Of a paired comparison that
is the standard deviation of the items' differences; of an unpaired one, hypot(sd of A, sd of B),
with as many items on either side. Normal approximation; where items share clusters, the stderr of
the clustered data carries their effect over to other numbers of such items.

Source: Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions, ch. 4; Miller,
arXiv 2411.00640, section 5.
"""

from math import ceil, sqrt

from scipy import stats

from results.stats import quantile

POWER = 0.8
"""Probability with which a difference that is there shall be found, unless told otherwise."""


def minimum_detectable_effect(stderr: float, *, level: float = 0.95, power: float = POWER) -> float:
    """Smallest true difference that a two-sided test at `level` finds with probability `power`."""
    return float((quantile(level) + stats.norm.ppf(power)) * stderr)


def items_needed(
    effect: float, spread: float, *, level: float = 0.95, power: float = POWER
) -> int | None:
    """Fewest items (of an unpaired comparison: on each side) with which a true difference of
    `effect` is found with probability `power`. None: no number of them, as `effect` is 0.
    """
    if not effect:
        return None
    unit = minimum_detectable_effect(spread, level=level, power=power)
    return max(2, ceil((unit / abs(effect)) ** 2 - 1e-9))


def about(items: int) -> str:
    """A number of items in words, two digits of it, rounded up: `about 82,000`."""
    unit = 10 ** max(len(str(items)) - 2, 0)
    return f"about {ceil(items / unit) * unit:,}"


def spread_of(stderr: float, items: int) -> float:
    """Of one item, from the standard error that so many have together."""
    return stderr * sqrt(items)
