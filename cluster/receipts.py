"""Who answered: every answer of a pool leaves a receipt with whoever collects them.

with collected() as receipts: ... calls, also of tasks that are started inside ...
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from cluster.slots import Slot


@dataclass(frozen=True, slots=True)
class Receipt:
    """Which life of which replica answered, and when."""

    model: str
    slot: Slot
    life: int
    moment: float
    """On the monotonic clock."""


_collecting: ContextVar[list[Receipt] | None] = ContextVar("collecting", default=None)


@contextmanager
def collected() -> Iterator[list[Receipt]]:
    """A list that every answer of this context is noted in."""
    receipts: list[Receipt] = []
    token = _collecting.set(receipts)
    try:
        yield receipts
    finally:
        _collecting.reset(token)


def answered_by(receipt: Receipt) -> None:
    """Note an answer, where somebody collects."""
    receipts = _collecting.get()
    if receipts is not None:
        receipts.append(receipt)
