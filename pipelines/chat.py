"""Chat: conversations with each member alone, with one drawn per conversation, and with a blend.

    user turns --arm: who writes each reply--> replies --> transcript: one candidate for each arm
    candidates --scorers--> mean score of each arm, win rate against each member alone

    NAME alone             NAME writes every reply
    one per conversation   a member is drawn once and writes every reply
    blend                  a member is drawn for every turn; all earlier replies count as its own

A reply's seed depends on the run's seed, the conversation, the turn and its member alone, so arms
that come to the same history with the same member share the reply: it is asked for once, and each
arm is charged for it. What is cut of a history that outgrows a context, and what a member has to
prefill since its last call, is kept with each reply. An arm beats another where its score is
higher; equal scores are half a win each, and a conversation without a verdict is in no win rate.
Source: Lu et al. 2024 (arXiv 2401.02994), algorithm 1.
"""

import asyncio
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field, model_validator

from actors.blend import Blend
from actors.config import Sampling, StrictConfig
from actors.conversation import Messages, fitted, transcript, turn
from actors.roles import Generator, Scorer
from actors.types import Candidate, ConfigError, Item, Message, Reply, cut_reasoning
from pipelines.base import Solution, Usage
from results.schema import ALONE, CONVERSATION, AnswerRecord, CandidateRecord

ArmKind = Literal["alone", "conversation", "blend"]


class Config(StrictConfig):
    """Under `pipeline:` with `name: chat`."""

    sampling: Sampling = Sampling()
    """Of every reply."""
    arms: tuple[ArmKind, ...] = Field(("alone", "conversation", "blend"), min_length=1)
    """Which are played: each member alone, one drawn per conversation, the blend."""

    @model_validator(mode="after")
    def _each_once(self) -> "Config":
        if len(set(self.arms)) < len(self.arms):
            raise ConfigError(f"arms: wanted each one once, got {', '.join(self.arms)}")
        return self


@dataclass(slots=True, kw_only=True)
class _Arm:
    """A conversation under way."""

    name: str
    writers: tuple[str, ...]
    """The member of each turn."""
    generator: Generator
    """Whose contexts the history must fit: all that may write."""
    history: Messages
    replies: list[Reply] = field(default_factory=list)
    seconds: float = 0.0
    met: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By member: turns cut at its last call, and the tokens that it had read and written then, as
    far as later prompts repeat them."""

    def take(self, drawn: Candidate, cut: int) -> None:
        """The reply to the newest turn, without white space around it. Its thought stays with it,
        but is in no later prompt: members mark thoughts differently, and users don't see them.
        """
        before, known = self.met.get(drawn.member, (cut, 0))
        # Without its oldest turns a prompt begins otherwise, and no cache has it.
        fresh = max(0, drawn.prompt_tokens - known) if before == cut else drawn.prompt_tokens
        text = drawn.text.strip()
        said = cut_reasoning(text).strip()
        written = (drawn.tokens or 0) if said == text else 0
        self.met[drawn.member] = (cut, drawn.prompt_tokens + written)
        self.seconds += drawn.seconds
        self.history = (*self.history, Message(role="assistant", content=said))
        self.replies.append(
            Reply(
                member=drawn.member,
                text=text,
                finish_reason=drawn.finish_reason,
                prompt_tokens=drawn.prompt_tokens,
                tokens=drawn.tokens,
                fresh_tokens=fresh,
                cached_tokens=drawn.cached_tokens,
                seed=drawn.seed,
                logprob=drawn.logprob,
                cut=cut,
            )
        )


async def solve(
    item: Item, config: Config, *, blend: Blend, scorers: Mapping[str, Scorer]
) -> Solution:
    """Play and score one conversation in every arm. Errors rise to the runner, which records them
    on the item.
    """
    arms = list(_arms(item, config, blend))
    asked: list[Candidate] = []
    for number, said in enumerate((None, *item.follow_ups)):
        if said is not None:
            for arm in arms:
                arm.history = (*arm.history, Message(role="user", content=said))
        asked += await _turn(item, config, blend, arms, number)
    candidates = tuple(_candidate(item, index, arm) for index, arm in enumerate(arms))
    scores = {name: tuple(await scorer.score(item, candidates)) for name, scorer in scorers.items()}
    users = (Message(role="user", content=said) for said in item.follow_ups)
    return Solution(
        candidates=candidates,
        scores=scores,
        asked=(*item.messages, *users),
        usage=tuple(_usage(asked, blend.shares)),
    )


def prompt(item: Item) -> tuple[Message, ...]:
    """What begins every conversation."""
    return item.messages


def sends(config: Config) -> int:
    """Once to each member, whose arms share the first reply."""
    return 1


def requests(config: Config, num_items: int) -> str:
    """Of all items."""
    return (
        f"{num_items:,} conversations, arms: {', '.join(config.arms)}; replies of at most "
        f"{config.sampling.max_tokens:,} tokens; prompts but the first depend on the replies"
    )


def answers(
    pools: Sequence[Sequence[CandidateRecord]], config: Config
) -> list[tuple[AnswerRecord, ...]]:
    """Of each conversation, every arm's grade where the task has any, and for every scorer and
    member, metric `beats MEMBER by SCORER`: 1 where the arm's score is above the member's alone,
    1/2 where they are equal, 0 below.
    """
    return [(*_grades(pool), *_wins(pool)) for pool in pools]


def _arms(item: Item, config: Config, blend: Blend) -> Iterator[_Arm]:
    num = 1 + len(item.follow_ups)

    def arm(name: str, writers: Sequence[str], generator: Generator) -> _Arm:
        return _Arm(name=name, writers=tuple(writers), generator=generator, history=item.messages)

    if "alone" in config.arms:
        for name, member in blend.members.items():
            yield arm(f"{name}{ALONE}", [name] * num, member)
    if "conversation" in config.arms:
        name = blend.draw(item.id)
        yield arm("one per conversation", [name] * num, blend.members[name])
    if "blend" in config.arms:
        drawn = [blend.draw(turn(item, number, ()).id) for number in range(num)]
        yield arm("blend", drawn, blend)


async def _turn(
    item: Item, config: Config, blend: Blend, arms: Sequence[_Arm], number: int
) -> list[Candidate]:
    """Every arm's reply of this turn; returns those that were asked for."""
    limit = config.sampling.max_tokens
    fits = await asyncio.gather(*(fitted(arm.generator, arm.history, limit) for arm in arms))
    keys = [(arm.writers[number], fit[0]) for arm, fit in zip(arms, fits, strict=True)]
    unique = list(dict.fromkeys(keys))
    calls = [
        blend.members[writer].generate(turn(item, number, asked), n=1, sampling=config.sampling)
        for writer, asked in unique
    ]
    drawn = [candidate for (candidate,) in await asyncio.gather(*calls)]
    found = dict(zip(unique, drawn, strict=True))
    for arm, key, (_, cut) in zip(arms, keys, fits, strict=True):
        arm.take(found[key], cut)
    return drawn


