"""What a task is: rows, a prompt, a grader. No model, no cluster."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import Field

from actors.config import StrictConfig
from actors.sandbox.types import Program
from actors.types import FinishReason, Item


class TaskConfig(StrictConfig):
    """What every task can be told. Tasks add their own fields in a subclass."""

    name: str
    """A name in `pipelines.tasks.TASKS`."""
    source: str = "packaged"
    """`packaged` rows, a JSONL, Parquet, CSV or Arrow file, a folder of such files, or the id of a
    hub data set."""
    split: str = "test"
    """Of a hub data set."""
    subset: str | None = None
    """Of a hub data set: its configuration name."""
    revision: str | None = None
    """Of a hub data set: commit, tag or branch."""
    limit: int | None = Field(None, ge=1)
    """A seeded random subset of this many items; the result is marked as limited."""
    seed: int = 0
    """Of the subset, of shuffled choices and of generated items."""
    shots: int = Field(0, ge=0)
    """Worked examples before the question."""
    fewshot: Literal["turns", "text"] = "turns"
    """`turns`: each example is a user and an assistant turn. `text`: all in one user turn."""
    system: str | None = None
    """A system message; None sends none (a chat template may still add its own)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """What the grader says of one text: `Grade(answer="5", outcome="correct",
    metrics=(("accuracy", 1.0),))`.
    """

    answer: str | None
    """Canonical: two texts that mean the same answer have the same string here. None: no answer."""
    outcome: Literal["correct", "wrong", "truncated", "no_answer", "timed_out", "ungraded"]
    metrics: tuple[tuple[str, float], ...]
    """Credit in [0, 1] under each of the task's metrics, in the order of `Task.metrics`; empty
    where there is no verdict: `ungraded`, and `timed_out` where it was the grader that took too
    long. A program that takes too long has failed."""


class Task(Protocol):
    """A benchmark: where its items come from and how an answer is graded."""

    name: str
    metrics: tuple[str, ...]
    """The headline metric first; empty: the task has no right and wrong."""
    runs_code: bool
    """Its texts hold programs, so that a run needs a sandbox."""

    @property
    def limited(self) -> bool:
        """The items are a subset of the source."""
        ...

    @property
    def num_items(self) -> int: ...

    @property
    def data(self) -> str:
        """Fingerprint of the rows alone: runs over the same rows can be compared."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of the data and of what the task does to it; another fingerprint is another task."""
        ...

    @property
    def is_local(self) -> bool:
        """The rows are on this machine, so reading them twice costs little."""
        ...

    def items(self) -> Iterator[Item]:
        """Yield the items lazily, always in the same order. Raises ConfigError for a bad row
        (number and field).
        """
        ...

    def program(self, item: Item, text: str, finish_reason: FinishReason) -> Program | None:
        """What the sandbox must run to grade a text; None: `grade` can tell without. Pure."""
        ...

    def grade(self, item: Item, text: str, finish_reason: FinishReason) -> Grade:
        """Grade one text of which nothing must be run. Pure but for its time: it may be called from
        several threads at once.
        """
        ...
