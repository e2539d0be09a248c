"""The stories that arithmetic.py tells: sentences with {name}, {friend} and a number {n} >= 2.

Each phrase has one reading: what is gained or given away is said in full, a multiple names what it
is a multiple of, and a share says how many equal parts there are and that one is kept.
"""

from dataclasses import dataclass

NAMES = (
    *("Ada", "Amir", "Anouk", "Bea", "Bruno", "Carlos", "Chidi", "Clara", "Dana", "Diego"),
    *("Elif", "Emil", "Farah", "Felix", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jasper"),
    *("Joy", "Kofi", "Lena", "Liam", "Maya", "Mei", "Nadia", "Noor", "Omar", "Paula"),
    *("Priya", "Quinn", "Rosa", "Samir", "Sofia", "Tariq", "Uma", "Viktor", "Yara", "Zane"),
)


@dataclass(frozen=True, slots=True)
class Story:
    """One template: how it starts, two ways to tell each kind of step, what it asks."""

    name: str
    start: str
    gain: tuple[str, str]
    lose: tuple[str, str]
    times: tuple[str, str]
    share: tuple[str, str]
    question: str


def _things(name: str, things: str, place: str, part: str) -> Story:
    """A story about things that {name} owns and keeps in a place."""
    return Story(
        name=name,
        start=f"{{name}} has {{n}} {things} in {place}.",
        gain=(
            f"{{friend}} gives {{name}} {{n}} more {things}.",
            f"Then {{name}} buys {{n}} more {things}.",
        ),
        lose=(
            f"{{name}} gives {{n}} of the {things} to {{friend}}.",
            f"Then {{name}} sells {{n}} of the {things}.",
        ),
        times=(
            f"After a while {{name}} has {{n}} times as many {things} as before.",
            f"Then {{name}}'s number of {things} grows to {{n}} times what it was.",
        ),
        share=(
            f"{{name}} divides all the {things} equally into {{n}} {part} and keeps only one of "
            f"the {part}.",
            f"Now {{name}} sorts all the {things} into {{n}} equal {part} and gives away all "
            f"{part} but one.",
        ),
        question=f"How many {things} does {{name}} have now?",
    )


def _amounts(name: str, unit: str, what: str, verbs: tuple[str, str]) -> Story:
    """A story about an amount in a unit: `verbs` say how it is added to and taken from."""
    more, less = verbs
    return Story(
        name=name,
        start=f"{{name}} starts with {{n}} {unit} of {what}.",
        gain=(
            f"{{name}} {more} {{n}} more {unit} of {what}.",
            f"{{friend}} brings {{name}} another {{n}} {unit} of {what}.",
        ),
        lose=(
            f"{{name}} {less} {{n}} {unit} of {what}.",
            f"{{friend}} takes {{n}} {unit} of {what} from {{name}}.",
        ),
        times=(
            f"Later {{name}} has {{n}} times as many {unit} of {what} as before.",
            f"A delivery brings {{name}}'s amount of {what} to {{n}} times what it was.",
        ),
        share=(
            f"{{name}} splits all the {what} into {{n}} equal portions and keeps one portion.",
            f"All the {what} is divided equally among {{n}} people, and {{name}} is one of them.",
        ),
        question=f"How many {unit} of {what} does {{name}} have now?",
    )


STORIES = (
    _things("marbles", "marbles", "a jar", "bags"),
    _things("stamps", "stamps", "an album", "envelopes"),
    _things("books", "books", "a room", "boxes"),
    _things("apples", "apples", "a basket", "crates"),
    _things("pencils", "pencils", "a drawer", "cases"),
    _things("shells", "shells", "a bucket", "piles"),
    _things("cards", "cards", "a box", "stacks"),
    _things("beads", "beads", "a tin", "strings"),
    _things("plants", "plants", "a garden", "rows"),
    _amounts("flour", "kilograms", "flour", ("buys", "uses")),
    _amounts("water", "litres", "water", ("collects", "pours out")),
    _amounts("rope", "metres", "rope", ("finds", "cuts off and throws away")),
    _amounts("sand", "buckets", "sand", ("fetches", "spreads on a path")),
    _amounts("paint", "cans", "paint", ("orders", "empties")),
)
