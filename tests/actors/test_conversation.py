"""What of a history fits, and how a conversation is put together again."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from actors.conversation import conversation, fitted, transcript, turn
from actors.reward_models.pointwise import Rewarded
from actors.role_config import ScorerConfig
from actors.types import Candidate, Item, Message, Reply, Reward

ITEM = Item(
    id="talk",
    task="t",
    question="u1",
    reference="",
    messages=(Message(role="system", content="s"), Message(role="user", content="u1")),
    follow_ups=("u2", "u3"),
)


class Room:
    """Contexts of so many words."""

    def __init__(self, context: int) -> None:
        self.context = context
        self.asked = 0

    async def room(self, prompts: Sequence[tuple[Message, ...]]) -> list[int]:
        self.asked += len(prompts)
        return [self.context - sum(len(m.content.split()) for m in p) for p in prompts]


def history(num_turns: int, words: int = 4, system: bool = True) -> tuple[Message, ...]:
    """Turns of twice so many words, the newest without a reply; the system's message has one."""
    said = [Message(role="system", content="s")] if system else []
    for number in range(num_turns):
        said += [
            Message(role=role, content=f"{role[0]}{number} " + "w " * (words - 1))
            for role in ("user", "assistant")
        ]
    return tuple(said[:-1])


def fit(context: int, max_tokens: int, told: tuple[Message, ...]) -> tuple[list[str], int]:
    kept, cut = asyncio.run(fitted(Room(context), told, max_tokens))  # type: ignore[arg-type]
    return [message.content.split()[0] for message in kept], cut


@pytest.mark.parametrize(
    ("context", "kept", "cut"),
    [
        (21 + 5, ["s", "u0", "a0", "u1", "a1", "u2"], 0),
        (21 + 4, ["s", "u1", "a1", "u2"], 1),
        (13 + 5, ["s", "u1", "a1", "u2"], 1),
        (13 + 4, ["s", "u2"], 2),
        (6, ["s", "u2"], 2),
    ],
)
def test_whole_oldest_turns_are_cut_until_a_reply_has_room(
    context: int, kept: list[str], cut: int
) -> None:
    assert fit(context, 5, history(3)) == (kept, cut)


def test_without_a_system_message_the_newest_turn_stays_alone() -> None:
    assert fit(5, 5, history(2, system=False)) == (["u1"], 1)


def test_a_limit_beyond_the_context_does_not_empty_the_history() -> None:
    """Half of what the newest turn alone leaves, (40 - 5) // 2 = 17, is room enough."""
    assert fit(40, 4096, history(3))[1] == 0
    assert fit(37, 4096, history(3))[1] == 0
    assert fit(36, 4096, history(3))[1] == 0
    assert fit(30, 4096, history(3))[1] == 1


def test_what_fits_is_not_looked_at_further() -> None:
    room = Room(1000)
    asyncio.run(fitted(room, history(50), 5))  # type: ignore[arg-type]
    assert room.asked == 2


def reply(text: str) -> Reply:
    return Reply(
        member="a", text=text, finish_reason="stop", prompt_tokens=1, tokens=1, fresh_tokens=1,
        cached_tokens=0, seed=1, logprob=-1.0, cut=0,
    )  # fmt: skip


def candidate(text: str, *replies: str) -> Candidate:
    return Candidate(
        index=0, member="a", decoding="conversation" if replies else "sample", text=text,
        finish_reason="stop", prompt_tokens=1, tokens=1, logprob=-1.0, seed=1, seconds=0.0,
        replies=tuple(map(reply, replies)),
    )  # fmt: skip


def test_a_scorer_reads_a_conversation_turn_by_turn() -> None:
    read = conversation(ITEM, candidate("...", "r1", "r2", "r3"))
    assert [m.role for m in read] == ["system", *["user", "assistant"] * 3]
    assert [m.content for m in read] == ["s", "u1", "r1", "u2", "r2", "u3", "r3"]


def test_a_plain_candidate_is_the_reply_to_the_prompt() -> None:
    read = conversation(ITEM, candidate("r"))
    assert read == (*ITEM.messages, Message(role="assistant", content="r"))


def test_a_transcript_of_one_turn_is_its_reply() -> None:
    assert transcript(replace(ITEM, follow_ups=()), ["r1"]) == "r1"
    wanted = "r1\n<turn> user\nu2\n<turn> assistant\nr2\n<turn> user\nu3\n<turn> assistant\nr3"
    assert transcript(ITEM, ["r1", "r2", "r3"]) == wanted


def test_each_turn_is_an_item_of_its_own() -> None:
    first, second = (turn(ITEM, number, ITEM.messages) for number in range(2))
    assert first.id != second.id
    assert first.follow_ups == ()


class Judge:
    """A reward model that keeps what it read."""

    name = "judge"

    async def rewards(self, conversations: Sequence[tuple[Message, ...]]) -> list[Reward | None]:
        self.read = list(conversations)
        return [Reward(value=1.0) for _ in conversations]


def test_a_reward_model_is_given_conversations_and_plain_replies_alike() -> None:
    judge = Judge()
    scorer = Rewarded(ScorerConfig(kind="reward"), judge)  # type: ignore[arg-type]
    candidates = [candidate("...", "r1", "r2", "r3"), candidate("r")]
    asyncio.run(scorer.score(ITEM, candidates))
    assert judge.read == [conversation(ITEM, c) for c in candidates]
