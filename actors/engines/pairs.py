"""An encoder that compares two replies, on transformers: PairRM.

    preferences() --ids of comparisons--> Reads --packs of rows--> one thread
                                          states of the prefix tokens --> head --> logits

An encoder's states depend on all of a comparison, so each is read whole, in rows of about one
length, padded on the right under the mask.
"""

import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from transformers import DebertaV2Config, DebertaV2Model

from actors.config import ModelConfig
from actors.engines.base import ScoreRequest
from actors.engines.loading import load
from actors.engines.packing import chains
from actors.engines.passes import PackReader
from actors.engines.reads import Reads
from actors.engines.trees import Pack
from actors.machine import processor
from actors.reward_models.comparisons import Comparisons
from actors.reward_models.pair_head import PairHead
from actors.reward_models.pairrm import BODY_PREFIX, Layout, read_layout
from actors.types import EngineError

NOT_READ = 0
"""What a request ends in: its last token is no input of a row."""


class Prefixes(PackReader[torch.Tensor]):
    """The last layer's output at the prefix tokens of a comparison. [3][H], float32 on the CPU."""

    def __init__(self, model: Any, closed: threading.Event, prefix_ids: Sequence[int]) -> None:
        super().__init__(model, closed, width=model.config.hidden_size)
        self._prefix_ids = frozenset(prefix_ids)

    def plan(self, requests: Sequence[ScoreRequest]) -> list[Pack]:
        """See `PackReader`. Equal comparisons are one row."""
        return chains(requests, self._limits)

    def _read(self, pack: Pack) -> dict[int, tuple[torch.Tensor, ...]]:
        self._step()
        states_BTH = self._model(**self._padded(pack.rows)).last_hidden_state
        found: dict[int, tuple[torch.Tensor, ...]] = {}
        for row, states_TH in zip(pack.rows, states_BTH, strict=True):
            places = [i for i, token in enumerate(row.ids) if token in self._prefix_ids]
            vectors = states_TH[places].float().cpu()
            found |= dict.fromkeys(row.members, (vectors,))
        return found


class PairRMEngine:
    """Hosts one encoder. Loads weights when it is made. Raises ConfigError."""

    def __init__(self, config: ModelConfig, *, directory: Path, renderer: Comparisons) -> None:
        self.prompts = renderer
        renderer.within(config.context)
        self.context = renderer.limits.total
        layout = read_layout(directory)
        self._head = PairHead(directory, layout)
        inner, hidden, tasks = self._head.shape
        self.head = f"{inner} to {hidden}, tanh, to {tasks}"
        body = load(config, directory, _Body(layout))
        self.device = torch.cuda.get_device_name() if config.gpus else processor()
        self._closed = threading.Event()
        self._states = Prefixes(body, self._closed, renderer.prefix_ids)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pair-engine")
        self._reads = Reads(self._states, self._thread)

    @property
    def num_steps(self) -> int:
        """See `base.Engine.num_steps`."""
        return self._states.num_steps

    async def preferences(self, comparisons: Sequence[Sequence[int]]) -> list[float]:
        """See `base.PairEngine.preferences`."""
        if self._closed.is_set():
            raise EngineError("the engine is closed")
        if not comparisons:
            return []
        requests = [ScoreRequest(ids=(*ids, NOT_READ), start=len(ids)) for ids in comparisons]
        states = [state for (state,) in await self._reads.read(requests)]
        return self._head.logits(torch.stack(states))

    async def close(self) -> None:
        """End the thread and drop calls under way: they see CancelledError."""
        self._closed.set()
        self._reads.cancel()
        self._thread.shutdown(wait=True, cancel_futures=True)


class _Encoder(DebertaV2Model):  # type: ignore[misc]
    _keys_to_ignore_on_load_unexpected = (r"^head_layer\.",)


class _Body:
    """The encoder alone, out of files that hold it under a name of its own beside the head."""

    def __init__(self, layout: Layout) -> None:
        self._config = DebertaV2Config.from_dict(dict(layout.body))

    def from_pretrained(self, path: str, **options: Any) -> Any:
        """See `transformers.PreTrainedModel.from_pretrained`."""
        renamed = {f"^{re.escape(BODY_PREFIX)}": ""}
        return _Encoder.from_pretrained(path, config=self._config, key_mapping=renamed, **options)
