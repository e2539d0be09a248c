"""What all tasks over rows share: where rows come from, ids, the subset, the prompt's turns.

    source --rows--> item(row) --items--> unique ids --> subset --> items()

A task is a subclass that says how one row becomes an item, and how a text is graded.
"""

import hashlib
import heapq
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Generic, TypeVar

from actors.formats import FORMATS, Format
from actors.sandbox.types import Program
from actors.types import ConfigError, FinishReason, Item, Message
from pipelines.tasks.base import Grade, TaskConfig
from pipelines.tasks.files import Row, Source
from pipelines.tasks.sources import open_source
from results.ids import Ids

ConfigT = TypeVar("ConfigT", bound=TaskConfig)


@dataclass(frozen=True, slots=True)
class Shot:
    """One worked example: the question without instructions, and the reply to imitate."""

    question: str
    reply: str


class RowTask(ABC, Generic[ConfigT]):
    """A task whose items are made of rows, one each. Implements `base.Task`.

    Opening one reads its first row only, and raises ConfigError if there is none or it can't be
    used. `num_items` and `fingerprint` read the source once each, when they are first asked for.
    """

    Config: ClassVar[type[TaskConfig]] = TaskConfig
    packaged: ClassVar[str | None] = None
    """The name of the packaged rows; None: the task has none."""
    formats: ClassVar[Mapping[str, Format]] = FORMATS
    """Kinds of local files that the task reads, by the end of their names."""
    version: ClassVar[str] = "1"
    """Part of the fingerprint: another prompt or another way of grading is another version."""

    metrics: tuple[str, ...] = ("accuracy",)
    runs_code = False

    def __init__(self, config: ConfigT, *, grading_only: bool = False) -> None:
        self.config = config
        self.name = config.name
        if grading_only:
            return
        self.source = self.open()
        self.check_shots()
        if next(self._whole(), None) is None:
            raise ConfigError(f"{self.source.label} has no rows: a task needs at least one")

    @abstractmethod
    def item(self, row: Row) -> Item:
        """Make the item of one row. Its id may repeat. Raises ConfigError naming row and field."""

    @abstractmethod
    def grade(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        """Grade one text; see `base.Task`."""

    def program(self, item: Item, text: str, finish_reason: FinishReason) -> Program | None:
        """See `base.Task`. Nothing of most tasks is run."""
        return None

    @property
    def shots(self) -> tuple[Shot, ...]:
        """The worked examples that `config.shots` takes the first of."""
        return ()

    def open(self) -> Source:
        """Open the source that the config names."""
        return open_source(self.config, packaged=self.packaged, formats=self.formats)

    def check_shots(self) -> None:
        """Raises ConfigError when the task can't give as many worked examples as are asked for."""
        if self.config.shots > len(self.shots):
            raise ConfigError(
                f"task {self.name} has {len(self.shots)} worked examples, but shots is "
                f"{self.config.shots}: ask for no more than it has"
            )

    def ask(self, question: str) -> str:
        """Put a question to the model: the question and the instruction."""
        return question

    def items(self) -> Iterator[Item]:
        """Yield the items lazily, in the order of the source; see `base.Task`.

        A subset is the `limit` items with the smallest sha256(seed, item id), so it doesn't depend
        on the order of the rows. It is held in memory; the rest never is.
        """
        return iter(self._subset()) if self.limited else self._whole()

    @property
    def is_local(self) -> bool:
        return self.source.is_local

    @cached_property
    def limited(self) -> bool:
        return self.config.limit is not None and self.config.limit < self.source.num_rows

    @cached_property
    def num_items(self) -> int:
        return min(self.config.limit or self.source.num_rows, self.source.num_rows)

    @property
    def data(self) -> str:
        return self.source.fingerprint

    @property
    def inputs(self) -> tuple[str, ...]:
        """Fingerprints of all that is read: the rows, and where worked examples come from."""
        return (self.source.fingerprint,)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of what is read, the config (but for where that is) and the task's version."""
        config = self.config.model_dump(mode="json", exclude={"source", "shots_source"})
        return digest(type(self).__qualname__, self.version, *self.inputs, config)

    def messages(self, question: str, shots: Sequence[Shot] | None = None) -> tuple[Message, ...]:
        """The prompt: system message, worked examples as turns or as text, the question.

        `shots`: examples for this question alone; None: the first of the task's own.
        """
        shots = self.shots[: self.config.shots] if shots is None else shots
        turns = [Message(role="system", content=self.config.system)] if self.config.system else []
        if self.config.fewshot == "text" and shots:
            blocks = [f"Question: {self.ask(s.question)}\nAnswer: {s.reply}" for s in shots]
            text = "\n\n".join([*blocks, f"Question: {self.ask(question)}\nAnswer:"])
            return (*turns, Message(role="user", content=text))
        for shot in shots:
            turns.append(Message(role="user", content=self.ask(shot.question)))
            turns.append(Message(role="assistant", content=shot.reply))
        return (*turns, Message(role="user", content=self.ask(question)))

    def row_id(self, row: Row, *content: object, field: str = "id") -> str:
        """The row's own id, or a hash of what makes it the row it is."""
        own = row.get(field)
        return f"{self.name}-{digest(*content)[:16]}" if own in (None, "") else row.text(field)

    def _whole(self) -> Iterator[Item]:
        """Every item, with an ordinal behind an id that came before: `x`, `x-2`, `x-3`."""
        seen = Ids()
        repeats: dict[str, int] = {}
        for row in self.source.rows():
            item = self.item(row)
            name = item.id
            while not seen.add(name):
                repeats[item.id] = repeats.get(item.id, 1) + 1
                name = f"{item.id}-{repeats[item.id]}"
            yield item if name == item.id else replace(item, id=name)

    def _subset(self) -> list[Item]:
        keyed = (
            (digest(self.config.seed, item.id), position, item)
            for position, item in enumerate(self._whole())
        )
        chosen = heapq.nsmallest(self.config.limit or 0, keyed, key=lambda entry: entry[:2])
        return [item for _, _, item in sorted(chosen, key=lambda entry: entry[1])]


def digest(*parts: object) -> str:
    """sha256, in hex, of plain values."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
