r"""Multiple choice by generation: lettered options in, one letter out.

Extraction goes through ordered, anchored patterns that want the letter as a word of its own: "A
good question" isn't A. Then the text of exactly one option; otherwise there is no answer.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from actors.types import FinishReason
from pipelines.tasks.base import Grade
from pipelines.tasks.files import Row
from pipelines.tasks.replies import final_part, last_boxed

INSTRUCTION = "Answer with the letter of the best option only."
INSTRUCTIONS = {
    "letter": INSTRUCTION,
    "reasoning": "Think step by step, then end with 'The answer is X', where X is the letter of "
    "the best option.",
}
"""By `ChoiceConfig.reply`."""

_LATEX_WRAPPER = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boxed)\s*\{([^{}]*)\}")
_MARKDOWN = re.compile(r"\*\*|__|`|\$")
_REASONS = "because|since|as|due|with|from|according|in|which"


@dataclass(frozen=True, slots=True)
class Options:
    """Options in the order they are shown, and the letters of the right ones: "C", or "A,C"."""

    texts: tuple[str, ...]
    gold: str

    def ask(self, question: str) -> str:
        """The question and the lettered options, without an instruction."""
        return f"{question}\n\n{lettered(self.texts)}"


def lettered(texts: Sequence[str]) -> str:
    """One line for each text: `A. first`."""
    return "\n".join(
        f"{letter}. {text}" for letter, text in zip(ascii_uppercase, texts, strict=False)
    )


def read_choices(row: Row, choices: object) -> tuple[str, ...]:
    """Check a row's choices. Raises ConfigError naming the row: fewer than 2 or more than 26, or
    one that isn't text.
    """
    if not isinstance(choices, Sequence) or isinstance(choices, str):
        raise row.error(f"{type(choices).__name__} as its choices, where a list is needed")
    if not 2 <= len(choices) <= len(ascii_uppercase):
        raise row.error(f"{len(choices)} choices, where 2 to {len(ascii_uppercase)} are needed")
    if not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise row.error("a choice that isn't text")
    return tuple(choices)


def shuffled_order(num_choices: int, key: str) -> list[int]:
    """Positions of the choices in an order that depends on the key alone."""
    return sorted(range(num_choices), key=lambda i: hashlib.sha256(f"{key}:{i}".encode()).digest())


def ordered(choices: Sequence[str], gold: Sequence[int], order: Sequence[int]) -> Options:
    """Choices as options of one line each, in the given order, and the letters of the gold ones."""
    letters = [letter for letter, i in zip(ascii_uppercase, order, strict=False) if i in gold]
    return Options(tuple(" ".join(choices[i].split()) for i in order), ",".join(letters))


def shuffled(row: Row, choices: object, gold: object, key: str) -> Options:
    """Check a row's choices and gold, and shuffle the choices by `key`.

    Raises ConfigError naming the row: choices that `read_choices` refuses, equal choices, a gold
    that names none of them.
    """
    texts = [" ".join(choice.split()) for choice in read_choices(row, choices)]
    if len({text.casefold() for text in texts}) < len(texts):
        raise row.error("two choices of the same text: no reply could tell them apart")
    index = gold_index(row, texts, gold)
    return ordered(texts, [index], shuffled_order(len(texts), key))


def true_indices(row: Row, labels: object, num_choices: int, field: str) -> tuple[int, ...]:
    """Where the ones stand in a list of 0 and 1, one for each choice.

    Raises ConfigError naming row and field: other values, another number of them, no 1.
    """
    if (
        not isinstance(labels, Sequence)
        or len(labels) != num_choices
        or any(label not in (0, 1) for label in labels)
        or 1 not in labels
    ):
        raise row.error(
            f"{labels!r} as the labels in field {field!r}, where a 0 or a 1 for each of its "
            f"{num_choices} choices, and at least one 1, are needed"
        )
    return tuple(i for i, label in enumerate(labels) if label == 1)


def one_true(row: Row, labels: object, num_choices: int, field: str) -> int:
    """As `true_indices`, for labels of which one is 1."""
    found = true_indices(row, labels, num_choices, field)
    if len(found) != 1:
        raise row.error(f"no single 1 in the labels of field {field!r}")
    return found[0]


def gold_index(row: Row, texts: Sequence[str], gold: object, *, may_be_text: bool = True) -> int:
    """Read a gold choice given as an index from 0, a letter, or a choice's text.

    `may_be_text=False`: the field is known to hold an index or a letter, so that "2" isn't taken
    for the choice "2". Raises ConfigError when it names none, or two different ones in two ways of
    reading it.
    """
    readings: set[int] = set()
    if isinstance(gold, int) and not isinstance(gold, bool):
        readings.add(gold)
    elif isinstance(gold, str):
        text = " ".join(gold.split())
        if may_be_text:
            readings.update(i for i, choice in enumerate(texts) if choice == text)
        if len(text) == 1 and text in ascii_uppercase:
            readings.add(ascii_uppercase.index(text))
        if re.fullmatch(r"[0-9]{1,2}", text):
            readings.add(int(text))
    if len(readings) > 1:
        raise row.error(f"an ambiguous gold answer {gold!r}: give the index of the choice, from 0")
    index = readings.pop() if readings else -1
    if not 0 <= index < len(texts):
        raise row.error(
            f"the gold answer {gold!r}, which is no index (0 to {len(texts) - 1}), letter or text "
            f"of its {len(texts)} choices"
        )
    return index


def find_letter(text: str, options: Sequence[str], *, cut: bool = False) -> str | None:
    """Find the chosen letter in the final part of a reply.

    Where the text was `cut` by a token limit, a letter at its very end may be the start of a word
    and doesn't count, and neither does the text of an option.
    """
    letters = ascii_uppercase[: len(options)]
    if (boxed := last_boxed(text)) is not None:
        content = _MARKDOWN.sub("", _LATEX_WRAPPER.sub(r"\1", boxed))
        return _bare_letter(content, letters) or _option_named(content, options)
    plain = _MARKDOWN.sub("", _LATEX_WRAPPER.sub(r"\1", text)).lstrip()
    for letter, end in _explicit(plain, letters):
        return None if cut and end >= len(plain) else letter
    return None if cut else _option_named(plain, options)


def grade_letter(gold: str, options: Sequence[str], text: str, reason: FinishReason) -> Grade:
    """Grade one reply against the gold letter, or letters (`A,C`: one of them is right); the answer
    is the chosen letter."""
    cut = reason == "length"
    letter = find_letter(final_part(text), options, cut=cut)
    if letter is None:
        credit = (("accuracy", 0.0),)
        return Grade(answer=None, outcome="truncated" if cut else "no_answer", metrics=credit)
    correct = letter in gold.split(",")
    credit = (("accuracy", float(correct)),)
    return Grade(answer=letter, outcome="correct" if correct else "wrong", metrics=credit)


def _bare_letter(text: str, letters: str) -> str | None:
    match = re.fullmatch(rf"\s*[(\[]?([{letters}{letters.lower()}])[)\].:]*\s*", text)
    match = match or re.match(rf"\s*[(\[]?([{letters}])[)\].:]", text)
    return match[1].upper() if match else None


def _explicit(text: str, letters: str) -> Iterator[tuple[str, int]]:
    """Yield letters that are marked as the answer and where each ends, the most trusted first."""
    bare = re.fullmatch(
        rf"[(\[\"']?(?:option |choice )?([{letters}{letters.lower()}])[)\]\"'.:,!]*\s*", text, re.I
    )
    if bare:
        yield bare[1].upper(), bare.end(1)
    word = rf"[(\[\"']*([{letters}])(?![\w'’+-])"
    # "A" and "I" are words too: before other words they count only where a reason follows.
    alone = rf"(?:(?<![AI])|(?<=[AI])(?=[)\].:,;!\"'\n]|\s*$|\s+(?:{_REASONS})\b))"
    spoken = (
        rf"\b(?i:answer|choice|option)\b[^.\n:]{{0,40}}?(?:\b(?i:is|would be|should be)\b|[:=])"
        rf"\s*(?i:(?:probably|likely|clearly|therefore|definitely)\s+)?"
        rf"(?i:(?:the\s+)?(?:option|choice|letter)\s*:?\s*)?{word}{alone}"
    )
    for match in reversed(list(re.finditer(spoken, text))):
        yield match[1], match.end(1)
    opening = re.match(rf"[(\[]?([{letters}])(?:[)\].:](?=\s|$)|\s*\n)", text)
    if opening:
        yield opening[1], opening.end(1)
    named = (
        rf"\b(?i:option|choice|letter)\s+{word}|\b(?i:choose|select|pick)\s+{word}{alone}"
        rf"|\(([{letters}])\)"
    )
    found = [(m[m.lastindex or 0], m.end(m.lastindex or 0)) for m in re.finditer(named, text)]
    if len({letter for letter, _ in found}) == 1:
        yield found[0]
    start = text.rstrip().rfind("\n") + 1
    closing = re.fullmatch(rf"\s*[(\[]?([{letters}])[)\].]*\s*", text[start:])
    if closing:
        yield closing[1], start + closing.end(1)


def _option_named(text: str, options: Sequence[str]) -> str | None:
    """The letter of the one option whose text the reply holds; None for none or several."""
    reply = f" {_words(text)} "
    found = [i for i, option in enumerate(options) if f" {_words(option)} " in reply]
    # An option that is part of another one ("cat", "black cat") says nothing of its own.
    longest = [
        i
        for i in found
        if not any(j != i and f" {_words(options[i])} " in f" {_words(options[j])} " for j in found)
    ]
    return ascii_uppercase[longest[0]] if len(longest) == 1 else None


def _words(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+(?:['’.][^\W_]+)*|[-−]?[0-9]+", text.casefold()))
