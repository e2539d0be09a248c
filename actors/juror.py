"""One juror: a hosted model that is asked for verdicts.

written      replies --actors.verdicts--> verdicts; drawn with a new seed where there was none
constrained  the closed set --log P(verdict, in its form | prompt)--> the likeliest, or all weighed
"""

import hashlib
import math
import operator
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
    tokens=212)`, or `Hearing(verdicts=(0.0,), weights=(0.9, 0.1), ...)`.
    """

    verdicts: tuple[float | None, ...]
    """None: no reply held one, or the prompt doesn't fit into the juror's context."""
    prompt_tokens: int
    """Of all attempts, like `tokens`."""
    tokens: int
    weights: tuple[float, ...] = ()
    """Of a weighed verdict: the probability of each of the closed set, together 1."""
    said: tuple[str, ...] = ()
    """For each verdict that was written the reply that holds it, or the last one that held none;
    an empty text where the prompt is too long."""

    @property
    def verdict(self) -> float | None:
        """The only one."""
        (verdict,) = self.verdicts
        return verdict

    def worth(self, values: Sequence[float]) -> float | None:
        """What the only verdict is worth, given what each of the closed set is."""
        if self.weights:
            return math.fsum(map(operator.mul, self.weights, values))
        return None if self.verdict is None else values[int(self.verdict)]


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
        prompt, case = self._prompt, self._case(item, quotes)
        if self._settings.constrained:
            return await self._likeliest(case, dict(enumerate(options)) or prompt.marks)
        read = (
            labels(prompt.verdict, options)
            if options
            else scale(prompt.verdict, prompt.low, prompt.high)
        )
        verdicts: list[float | None] = [None] * num
        said = [""] * num
        replies: list[Completion] = []
        for attempt in range(1 + self._settings.retries):
            owed = [number for number in range(num) if verdicts[number] is None]
            drawn = await self._draw(case, owed, attempt, greedy=num == 1 and attempt == 0)
            for number, reply in zip(owed, drawn, strict=False):
                verdicts[number] = read(reply.text, reply.finish_reason)
                said[number] = reply.text
            replies += drawn
            if not drawn or None not in verdicts:
                break
        return Hearing(
            verdicts=tuple(verdicts),
            prompt_tokens=sum(reply.prompt_tokens for reply in replies),
            tokens=sum(len(reply.token_ids) for reply in replies),
            said=tuple(said),
        )

    async def _likeliest(self, case: Item, allowed: Mapping[int, str]) -> Hearing:
        """The verdict of which the model would most likely have written nothing but it; of a scale
        that is weighed, the mean.
        """
        texts = [self._prompt.verdict.replace("{verdict}", label) for label in allowed.values()]
        rows = await self._model.continuation_logprobs([case.messages] * len(texts), texts)
        read = [row for row in rows if row is not None]
        # Too long with one of them is too long: the others have no better claim.
        is_whole = len(read) == len(allowed)
        verdict: float | None = None
        weights: tuple[float, ...] = ()
        if is_whole:
            logprobs = [row.logprob for row in read]
            verdict = float([*allowed][logprobs.index(max(logprobs))])
            if self._settings.weighted:
                weights = _shares(logprobs)
                if self._prompt.form == "scale":
                    verdict = math.fsum(map(operator.mul, weights, allowed))
        return Hearing(
            verdicts=(verdict,),
            weights=weights,
            # The prompt is read once for all of them.
            prompt_tokens=max((row.prompt_tokens for row in read), default=0)
            + sum(row.tokens for row in read),
            tokens=0,
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


def _shares(logprobs: Sequence[float]) -> tuple[float, ...]:
    """Of each, in the sum of their probabilities."""
    top = max(logprobs)
    found = [math.exp(logprob - top) for logprob in logprobs]
    return tuple(each / math.fsum(found) for each in found)
