"""Whether a disturbed run kept everything that an undisturbed one has, once. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from results.schema import CandidateRecord, Record

SHOWN = 5
"""Items of each kind that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What a disturbed run has lost, doubled or changed, by item id."""

    items: int
    """Of the undisturbed run."""
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    """Items that either run has twice."""
    foreign: tuple[str, ...]
    """Items that only the disturbed run has."""
    differing: tuple[tuple[str, str], ...]
    """An item and the first thing about it that is not the same."""
    exact: bool
    """Every byte of every candidate was compared; else seeds and numbers only."""
    greedy_equal: float | None
    """Share of greedy texts that are the same; None: nothing was decoded greedily."""

    @property
    def none(self) -> bool:
        """The two runs are the same, as far as they must be."""
        return not (self.lost or self.doubled or self.foreign or self.differing)

    def lines(self) -> list[str]:
        """The verdict; where something differs, one line for each of the first items too."""
        if self.none:
            greedy = self.greedy_equal
            texts = "" if greedy is None else f"; {greedy:.1%} of the greedy texts are equal"
            same = "same bytes" if self.exact else f"same seeds{texts}"
            return [f"nothing lost, nothing doubled, {same}"]
        found = [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("only in the disturbed run", self.foreign),
            ("differing", tuple(f"{name}: {what}" for name, what in self.differing)),
        ]
        lines = [", ".join(f"{len(names)} items {kind}" for kind, names in found if names)]
        for kind, names in found:
            lines += [f"{kind}: {name}" for name in names[:SHOWN]]
        return lines


@dataclass(frozen=True, slots=True)
class _Print:
    """What is compared of one item."""

    outcome: str
    draws: tuple[tuple[int, str, int | None], ...]
    """Index, member and seed of each candidate."""
    content: bytes
    """A hash over everything that candidates say and got; empty unless compared exactly."""
    greedy: tuple[bytes, ...]
    """Hashes of the greedy texts."""


def compare(undisturbed: Iterable[Record], disturbed: Iterable[Record], *, exact: bool) -> Losses:
    """Compare two runs of one config, item by item.

    `exact`: candidates must be the same byte for byte, as an engine gives them that doesn't depend
    on its batches. Memory holds a hash of each item, not the item.
    """
    wanted, doubled_first = _prints(undisturbed, exact)
    got, doubled_second = _prints(disturbed, exact)
    both = [name for name in wanted if name in got]
    changes = [(name, _change(wanted[name], got[name])) for name in both]
    greedy = [
        a == b for name in both for a, b in zip(wanted[name].greedy, got[name].greedy, strict=False)
    ]
    return Losses(
        items=len(wanted),
        lost=tuple(name for name in wanted if name not in got),
        doubled=(*doubled_first, *doubled_second),
        foreign=tuple(name for name in got if name not in wanted),
        differing=tuple((name, change) for name, change in changes if change is not None),
        exact=exact,
        greedy_equal=sum(greedy) / len(greedy) if greedy else None,
    )


def _prints(records: Iterable[Record], exact: bool) -> tuple[dict[str, _Print], list[str]]:
    found: dict[str, _Print] = {}
    doubled: list[str] = []
    for record in records:
        if record.item_id in found:
            doubled.append(record.item_id)
        found[record.item_id] = _print(record, exact)
    return found, doubled


def _print(record: Record, exact: bool) -> _Print:
    candidates = record.candidates
    return _Print(
        outcome=record.outcome,
        draws=tuple((c.index, c.member, c.seed) for c in candidates),
        content=_hash(*map(_content, candidates)) if exact else b"",
        greedy=tuple(_hash(c.text) for c in candidates if c.decoding == "greedy"),
    )


def _content(c: CandidateRecord) -> tuple[object, ...]:
    """All of it but for how long it took."""
    drawn = (c.index, c.member, c.decoding, c.text, c.seed, c.tokens, c.logprob, c.finish_reason)
    return (*drawn, c.prompt_tokens, c.answer, c.outcome, c.grade, c.scores)


def _hash(*parts: object) -> bytes:
    # By repr: it tells every float from every other.
    return sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()


def _change(wanted: _Print, got: _Print) -> str | None:
    if wanted.outcome != got.outcome:
        return f"outcome {got.outcome}, undisturbed {wanted.outcome}"
    if len(wanted.draws) != len(got.draws):
        return f"{len(got.draws)} candidates, undisturbed {len(wanted.draws)}"
    if wanted.draws != got.draws:
        return "other seeds, members or indices of candidates"
    if wanted.content != got.content:
        return "other text, log-probability or score of a candidate"
    return None
