"""What generator and discriminator think of texts: the log-probabilities that the Consensus Game is
played with.

    prompt, text            --> log P(text | prompt)                          `correct`
    prompt for a wrong one  --> log P(text | that prompt)                     `incorrect`
    prompt and text, quoted --> log P(label | right or wrong?)   `says_correct`, `says_incorrect`

Source: Jacob et al. 2023 (arXiv 2310.09139), the prompts.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from actors.role_config import VerdictPrompts
from actors.roles import Model
from actors.types import Continuation, Message

PARTS = ("correct", "incorrect", "says_correct", "says_incorrect")

CUE = re.compile(r"\w+:\s*\Z")
"""What a prompt ends in that an answer continues, such as `Answer:`."""

Found = list[Continuation | None]
"""Of each text; None where it doesn't fit into the context with its prompt."""


async def ask(
    messages: Sequence[Message],
    texts: Sequence[str],
    prompts: VerdictPrompts,
    *,
    likelihood: Model,
    discriminator: Model,
    reads: Collection[str] = ("correct", "incorrect", "verdict"),
    quoted: Sequence[str] | None = None,
) -> dict[str, Found]:
    """By name of the part, what is known of each text; only the parts that `reads` names.

    messages: the prompt; its last one is what the templates change.
    texts: what may follow the prompt. quoted: the same as the discriminator sees them; None: equal.
    Raises as `Model.continuation_logprobs`.
    """
    found: dict[str, Found] = {}
    head, cue = _split(messages[-1].content)
    if "correct" in reads:
        found["correct"] = await _follow(likelihood, messages, texts)
    if "incorrect" in reads:
        asking = filled(prompts.incorrect, head=head, cue=cue)
        found["incorrect"] = await _follow(likelihood, _ending(messages, asking), texts)
    if "verdict" in reads:
        judged = [
            tuple(_ending(messages, filled(prompts.discriminator, head=head, cue=cue, answer=t)))
            for t in quoted or texts
        ]
        twice = [prompt for prompt in judged for _ in prompts.labels]
        rows = await discriminator.continuation_logprobs(twice, [*prompts.labels] * len(judged))
        found["says_correct"], found["says_incorrect"] = rows[::2], rows[1::2]
    return found


async def _follow(model: Model, messages: Sequence[Message], texts: Sequence[str]) -> Found:
    return await model.continuation_logprobs([tuple(messages)] * len(texts), texts)


def _ending(messages: Sequence[Message], content: str) -> list[Message]:
    return [*messages[:-1], replace(messages[-1], content=content)]


def _split(prompt: str) -> tuple[str, str]:
    """Head and cue of a prompt."""
    found = CUE.search(prompt)
    if found is None:
        return f"{prompt.rstrip()}\n", "Answer:"
    return prompt[: found.start()], found[0].rstrip()


def filled(template: str, **values: str) -> str:
    """A template with values in place of their names in braces. Not str.format: questions hold
    braces; in one pass, since so may values.
    """
    return re.sub(rf"\{{({'|'.join(values)})\}}", lambda match: values[match[1]], template)
