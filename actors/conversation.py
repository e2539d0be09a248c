"""Conversations: what a model is asked at each turn, and the whole as scorers read it.

    system, user 1, reply 1, user 2, ... user k --fitted--> prompt of reply k

History is kept as messages, never as token ids: members of a blend have tokenizers of their own,
and each takes every earlier reply, whoever wrote it, for its own.
"""

from collections.abc import Sequence
from dataclasses import replace

from actors.roles import Generator
from actors.types import Candidate, Item, Message

Messages = tuple[Message, ...]


def turn(item: Item, number: int, prompt: Messages) -> Item:
    """The item that asks for one reply, counted from 0: its id gives each turn its own draws."""
    return replace(item, id=f"{item.id}|turn {number}", messages=prompt, follow_ups=())


async def fitted(generator: Generator, history: Messages, max_tokens: int) -> tuple[Messages, int]:
    """The history as far as it fits, and how many of its oldest turns were cut for that.

    A turn is a message of the user's and all that follows it up to the next. Messages before the
    first turn (the system's) and the newest turn are never cut. Room is left for a reply of
    `max_tokens`, or of half of what the newest turn alone leaves, if that is less.
    """
    prompts = _shortened(history)
    whole, newest = await generator.room([prompts[0], prompts[-1]])
    wanted = min(max_tokens, newest // 2)
    if whole >= wanted:
        return history, 0
    rooms = await generator.room(prompts)
    cut = next(i for i, room in enumerate(rooms) if room >= wanted or i == len(rooms) - 1)
    return prompts[cut], cut


def conversation(item: Item, candidate: Candidate) -> Messages:
    """The item's prompt with the candidate as its reply; of a conversation, turn by turn."""
    if not candidate.replies:
        return (*item.messages, Message(role="assistant", content=candidate.text))
    return (*item.messages, *_answered(item, [reply.text for reply in candidate.replies]))


def transcript(item: Item, replies: Sequence[str]) -> str:
    """What follows the item's prompt, as one text: the first reply, then turns with their roles."""
    first, *rest = _answered(item, replies)
    return "\n".join([first.content, *(f"<turn> {m.role}\n{m.content}" for m in rest)])


def _answered(item: Item, replies: Sequence[str]) -> list[Message]:
    messages = [Message(role="assistant", content=replies[0])]
    for said, reply in zip(item.follow_ups, replies[1:], strict=True):
        messages.append(Message(role="user", content=said))
        messages.append(Message(role="assistant", content=reply))
    return messages


def _shortened(history: Messages) -> list[Messages]:
    """The history, and what is left of it without its oldest turn, its two oldest, and so on."""
    starts = [i for i, message in enumerate(history) if message.role == "user"]
    head = history[: starts[0]]
    return [(*head, *history[start:]) for start in starts]