def _candidate(item: Item, index: int, arm: _Arm) -> Candidate:
    logprobs = [reply.logprob for reply in arm.replies if reply.logprob is not None]
    is_cut = any(reply.finish_reason == "length" for reply in arm.replies)
    return Candidate(
        index=index,
        member="+".join(dict.fromkeys(arm.writers)),
        decoding="conversation",
        text=transcript(item, [reply.text for reply in arm.replies]),
        finish_reason="length" if is_cut else "stop",
        prompt_tokens=sum(reply.prompt_tokens for reply in arm.replies),
        tokens=sum(reply.tokens or 0 for reply in arm.replies),
        logprob=math.fsum(logprobs) if len(logprobs) == len(arm.replies) else None,
        seed=None,
        seconds=arm.seconds,
        arm=arm.name,
        replies=tuple(arm.replies),
    )


def _usage(asked: Sequence[Candidate], members: Collection[str]) -> Iterator[Usage]:
    """Of each member, what it was really asked."""
    for name in members:
        if own := [candidate for candidate in asked if candidate.member == name]:
            yield Usage(
                role=f"{CONVERSATION}{name}",
                model=name,
                requests=len(own),
                tokens=sum(candidate.prompt_tokens for candidate in own),
                generated=sum(candidate.tokens or 0 for candidate in own),
            )


def _grades(pool: Sequence[CandidateRecord]) -> Iterator[AnswerRecord]:
    for candidate in pool:
        for grade in candidate.grade:
            yield AnswerRecord(
                method=candidate.arm,
                metric=grade.metric,
                k=0,
                value=grade.value,
                candidate=candidate.index,
                answer=candidate.answer,
                correct=candidate.correct,
            )


def _wins(pool: Sequence[CandidateRecord]) -> Iterator[AnswerRecord]:
    alone = [c for c in pool if c.arm.endswith(ALONE)]
    values = [{score.scorer: score.value for score in c.scores} for c in pool]
    for scorer in values[0] if values else ():
        of = {c.arm: found.get(scorer) for c, found in zip(pool, values, strict=True)}
        for member in alone:
            for candidate in pool:
                mine, its = of[candidate.arm], of[member.arm]
                if candidate.arm != member.arm and mine is not None and its is not None:
                    yield AnswerRecord(
                        method=candidate.arm,
                        metric=f"beats {member.arm.removesuffix(ALONE)} by {scorer}",
                        k=0,
                        value=0.5 if mine == its else float(mine > its),
                        candidate=candidate.index,
                    )
