"""What makes the figures of a finished run doubtful although nothing failed.

Wrong weights, a wrong chat template and an answer format that nobody reads give plausible scores
without an error; so do seeds that were never applied. Each check looks at counts of one pass over
the records and says, in one line, what is suspicious and where to look.
"""

from collections.abc import Container, Sequence
from typing import Protocol

from results.figure import Measured
from results.tallies import Tallies

LONG_DRAW = 16
"""Mean tokens of a draw from which copies are no coincidence: short answers repeat by nature."""
MANY_TRUNCATED = 1 / 3
FEW_GRADED = 20
"""Below this many graded candidates, none being correct says little."""


class Baseline(Measured, Protocol):
    """What one draw of a member is worth."""

    @property
    def member(self) -> str: ...


def pitfalls(
    tallies: Tallies, baselines: Sequence[Baseline], judges: Container[str] = ()
) -> list[str]:
    """One line for each thing that a reader must know before the figures, worst first.

    baselines: what a single reply of each member is worth, greedy or drawn, under the headline
        metric; none where no item has either.
    judges: scorers that have a floor of their own for verdicts (`results.judges.doubts`).
    """
    return [
        *_failed(tallies),
        *_guessing(tallies, baselines),
        *_nothing_correct(tallies),
        *_copies(tallies),
        *_truncated(tallies),
        *_no_verdict(tallies),
        *_ungraded(tallies),
        *_coverage(tallies, judges),
    ]


def _failed(tallies: Tallies) -> list[str]:
    return [
        f"{tallies.items[kind]:,} items came to nothing ({kind}), the first {item_id!r}: {why}"
        for kind, (item_id, why) in tallies.failures.items()
    ]


def _guessing(tallies: Tallies, baselines: Sequence[Baseline]) -> list[str]:
    """Chance is the mean of 1 / choices over the items, where all of them have choices."""
    if tallies.with_choices < max(tallies.items["ok"], 1):
        return []
    chance = tallies.guessed / tallies.with_choices
    return [
        f"{found.metric} {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
        f"{f' of {found.member}' if baselines[1:] else ''} is "
        f"{'below' if found.high < chance else 'within noise of'} guessing ({chance:.2f}): "
        "check the model, its chat template and the answer format"
        for found in baselines
        if found.low <= chance
    ]


def _nothing_correct(tallies: Tallies) -> list[str]:
    outcomes = tallies.outcomes
    if tallies.with_choices or outcomes["correct"] or tallies.graded < FEW_GRADED:
        return []
    return [
        f"none of {tallies.graded:,} candidates is correct: check the model, its chat template and "
        "the answer format"
    ]


def _copies(tallies: Tallies) -> list[str]:
    """Of the draws that have an earlier one to repeat: with two per item that is every second."""
    repeats = tallies.repeats
    later = repeats.draws - repeats.items
    if repeats.mean_tokens < LONG_DRAW or 2 * repeats.repeating <= later:
        return []
    return [
        f"{repeats.repeating / later:.1%} of the draws after an item's first repeat the text of an "
        "earlier one: check that seeds are applied and that the temperature isn't near 0"
    ]


def _truncated(tallies: Tallies) -> list[str]:
    outcomes = tallies.outcomes
    share = outcomes["truncated"] / max(outcomes.total(), 1)
    if share <= MANY_TRUNCATED:
        return []
    return [f"{share:.1%} of the candidates were cut before they had an answer: raise max_tokens"]


def _no_verdict(tallies: Tallies) -> list[str]:
    items = tallies.timed_out
    candidates = items["candidates"]
    if not candidates:
        return []
    return [
        f"{candidates:,} candidates of {items['any']:,} items were not graded in time; greedy's "
        f"mean leaves out {items['greedy']:,} items for it, those of the other methods "
        f"{items['sample']:,}: `lilliput score RUN task.timeout=SECONDS` grades them again"
    ]


def _ungraded(tallies: Tallies) -> list[str]:
    """Where others are graded: a task that knows no right answer has no such thing."""
    if not tallies.ungraded or not tallies.graded:
        return []
    return [f"{tallies.ungraded:,} candidates could not be graded: they are in no mean"]


def _coverage(tallies: Tallies, judges: Container[str]) -> list[str]:
    """Scorers that left candidates without a verdict; their methods see only the others."""
    return [
        f"scorer {name} gave a verdict on {tallies.scored[name] / asked:.1%} of the candidates"
        for name, asked in tallies.asked.items()
        if tallies.scored[name] < asked and name not in judges
    ]
