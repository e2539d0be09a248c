"""What generating costs, from the numbers in the models' weights.

A model with P numbers in its weights spends 2 P floating-point operations on a token, read or
written (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). A blend runs one member per reply, so a
token costs the mean of its members, while all of them are in memory (Lu et al. 2024,
arXiv 2401.02994).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A model that generates: `Member(share=0.5, parameters=134515008)`."""

    share: float = 1.0
    """How likely it is to be drawn."""
    parameters: float | None = None
    """Numbers in its weights; None: it has none, or nobody counted."""


def expected_parameters(members: Mapping[str, Member]) -> float | None:
    """Of the member that writes a reply, in expectation. None where those of one are unknown."""
    found = [(m.share, m.parameters) for m in members.values() if m.parameters is not None]
    if len(found) < len(members):
        return None
    return sum(share * number for share, number in found) / sum(share for share, _ in found)


def total_parameters(members: Mapping[str, Member]) -> float | None:
    """Of all members: what memory must hold. None where those of one are unknown."""
    found = [m.parameters for m in members.values() if m.parameters is not None]
    return sum(found) if len(found) == len(members) else None


def flops(parameters: float, tokens: float) -> float:
    """Floating-point operations for so many tokens, read or written."""
    return 2.0 * parameters * tokens
