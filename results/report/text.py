"""How numbers are written on a page."""

from results.pools import LENGTHS
from results.schema import UNBOUNDED

PLAIN = UNBOUNDED | LENGTHS
"""Metrics that are no shares: shown as they are, not in per cent."""


def percent(value: float, low: float, high: float) -> str:
    """`41.0 % (36.2 to 45.9)`."""
    return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def figure(value: float, metric: str) -> str:
    """In per cent, but for a scorer's own values and lengths."""
    return f"{value:.4g}" if metric in PLAIN else f"{100 * value:.1f}"


def signed(value: float, metric: str = "") -> str:
    """A difference: of shares in percentage points."""
    text = f"{value:+z.4g}" if metric in PLAIN else f"{100 * value:+z.1f}"
    return text.replace("-", "−")


def p_value(value: float) -> str:
    """To three digits."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def count(number: float | None) -> str:
    """With thousands apart; a dash for what is not known."""
    return "–" if number is None else f"{number:,.0f}"


def parameters(number: float | None) -> str:
    """`0.1345B`."""
    return "–" if number is None else f"{number / 1e9:.4g}B"
