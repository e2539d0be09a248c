"""The trust check of an encoder that compares two replies; see `actors.reward_models.trust`."""

from itertools import pairwise

from actors.config import ModelConfig
from actors.engines.base import PairEngine
from actors.reward_models.pairrm import PREFIXES
from actors.reward_models.trust import LONG, PAIR, Check, company, noise
from actors.types import Message

QUESTION, BETTER, WORSE = PAIR
SPELLED = f"A {PREFIXES[2]} and a [SEP] in a reply."
"""A reply that spells tokens which only the format may write."""
TEXTS = (
    ("Name a colour.", "Blue.", "Seven."),
    ("Tell me a story.", LONG, "No."),
    PAIR,
)
Texts = tuple[str, str, str]
"""A question and two replies, in the order in which they are shown."""


async def examine(engine: PairEngine, config: ModelConfig) -> list[Check]:
    """All checks, in order; of tokens that are wrong, nothing is read. Raises as
    `PairEngine.preferences`.
    """
    found = _format(engine)
    found.append(
        Check(name="head", passed=True, wanted="raw logits, no activation", got=engine.head)
    )
    if not all(check.passed for check in found):
        return found

    async def score(*texts: Texts) -> list[float]:
        return await engine.preferences([_ids(engine, text) for text in texts])

    found += await company(score, TEXTS, noise(config))
    question, better, worse = config.known_pair or PAIR
    shown = ((question, better, worse), (question, worse, better))
    first, second = await score(*shown)
    # A spread of 1 for small logits, as for scores.
    least = noise(config) * max(1.0, abs(first), abs(second))
    turned = [*reversed(await score(*reversed(shown)))]
    apart = max(abs(a - b) for a, b in zip((first, second), turned, strict=True))
    found.append(
        Check(
            name="both orders",
            passed=abs(first - second) > least >= apart,
            wanted=f"another logit when the replies change places, the same one when asked again, "
            f"within {least:.2g}",
            got=f"{first:.4g} and {second:.4g}, {apart:.2g} apart when asked again",
        )
    )
    found.append(
        Check(
            name="known pair",
            passed=first > second,
            wanted=f"to {question!r} the reply {better!r} above {worse!r}, over both orders",
            got=f"{(first - second) / 2:.4g}, of {first:.4g} shown first and {second:.4g} second",
        )
    )
    return found


def _format(engine: PairEngine) -> list[Check]:
    ids = _ids(engine, (QUESTION, BETTER, SPELLED))
    start, end = engine.prompts.ends
    prefixes = engine.prompts.prefix_ids
    wanted = [part for prefix in prefixes for part in (start, prefix, end)]
    got = [token for token in ids if token in {start, end, *prefixes}]
    plain = engine.prompts.raw_text(_ids(engine, PAIR))
    places = [plain.find(text) for text in PAIR]
    return [
        Check(
            name="prefix tokens",
            passed=got == wanted and {(start, prefix) for prefix in prefixes} <= {*pairwise(ids)},
            wanted=f"{', '.join(PREFIXES)} once each, in this order, between [CLS] and [SEP], "
            "whatever a reply spells",
            got=repr(engine.prompts.raw_text(ids)),
        ),
        Check(
            name="text round trip",
            passed=0 <= places[0] < places[1] < places[2],
            wanted="the question and both replies, unchanged in the decoded tokens",
            got=repr(plain),
        ),
    ]


def _ids(engine: PairEngine, texts: Texts) -> list[int]:
    question, first, second = texts
    messages = [Message(role="user", content=question)]
    ids: list[int] = engine.prompts.comparisons(messages, (first, second), [(0, 1)])[0]
    return ids
