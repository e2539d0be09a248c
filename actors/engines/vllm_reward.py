"""A reward model on vLLM: the body's last hidden states, the head applied here.

    rewards() --beginnings up to each position that is read--> one request for each
                          hidden state of its last token, prefix cache --> head --> scores

vLLM hosts the body as an embedding model. A hidden state inside a conversation is the last one of
its beginning: attention looks back only. Candidates of a prompt read it from the prefix cache.
Doesn't import vLLM.
"""

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from actors.config import ModelConfig
from actors.engines.vllm_args import engine_args
from actors.engines.vllm_core import device_name, last_state, open_core
from actors.machine import processor
from actors.models import context_length
from actors.rendering import Renderer
from actors.reward_models import load_head
from actors.reward_models.body import body_of
from actors.types import Reward

POOLING: dict[str, Any] = {
    "runner": "pooling",
    "convert": "embed",
    "pooler_config": {"seq_pooling_type": "LAST", "use_activation": False},
}


class VLLMRewardEngine:
    """Hosts one reward model. `own_process`: as on GPUs; None decides by the config."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        directory: Path,
        renderer: Renderer,
        own_process: bool | None = None,
    ) -> None:
        args = engine_args(config, body_of(directory), context_length(directory)) | POOLING
        self.prompts = renderer
        self.context: int = args["max_model_len"]
        self.device = device_name() if config.gpus else processor()
        self._head = load_head(directory)
        self.parts, self.known_pair = self._head.parts, self._head.known_pair
        self._ids = itertools.count()
        own = config.gpus > 0 if own_process is None else own_process
        self._core = open_core(args, own_process=own)

    @property
    def num_steps(self) -> int:
        """See `base.Engine.num_steps`."""
        return self._core.num_steps

    async def rewards(self, conversations: Sequence[Sequence[int]]) -> list[Reward]:
        """See `base.RewardEngine.rewards`. Raises ItemError for a conversation without what the
        head reads.
        """
        positions = [self._head.reads(ids) for ids in conversations]
        beginnings = [
            tuple(ids[: position + 1])
            for ids, read in zip(conversations, positions, strict=True)
            for position in read
        ]
        distinct = list(dict.fromkeys(beginnings))
        found = dict(zip(distinct, await asyncio.gather(*map(self._state, distinct)), strict=True))
        states_BPH = torch.stack([found[ids] for ids in beginnings])
        states_BPH = states_BPH.unflatten(0, (len(positions), -1))
        return self._head.rewards(states_BPH, [len(ids) for ids in conversations])

    async def close(self) -> None:
        """Stop the engine's thread or processes."""
        await self._core.close()

    async def _state(self, ids: Sequence[int]) -> torch.Tensor:
        output, _ = await self._core.run(str(next(self._ids)), ids, last_state())
        state: torch.Tensor = output.outputs.data.float().cpu()
        return state
