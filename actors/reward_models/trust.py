"""The trust check: what must be true of a reward model before its first score counts.

Each check stands for a way in which scores have been silently wrong elsewhere: padding or company
that moves them, a second BOS, an end token that was cut off, weights that belong to another head.
A check fails with what was wanted and what was got.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from actors.config import ModelConfig
from actors.engines.base import PairEngine, RewardEngine
from actors.rendering import Renderer
from actors.types import ConfigError, KnownPair, Message

NOISE = {"float32": 1e-3, "auto": 1e-3}
"""How far two ways to compute one score may be apart, as a share of the scores' spread or, where
that is more, of 1."""
ROUGH_NOISE = 0.1
"""The same in half precision."""

PAIR = (
    "What is the capital of France?",
    "The capital of France is Paris.",
    "qzx banana the the of of 7 7 7",
)
"""A question, a reply that any reward model must prefer, and one that it must not."""

LONG = "Once upon a time there was a mill by the river, and in it lived a miller. " * 6
TEXTS = (("Name a colour.", "Blue."), ("Tell me a story.", LONG), PAIR[:2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`Check(name="one BOS", passed=False, wanted="at most 1", got="2")`."""

    name: str
    passed: bool
    wanted: str
    got: str


async def trusted(engine: RewardEngine | PairEngine, config: ModelConfig) -> None:
    """Raises ConfigError at the first check that fails."""
    refuse(await examine(engine, config), f"the reward model in {config.path}")


def refuse(checks: Sequence[Check], what: str) -> None:
    """Raises ConfigError at the first one that failed. what: whose checks they are."""
    for check in checks:
        if not check.passed:
            raise ConfigError(
                f"{what} failed its trust check {check.name!r}: wanted {check.wanted}, got "
                f"{check.got}; nothing was scored"
            )


async def examine(engine: RewardEngine | PairEngine, config: ModelConfig) -> list[Check]:
    """All checks, in order. Raises as `RewardEngine.rewards` or `PairEngine.preferences`."""
    if isinstance(engine, PairEngine):
        from actors.reward_models import trust_pairs

        return await trust_pairs.examine(engine, config)
    prompts = engine.prompts
    found = [
        *_rendering(prompts),
        Check(
            name="head",
            passed=True,
            wanted="raw scores, no activation",
            got=f"one score of {len(engine.parts)} parts" if engine.parts else "one score",
        ),
    ]
    found += await company(_Scorer(engine), TEXTS, noise(config))
    pair = engine.known_pair or _pair(PAIR)
    found.append(await _known_pair(engine, _pair(config.known_pair) if config.known_pair else pair))
    return found


def noise(config: ModelConfig) -> float:
    """See NOISE."""
    return NOISE.get(config.dtype, ROUGH_NOISE) if not config.gpus else ROUGH_NOISE


class _Scorer:
    """Scores questions and replies in calls of the size that is asked for."""

    def __init__(self, engine: RewardEngine) -> None:
        self._engine = engine

    async def __call__(self, *texts: tuple[str, str]) -> list[float]:
        ids = [self._engine.prompts.conversation(conversation(*text)) for text in texts]
        return [reward.value for reward in await self._engine.rewards(ids)]


def conversation(question: str, reply: str) -> tuple[Message, ...]:
    """One turn of each."""
    return (Message(role="user", content=question), Message(role="assistant", content=reply))


def _rendering(prompts: Renderer) -> list[Check]:
    question, reply = PAIR[:2]
    ids, other = (prompts.conversation(conversation(question, text)) for text in (reply, PAIR[2]))
    text = prompts.raw_text(ids)
    num_bos = prompts.bos_count(ids)
    common = 0
    while common < min(len(ids), len(other)) and ids[-1 - common] == other[-1 - common]:
        common += 1
    ends = ids[len(ids) - common :]
    return [
        Check(name="one BOS", passed=num_bos <= 1, wanted="at most 1", got=str(num_bos)),
        Check(
            name="template round trip",
            passed=0 <= text.find(question) < text.find(reply),
            wanted="the question, then the reply, unchanged in the decoded tokens",
            got=repr(text),
        ),
        Check(
            name="end token kept",
            passed=not prompts.stop_token_ids or bool(set(ends) & set(prompts.stop_token_ids)),
            wanted="an end token after the reply",
            got=repr(prompts.raw_text(ids[-4:])),
        ),
    ]


async def company(
    score: Callable[..., Awaitable[list[float]]],
    texts: Sequence[tuple[str, ...]],
    tolerance: float,
) -> list[Check]:
    """Whether what is scored together moves a score. texts: three, the second much the longest."""
    alone = [(await score(text))[0] for text in texts]
    spread = max(1.0, max(alone) - min(alone))
    runs: Sequence[tuple[str, Sequence[float], Sequence[float]]] = (
        ("batch of one = batch of many", await score(*texts), alone),
        ("order in a batch", await score(*reversed(texts)), alone[::-1]),
        ("padding", await score(texts[0], texts[1]), alone[:2]),
        ("a prompt twice", await score(texts[0], texts[0]), [alone[0]] * 2),
    )
    checks = []
    for name, got, wanted in runs:
        apart = max(abs(a - b) for a, b in zip(got, wanted, strict=True))
        checks.append(
            Check(
                name=name,
                passed=apart <= tolerance * spread,
                wanted=f"the scores of each alone, within {tolerance * spread:.2g}",
                got=f"{apart:.2g} apart",
            )
        )
    return checks


def _pair(texts: tuple[str, str, str]) -> KnownPair:
    question, better, worse = texts
    return KnownPair(messages=(Message(role="user", content=question),), better=better, worse=worse)


async def _known_pair(engine: RewardEngine, pair: KnownPair) -> Check:
    replies = [Message(role="assistant", content=text) for text in (pair.better, pair.worse)]
    ids = [engine.prompts.conversation((*pair.messages, reply)) for reply in replies]
    better, worse = (reward.value for reward in await engine.rewards(ids))
    return Check(
        name="known pair",
        passed=better > worse,
        wanted=f"to {pair.messages[-1].content!r} the reply {pair.better!r} above {pair.worse!r}",
        got=f"{better:.4g} and {worse:.4g}",
    )
