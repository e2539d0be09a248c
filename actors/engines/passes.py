"""Passes of one model over packs of rows, with room made where the memory is too small.

What a pack is and what is read off it, a subclass says: `actors.engines.reading` for models that
read on from what they have read, `actors.engines.pairs` for encoders.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import torch

from actors.engines.base import ScoreRequest
from actors.engines.packing import Limits, halved
from actors.engines.trees import Pack, Row
from actors.types import EngineError, ItemError

V = TypeVar("V")

CPU_LIMITS = Limits(row=256, pack=1024, scored=1 << 26)
GPU_LIMITS = Limits(row=256, pack=16384, scored=1 << 28)
"""`scored` here counts numbers; divided by the width of a node's output it becomes nodes."""


class PackReader(ABC, Generic[V]):
    """Reads sequences with one model, from one thread at a time. Once `closed` is set, EngineError
    is raised at the next forward pass. `width`: numbers in the output of one node.
    """

    def __init__(self, model: Any, closed: threading.Event, *, width: int) -> None:
        self._model = model
        self._closed = closed
        limits = CPU_LIMITS if model.device.type == "cpu" else GPU_LIMITS
        self._limits = replace(limits, scored=max(1, limits.scored // width))
        self.num_steps = 0
        """Forward passes so far."""

    @abstractmethod
    def plan(self, requests: Sequence[ScoreRequest]) -> list[Pack]:
        """Packs that together hold each request once."""

    @abstractmethod
    def _read(self, pack: Pack) -> dict[int, tuple[V, ...]]:
        """The values of a pack's requests."""

    def read(
        self, requests: Sequence[ScoreRequest], pack: Pack
    ) -> dict[int, tuple[V, ...] | ItemError]:
        """The values of a pack's requests, in halves where the memory is too small.

        Raises EngineError when closed, RuntimeError as torch does for all but memory.
        """
        found: dict[int, tuple[V, ...] | ItemError] = {}
        pending = [pack]
        while pending:
            part = pending.pop()
            try:
                with torch.inference_mode():
                    found |= self._read(part)
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                parts = halved(requests, part)
                # Packs to come are smaller for it, once: it may have been one sequence's fault.
                self._make_room(shrink=part is pack and len(pack.rows) > 1)
                pending += parts
                found |= {} if parts else {m: _too_large(requests[m]) for m in part.members}
        return found

    def _padded(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Ids and mask of rows of one sequence each, padded on the right. [row][T]"""
        longest = max(len(row.ids) for row in rows)
        gaps = [longest - len(row.ids) for row in rows]
        return {
            "input_ids": self._tensor(
                [row.ids + [0] * gap for row, gap in zip(rows, gaps, strict=True)]
            ),
            "attention_mask": self._tensor([[1] * (longest - gap) + [0] * gap for gap in gaps]),
        }

    def _tensor(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        return torch.tensor(rows, device=self._model.device)

    def _step(self) -> None:
        """Before a forward pass."""
        if self._closed.is_set():
            raise EngineError("the engine is closed")
        self.num_steps += 1

    def _make_room(self, *, shrink: bool) -> None:
        if shrink:
            limits = self._limits
            pack, scored = max(limits.row, limits.pack // 2), max(1, limits.scored // 2)
            self._limits = replace(limits, pack=pack, scored=scored)
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def _too_large(request: ScoreRequest) -> ItemError:
    return ItemError(
        "error",
        f"a sequence of {len(request.ids)} tokens, {len(request.ids) - request.start} of them "
        f"scored, does not fit in memory even alone; set the model's context below that",
    )
