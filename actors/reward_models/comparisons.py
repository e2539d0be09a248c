"""Comparisons as token ids, the way PairRM was trained to read them.

    [CLS] <|source|> prompt [SEP] [CLS] <|candidate1|> reply [SEP] [CLS] <|candidate2|> reply [SEP]

A prompt of one turn is its text. Of several turns, each reply stands for its place: the prompt says
`USER: ...` and `Assistant: <Response 1>`, and a candidate lists the replies, its own the last. A
system's text stands in front. A prefix or end token that a text spells is read letter by letter
(`actors.spelling`). Nothing is cut: what is over a limit is refused.
Source: https://github.com/yuchenlin/LLM-Blender, CrossCompareCollator and compare_conversations.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from actors.config import Template
from actors.rendering import load_tokenizer
from actors.reward_models.pairrm import FIRST, PREFIXES, SHARED_PREFIX, SOURCE, Layout, read_layout
from actors.spelling import SpecialTokens
from actors.tournament import Pair
from actors.types import ConfigError, ItemError, Message

INSTRUCTION = (
    "Finish the following coversation in each i-th turn by filling in <Response i> with your "
    "response."
)
"""As published, spelling included: it is what the model has seen."""


class Comparisons:
    """One tokenizer. Raises ConfigError for one that can't be read, that lacks [CLS] or [SEP], or
    whose prefix tokens aren't those of the model's config.
    """

    def __init__(self, directory: Path, template: Template = "auto") -> None:
        if template != "auto":
            raise ConfigError(
                f"template: an encoder reads one format of its own, got {template!r}; leave it out"
            )
        self._name = directory.name
        layout = read_layout(directory)
        self.limits = layout.limits
        self._tokenizer = load_tokenizer(directory)
        # A base model's tokenizer gets them in this order, and ids of their own, in training.
        self._tokenizer.add_tokens([*PREFIXES, SHARED_PREFIX])
        self.prefix_ids = tuple(self._tokenizer.convert_tokens_to_ids(p) for p in PREFIXES)
        self._check(directory, layout)
        self._special = SpecialTokens(self._tokenizer, more=(*PREFIXES, SHARED_PREFIX))

    def _check(self, directory: Path, layout: Layout) -> None:
        wanted = layout.prefix_ids or self.prefix_ids
        if self.prefix_ids != wanted or max(wanted) >= int(layout.body["vocab_size"]):
            raise ConfigError(
                f"the tokenizer in {directory} has {', '.join(PREFIXES)} as {self.prefix_ids}; "
                f"wanted {wanted} of a vocabulary of {layout.body['vocab_size']}, as config.json "
                f"says: it belongs to another model"
            )
        if None in (self._tokenizer.cls_token_id, self._tokenizer.sep_token_id):
            raise ConfigError(f"the tokenizer in {directory} has no [CLS] or no [SEP] token")

    def within(self, context: int | None) -> None:
        """Lower the limits to a context. Raises ConfigError for one above them."""
        if context is None:
            return
        if context > self.limits.total:
            raise ConfigError(
                f"context: wanted {context} tokens, but {self._name} reads {self.limits.total}; "
                f"set context: {self.limits.total} or less"
            )
        self.limits = replace(self.limits, total=context, source=min(self.limits.source, context))

    def comparisons(
        self, messages: Sequence[Message], texts: Sequence[str], pairs: Sequence[Pair]
    ) -> list[list[int]]:
        """The ids of each pair of texts, as replies to the prompt, the first of it shown first.

        Raises ItemError, kind `too_long`, for a prompt and for a text over the limits, ConfigError
        for turns in an order that the format doesn't have.
        """
        prompt, earlier = _parts(messages)
        source = self._segment(SOURCE, prompt)
        if len(source) > self.limits.source:
            raise ItemError(
                "too_long",
                f"the prompt has {len(source)} tokens; {self._name} reads at most "
                f"{self.limits.source} and nothing is cut",
            )
        room = self.limits.of_candidate(len(source))
        replies = []
        for number, text in enumerate(texts):
            reply = self._segment(FIRST, earlier + text)
            if len(reply) > room:
                raise ItemError(
                    "too_long",
                    f"reply {number} has {len(reply)} tokens; beside a prompt of {len(source)} "
                    f"{self._name} reads at most {room} of each reply and nothing is cut",
                )
            replies.append(reply)
        return [[*source, *replies[i], *self._second(replies[j])] for i, j in pairs]

    def raw_text(self, ids: Sequence[int]) -> str:
        """The text of any ids, special tokens included."""
        return str(self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    @property
    def ends(self) -> tuple[int, int]:
        """What each part of a comparison starts and ends with: [CLS] and [SEP]."""
        return int(self._tokenizer.cls_token_id), int(self._tokenizer.sep_token_id)

    def _segment(self, prefix: str, text: str) -> list[int]:
        (hidden,), spelled = self._special.hide([text])
        start, end = self.ends
        return [start, *self._special.encode(prefix + hidden, spelled), end]

    def _second(self, reply: Sequence[int]) -> list[int]:
        start, _, *rest = reply
        return [start, self.prefix_ids[2], *rest]


def _parts(messages: Sequence[Message]) -> tuple[str, str]:
    """The source, and what a candidate's own reply follows."""
    system = "".join(f"{m.content}\n" for m in messages if m.role == "system")
    turns = [m for m in messages if m.role != "system"]
    roles = [m.role for m in turns]
    if not roles or roles != [("user", "assistant")[i % 2] for i in range(len(roles) // 2 * 2 + 1)]:
        raise ConfigError(
            f"an encoder of pairs reads turns of user and assistant by turns, a user's the last; "
            f"got roles {[m.role for m in messages]}"
        )
    if len(turns) == 1:
        return system + turns[0].content, ""
    asked = (
        f"USER: {m.content}\nAssistant: <Response {i}>" for i, m in enumerate(turns[::2], start=1)
    )
    said = [f"<Response {i}>: {m.content}\n" for i, m in enumerate(turns[1::2], start=1)]
    source = system + INSTRUCTION + "\n".join(asked)
    return source, "".join(said) + f"<Response {len(said) + 1}>: "
