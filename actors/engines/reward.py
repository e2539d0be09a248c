"""A reward model on transformers: the body reads trees of tokens, the head makes scores.

    rewards() --positions of each conversation--> Reads --packs of trees--> one thread
                                                          hidden states --> head --> scores

Candidates of one prompt share its tokens, in one call and across calls, and nothing is padded into
a score (`actors.engines.reading`).
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from transformers import AutoModel

from actors.config import ModelConfig
from actors.engines.base import ScoreRequest
from actors.engines.features import Features
from actors.engines.loading import context, load
from actors.engines.reads import Reads
from actors.machine import processor
from actors.rendering import Renderer
from actors.reward_models import Head, load_head
from actors.reward_models.states import States
from actors.types import EngineError, Reward

NOT_READ = 0
"""A token in the place of a scored one: hidden states don't depend on what comes after."""


class HFRewardEngine:
    """Hosts one reward model, or with the engine `states` the body of any model. Loads weights when
    it is made. Raises ConfigError.
    """

    def __init__(self, config: ModelConfig, *, directory: Path, renderer: Renderer) -> None:
        self.prompts = renderer
        self.context = context(config, directory)
        body = load(config, directory, AutoModel)
        if config.engine == "states":
            width = body.config.get_text_config().hidden_size
            self._head: Head = States(width, renderer.prompt_end())
        else:
            self._head = load_head(directory)
        self.parts, self.known_pair = self._head.parts, self._head.known_pair
        self.device = torch.cuda.get_device_name() if config.gpus else processor()
        self._closed = threading.Event()
        self._features = Features(body, self._closed)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reward-engine")
        self._reads = Reads(self._features, self._thread)

    @property
    def num_steps(self) -> int:
        """See `base.Engine.num_steps`."""
        return self._features.num_steps

    async def rewards(self, conversations: Sequence[Sequence[int]]) -> list[Reward]:
        """See `base.RewardEngine.rewards`. Raises EngineError when the model fails, ItemError for a
        conversation without what the head reads, or that doesn't fit in memory.
        """
        if self._closed.is_set():
            raise EngineError("the engine is closed")
        positions = [self._head.reads(ids) for ids in conversations]
        requests = [
            ScoreRequest(ids=(*ids[: position + 1], NOT_READ), start=position + 1)
            for ids, read in zip(conversations, positions, strict=True)
            for position in read
        ]
        states = [state for (state,) in await self._reads.read(requests)]
        states_BPH = torch.stack(states).unflatten(0, (len(positions), -1))
        return self._head.rewards(states_BPH, [len(ids) for ids in conversations])

    async def close(self) -> None:
        """End the thread and drop calls under way: they see CancelledError."""
        self._closed.set()
        self._reads.cancel()
        self._thread.shutdown(wait=True, cancel_futures=True)
