"""The `Model` and the `Sandbox` that pipelines see: calls on a pool."""

from collections.abc import Sequence

from actors.config import Sampling
from actors.roles import LabelLogprobs
from actors.sandbox.types import Program, Verdict
from actors.types import Completion, Continuation, Item, Message, Preview, Reward
from cluster.pool import Pool


class PooledModel:
    """One hosted model, wherever its replicas live."""

    def __init__(self, pool: Pool) -> None:
        self.name = pool.name
        self._pool = pool

    async def generate(
        self, item: Item, *, seeds: Sequence[int | None], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        """See `roles.Model.generate`."""
        completions: list[Completion] = await self._pool.call(
            "generate", item, tuple(seeds), sampling, top_logprobs, weight=len(seeds)
        )
        self._pool.num_tokens += sum(len(completion.token_ids) for completion in completions)
        return completions

    async def label_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], labels: Sequence[str]
    ) -> list[LabelLogprobs]:
        """See `roles.Model.label_logprobs`."""
        rows: list[LabelLogprobs] = await self._pool.call(
            "label_logprobs", tuple(prompts), tuple(labels), weight=len(prompts)
        )
        return rows

    async def continuation_logprobs(
        self, prompts: Sequence[tuple[Message, ...]], continuations: Sequence[str]
    ) -> list[Continuation | None]:
        """See `roles.Model.continuation_logprobs`."""
        assert len(prompts) == len(continuations), "one continuation for each prompt"
        rows: list[Continuation | None] = await self._pool.call(
            "continuation_logprobs", tuple(prompts), tuple(continuations), weight=len(prompts)
        )
        return rows

    async def rewards(self, conversations: Sequence[tuple[Message, ...]]) -> list[Reward | None]:
        """See `roles.Model.rewards`."""
        found: list[Reward | None] = await self._pool.call(
            "rewards", tuple(conversations), weight=len(conversations)
        )
        return found

    async def preferences(
        self, messages: Sequence[Message], texts: Sequence[str], pairs: Sequence[tuple[int, int]]
    ) -> list[tuple[float, int]]:
        """See `roles.Model.preferences`."""
        found: list[tuple[float, int]] = await self._pool.call(
            "preferences", tuple(messages), tuple(texts), tuple(pairs), weight=len(pairs)
        )
        return found

    async def room(self, prompts: Sequence[tuple[Message, ...]]) -> list[int]:
        """See `roles.Model.room`."""
        rooms: list[int] = await self._pool.call("room", tuple(prompts))
        return rooms

    async def preview(self, item: Item) -> Preview | None:
        """See `roles.Model.preview`."""
        preview: Preview | None = await self._pool.call("preview", item)
        return preview


class PooledSandbox:
    """Where programs run, one process each."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self, program: Program) -> Verdict:
        """See `roles.Sandbox.run`."""
        verdict: Verdict = await self._pool.call("run", program)
        return verdict
