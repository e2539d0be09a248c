"""One juror: a hosted model that is asked for verdicts, with a new seed where it gave none."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from actors.generator import candidate_seed
from actors.judge_prompts import JudgePrompt
from actors.role_config import JudgeSettings
from actors.roles import Model
from actors.types import Completion, Item, ItemError, Message
from actors.verdicts import labels, scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What one juror said to one prompt: `Hearing(verdicts=(4.0, None), prompt_tokens=640,
    tokens=212)`.
    """

    verdicts: tuple[float | None, ...]
    """None: no reply held one, or the prompt doesn't fit into the juror's context."""
    prompt_tokens: int
    """Of all attempts, like `tokens`."""
    tokens: int

    @property
    def verdict(self) -> float | None:
        """The only one."""
        (verdict,) = self.verdicts
        return verdict


class Juror:
    """See the module's docstring. A seed is made of the run's seed, the item, the whole prompt, the
    model's name, the verdict's number and the attempt.
    """

    def __init__(
        self, model: Model, prompt: JudgePrompt, settings: JudgeSettings, seed: int
    ) -> None:
        self._model = model
        self._prompt = prompt
        self._settings = settings
        self._seed = seed

    async def hear(
        self, item: Item, quotes: Mapping[str, str], *, options: Sequence[str] = (), num: int = 1
    ) -> Hearing:
        """`num` verdicts, each a draw of its own; a single one is decoded greedily.

        quotes: what the prompt quotes. options: the closed set, a verdict is a position in it;
        empty: the prompt's scale. Raises ItemError, EngineError.
        """
        prompt = self._prompt
        read = (
            labels(prompt.verdict, options)
            if options
            else scale(prompt.verdict, prompt.low, prompt.high)
        )
        case = self._case(item, quotes)
        verdicts: list[float | None] = [None] * num
        replies: list[Completion] = []
        for attempt in range(1 + self._settings.retries):
            owed = [number for number in range(num) if verdicts[number] is None]
            drawn = await self._draw(case, owed, attempt, greedy=num == 1 and attempt == 0)
            for number, reply in zip(owed, drawn, strict=False):
                verdicts[number] = read(reply.text, reply.finish_reason)
            replies += drawn
            if not drawn or None not in verdicts:
                break
        return Hearing(
            verdicts=tuple(verdicts),
            prompt_tokens=sum(reply.prompt_tokens for reply in replies),
            tokens=sum(len(reply.token_ids) for reply in replies),
        )

    def _case(self, item: Item, quotes: Mapping[str, str]) -> Item:
        content = self._prompt.fill(item, **quotes)
        digest = hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()
        message = Message(role="user", content=content)
        return replace(item, id=f"{item.id}|judge|{digest[:16]}", messages=(message,))

    async def _draw(
        self, case: Item, numbers: Sequence[int], attempt: int, *, greedy: bool
    ) -> list[Completion]:
        """One reply for each number; none where the prompt doesn't fit."""
        name = f"{case.id}|{attempt}"
        seeds = [
            None if greedy else candidate_seed(self._seed, name, self._model.name, number)
            for number in numbers
        ]
        try:
            return await self._model.generate(case, seeds=seeds, sampling=self._settings.sampling)
        except ItemError as error:
            # One text that is too long to be judged must not cost the item its other candidates.
            if error.kind != "too_long":
                raise
            return []
