"""Special tokens that a message merely spells: read as text, never as the token.

    contents --hide: one private-use character for each spelled token--> template --> text
    text --encode: what the template wrote as ever, what was hidden letter by letter--> ids

Without this a question, or a candidate that a judge reads, could end its own turn and write the
next one. Contents that spell no special token take the tokenizer's usual path, unchanged.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from typing import Any

TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|eom_id|>")
"""Tokens that end a turn in known templates; they stop a completion where the template has them."""

ANCHORS = ("a", "\n", ".", "0")
"""Texts to encode in front of a piece, so that it is read as one that goes on and not as a start,
before which some tokenizers put a space. The first with which the piece doesn't merge is taken."""

PRIVATE_USE = range(0xF0000, 0xFFFFE)


class SpecialTokens:
    """The tokens of one tokenizer that content must not be able to write.

    These are all that its added vocabulary marks special, and ends of turns and `more` in any case.
    """

    def __init__(self, tokenizer: Any, more: Collection[str] = ()) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.items()
        always = {*TURN_ENDS, *more}
        guarded = {i: t.content for i, t in added if t.special or t.content in always}
        # What a vocabulary doesn't know is its own unknown token, which ends nothing.
        self._ids = frozenset(guarded) - {tokenizer.unk_token_id}
        longest_first = sorted(filter(None, guarded.values()), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def hide(self, contents: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The contents with a character in place of each spelled token, and which stands for which.

        The characters occur in none of the contents. Nothing spelled: the contents as they are.
        """
        found = sorted(set(chain.from_iterable(map(self._pattern.findall, contents))))
        if not found:
            return list(contents), {}
        used = set().union(*contents)
        free = (chr(code) for code in PRIVATE_USE if chr(code) not in used)
        sentinels = dict(zip(found, free, strict=False))
        hidden = [self._pattern.sub(lambda m: sentinels[m[0]], content) for content in contents]
        return hidden, {sentinel: token for token, sentinel in sentinels.items()}

    def encode(self, text: str, spelled: Mapping[str, str]) -> list[int]:
        """Token ids of a text in which the keys of `spelled` stand for its values. [T]"""
        if not spelled:
            return self._encode(text)
        ids: list[int] = []
        for piece in re.split(f"([{''.join(spelled)}])", text):
            if piece in spelled:
                ids += self._letters(spelled[piece], first=not ids)
            elif piece:
                ids += self._piece(piece, first=not ids)
        return ids

    def encode_all(self, texts: Sequence[str], spelled: Mapping[str, str]) -> list[list[int]]:
        """As `encode`, for many texts. [text][T]"""
        if spelled:
            return [self.encode(text, spelled) for text in texts]
        return list(self._tokenizer(list(texts), add_special_tokens=False)["input_ids"])

    def _letters(self, token: str, *, first: bool) -> list[int]:
        ids = self._piece(token, first=first, split=True)
        if self._ids.isdisjoint(ids):
            return ids
        # Only tokens marked special can be told to split, and a model's own vocabulary may hold the
        # whole spelling; in two parts it is neither.
        head = self._piece(token[:1], first=first, split=True)
        return [*head, *self._piece(token[1:], first=False, split=True)]

    def _piece(self, text: str, *, first: bool, split: bool = False) -> list[int]:
        for anchor in () if first else ANCHORS:
            before = self._encode(anchor, split=split)
            whole = self._encode(anchor + text, split=split)
            if whole[: len(before)] == before:
                return whole[len(before) :]
        return self._encode(text, split=split)

    def _encode(self, text: str, *, split: bool = False) -> list[int]:
        options = {"split_special_tokens": True} if split else {}
        return list(self._tokenizer(text, add_special_tokens=False, **options)["input_ids"])


def hidden_ids(tokenizer: Any, shown: Callable[[str], object]) -> frozenset[int]:
    """Special ids that are no part of a generated text: all but those whose token is `shown`."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(i for i, token in added if token.special and not shown(token.content))
