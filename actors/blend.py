"""A Generator made of Generators: every reply is drawn whole from one of its members.

    item, index --hash with the run's seed--> member --generate--> candidate with its member's name

This samples P(reply | history) = sum over members m of share_m P_m(reply | history) exactly: no
logits are averaged, and members may have different tokenizers. The member of a draw is independent
of every other draw and of replicas, shards and retries; and draw i of a member is the one that the
member alone would make, so a blend of one model is that model.
Source: Lu et al. 2024 (arXiv 2401.02994), algorithm 1.
"""

import asyncio
import bisect
import hashlib
from collections.abc import Mapping, Sequence
from itertools import accumulate

from actors.config import Sampling
from actors.roles import Generator
from actors.types import Candidate, Item, Message


class Blend:
    """shares: of each member, how likely it is to be drawn; they add up to 1."""

    def __init__(
        self, members: Mapping[str, Generator], shares: Mapping[str, float], *, seed: int
    ) -> None:
        assert members.keys() == shares.keys(), "one share for each member"
        self.members = members
        self.shares = shares
        self._names = list(shares)
        # The last member has all that is left, whatever the shares' rounding.
        self._bounds = list(accumulate(shares.values()))[:-1]
        self._seed = seed

    def draw(self, item_id: str, index: int = 0) -> str:
        """The member that makes this draw."""
        text = f"{self._seed}|{item_id}|member|{index}"
        # 53 bits, which a float holds exactly.
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 11
        return self._names[bisect.bisect_right(self._bounds, number / (1 << 53))]

    async def generate(
        self,
        item: Item,
        *,
        n: int,
        sampling: Sampling,
        greedy: bool = False,
        only: Sequence[int] | None = None,
    ) -> list[Candidate]:
        """See `roles.Generator`. A greedy candidate of each member comes first, in their order."""
        drawn: dict[str, list[int]] = {name: [] for name in self._names}
        for index in range(n) if only is None else only:
            drawn[self.draw(item.id, index)].append(index)
        calls = [
            member.generate(item, n=n, sampling=sampling, greedy=greedy, only=drawn[name])
            for name, member in self.members.items()
            if greedy or drawn[name]
        ]
        found = [candidate for part in await asyncio.gather(*calls) for candidate in part]
        # Stable: those of the greedy ones, whose index is -1, stay in the members' order.
        return sorted(found, key=lambda candidate: candidate.index)

    async def room(self, prompts: Sequence[tuple[Message, ...]]) -> list[int]:
        """Of the member that has the least, prompt by prompt: any of them may be drawn."""
        rooms = await asyncio.gather(*(m.room(prompts) for m in self.members.values()))
        return [min(column) for column in zip(*rooms, strict=True)]
