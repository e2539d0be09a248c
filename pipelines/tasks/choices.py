"""Tasks with given choices, each asked in two forms.

    row --asked(row)--> Asked --+--> messages: question, lettered options; a letter is generated
                                +--> prompt, continuations: how likely is each choice after it

A task is a subclass that says what a row asks; multiple_choice.py grades the generated letter.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import ClassVar, Literal, Self, TypeVar

from pydantic import model_validator

from actors.types import FinishReason, Item
from pipelines.tasks.base import Grade, TaskConfig
from pipelines.tasks.files import Row
from pipelines.tasks.multiple_choice import (
    INSTRUCTIONS,
    grade_letter,
    lettered,
    ordered,
    shuffled_order,
)
from pipelines.tasks.rows import RowTask, Shot


class ChoiceConfig(TaskConfig):
    """What a task with given choices can be told."""

    target: Literal["text", "letter"] = "text"
    """What is scored after the prompt: the text of a choice, which the prompt doesn't show, or its
    letter, after a prompt that lists all choices."""
    reply: Literal["letter", "reasoning"] = "letter"
    """What is generated: the letter alone, or, without worked examples, steps that end in it."""

    @model_validator(mode="after")
    def _without_shots(self) -> Self:
        if self.reply == "reasoning" and self.shots:
            raise ValueError(
                "reply: reasoning has no worked examples to show, since those of the data are "
                "letters; set shots to 0"
            )
        return self


ChoiceT = TypeVar("ChoiceT", bound=ChoiceConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one row asks.

    Asked(item_id="q1", question="What is 2 + 3?", choices=("4", "5"), gold=(1,),
          stem="Question: What is 2 + 3?")
    """

    item_id: str
    question: str
    """What the lettered options follow when a letter is to be generated."""
    choices: tuple[str, ...]
    """In the order of the data. White space at the end of one is never scored."""
    gold: tuple[int, ...]
    """Indices of the right choices."""
    stem: str
    """The prompt that is continued, up to the options (target `letter`) or the cue (`text`)."""
    cue: str = "\nAnswer:"
    """What the text of a choice follows."""
    preamble: str = ""
    """Header and worked examples, in front of the stem."""
    shots: tuple[Shot, ...] = ()
    """Worked examples of the form that generates a letter."""
    group: str = ""
    category: str = ""


class ChoiceTask(RowTask[ChoiceT]):
    """A task with given choices; a subclass says what a row asks."""

    Config: ClassVar[type[TaskConfig]] = ChoiceConfig
    shuffles: ClassVar[bool] = False
    """Options are shuffled by the seed and the item's id: for data that have the right one at a
    fixed place. Otherwise they stay in the order of the data."""

    @abstractmethod
    def asked(self, row: Row) -> Asked:
        """Read one row. Raises ConfigError naming row and field."""

    def ask(self, question: str) -> str:
        return f"{question}\n\n{INSTRUCTIONS[self.config.reply]}"

    def grade(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        return grade_letter(item.reference, item.choices, text, finish_reason)

    def item(self, row: Row) -> Item:
        asked = self.asked(row)
        order: Sequence[int] = range(len(asked.choices))
        if self.shuffles:
            order = shuffled_order(len(order), f"{self.config.seed}:{asked.item_id}")
        choices = [asked.choices[i] for i in order]
        options = ordered(asked.choices, asked.gold, order)
        question = options.ask(asked.question)
        prompt, continuations = self._continued(asked, choices)
        return Item(
            id=asked.item_id,
            task=self.name,
            messages=self.messages(question, asked.shots),
            question=question,
            reference=options.gold,
            choices=options.texts,
            prompt=asked.preamble + prompt,
            continuations=continuations,
            group=asked.group,
            category=asked.category,
        )

    def _continued(self, asked: Asked, choices: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """The prompt behind its preamble, and what follows it for each choice."""
        if self.config.target == "letter":
            letters = ascii_uppercase[: len(choices)]
            return listed(asked.stem, choices), tuple(f" {letter}" for letter in letters)
        return asked.stem + asked.cue, tuple(f" {choice.rstrip()}" for choice in choices)


def listed(stem: str, choices: Sequence[str]) -> str:
    """A prompt that lists its choices and that a letter continues, as Hendrycks et al. 2020 (arXiv
    2009.03300) have it."""
    return f"{stem}\n{lettered(choices)}\nAnswer:"
