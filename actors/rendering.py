"""Messages to token ids, once, by the model's own tokenizer and chat template.

    messages --template--> text --tokenizer, no special tokens added--> ids --audit--> engine

Engines get the ids. Nothing downstream adds, strips or cuts a token, so BOS is counted here and
nowhere else. Only the template writes special tokens: one that is spelled in a message is text
(`actors.spelling`).
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from actors import dialogue
from actors.config import Template
from actors.continuing import encode_wholes, split
from actors.engines.base import ScoreRequest
from actors.engines.trees import shared
from actors.spelling import TURN_ENDS, SpecialTokens, hidden_ids
from actors.types import THOUGHT_TAG, ConfigError, Message, Preview

OPEN_THOUGHT = re.compile(rf"{THOUGHT_TAG.pattern}\s*\Z", re.IGNORECASE)
TAIL = 32
"""Tokens at the end of a prompt among which an opened thought is looked for."""


def load_tokenizer(directory: Path) -> Any:
    """A transformers tokenizer. Raises ConfigError."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            str(directory), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"can't load the tokenizer in {directory}: {error}") from error


class Renderer:
    """One tokenizer with one template setting. Loading it takes a second or more.

    Raises ConfigError when the tokenizer or its template can't be read.
    """

    def __init__(self, directory: Path, template: Template = "auto") -> None:
        self._directory = directory
        self._tokenizer = load_tokenizer(directory)
        self._special = SpecialTokens(self._tokenizer)
        self._hidden = hidden_ids(self._tokenizer, shown=THOUGHT_TAG.fullmatch)
        self._bos_id: int | None = self._tokenizer.bos_token_id
        with_bos = self._tokenizer("a", add_special_tokens=True)["input_ids"]
        self._adds_bos = self._bos_id is not None and with_bos[:1] == [self._bos_id]
        spoken = dialogue.template(adds_bos=self._adds_bos) if template == "dialogue" else ""
        self._template = self._own_template() if template == "auto" else spoken
        self.stops = dialogue.STOPS if spoken else ()
        """Where a reply ends, besides at an end token."""

    def _own_template(self) -> str:
        if not self._tokenizer.chat_template:
            return ""
        try:
            return str(self._tokenizer.get_chat_template())
        except ValueError as error:
            raise ConfigError(
                f"{self._directory} has several chat templates and no default; "
                f"name one `default` in tokenizer_config.json, or set template: none"
            ) from error

    @property
    def template_name(self) -> Literal["chat", "none"]:
        """`chat`: the tokenizer's own template. `none`: plain text."""
        return "chat" if self._template else "none"

    @property
    def template_hash(self) -> str:
        """sha-256 of the template's text; "" without one."""
        return hashlib.sha256(self._template.encode()).hexdigest() if self._template else ""

    @property
    def pad_id(self) -> int:
        """A token for masked positions; which one doesn't matter."""
        return int(self._tokenizer.pad_token_id or 0)

    @cached_property
    def stop_token_ids(self) -> tuple[int, ...]:
        """The model's own end tokens, sorted.

        Those of the generation config, the config and the tokenizer, and where the chat template is
        used, the end of a turn that it writes.
        """
        ids = {self._tokenizer.eos_token_id} - {None}
        for name in ("generation_config.json", "config.json"):
            path = self._directory / name
            if path.is_file():
                eos = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
                ids |= set(eos) if isinstance(eos, list) else {eos} - {None}
        vocabulary = self._tokenizer.get_vocab()
        ids |= {vocabulary[end] for end in TURN_ENDS if end in self._template and end in vocabulary}
        return tuple(sorted(ids))

    def render(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the prompt, up to where the answer begins. [T]

        With a template: as it says, generation prompt included. Without: the contents joined by
        blank lines, after BOS if the tokenizer itself adds one.
        Raises ConfigError for messages that the template refuses, an empty prompt and a wrong
        number of BOS.
        """
        text, spelled = self._text(messages)
        ids = self._prompt_ids(text, spelled)
        self._audit(text, ids)
        return ids

    def conversation(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a whole conversation, as a reward model reads it. [T]

        With a template: as it says, to the end of the last turn. Without: the contents joined by
        blank lines, then the end token where there is one. Raises ConfigError as `render`.
        """
        contents, spelled = self._special.hide([message.content for message in messages])
        text = self._fill(messages, contents, is_finished=True)
        ids = self._prompt_ids(text, spelled)
        self._audit(text, ids)
        end = self._tokenizer.eos_token_id
        return ids if self._template or end is None else [*ids, end]

    def prompt_end(self) -> list[int]:
        """The tokens that stand between the user's last words and the reply: the end of a turn and
        the assistant's header. Raises ConfigError without a template.
        """
        if not self._template:
            raise ConfigError(
                f"{self._directory} has no chat template that says where a prompt ends; give a "
                f"model with one"
            )
        ids, other = (self.render([Message(role="user", content=text)]) for text in ("a", "7 z"))
        return ids[len(ids) - shared(ids[::-1], other[::-1]) :]

    def opening(self, ids: Sequence[int]) -> str:
        """The tag of a thought that the prompt opens at its end, white space after it included.

        A completion of such a prompt starts inside the thought. "": the prompt opens none.
        """
        found = OPEN_THOUGHT.search(self.raw_text(ids[-TAIL:]))
        return found[0] if found and not found[1] else ""

    def text(self, ids: Sequence[int]) -> str:
        """The text of generated ids, without special tokens other than the tags of a thought."""
        return self.raw_text([i for i in ids if i not in self._hidden])

    def raw_text(self, ids: Sequence[int]) -> str:
        """The text of any ids, special tokens included."""
        return str(self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def bos_count(self, ids: Sequence[int]) -> int:
        """How many BOS tokens the ids start with."""
        count = 0
        while count < len(ids) and ids[count] == self._bos_id:
            count += 1
        return count

    def label_ids(self, labels: Sequence[str], messages: Sequence[Message]) -> list[int]:
        """The one token with which each label continues the rendered prompt. [label]

        Without a template, a label follows a prompt that doesn't end in white space after a space:
        `Answer:` is continued by ` Yes`.
        Raises ConfigError when a label is not one token or two labels share theirs.
        """
        text, spelled = self._text(messages)
        prompt = self._prompt_ids(text, spelled)
        gap = "" if self._template or text[-1:].isspace() else " "
        ids: list[int] = []
        for label in labels:
            whole = self._prompt_ids(text + gap + label, spelled)
            if whole[:-1] != prompt:
                alone = self._special.encode(gap + label, {})
                tokens = self._tokenizer.convert_ids_to_tokens(alone)
                raise ConfigError(
                    f"label {label!r} must be one token after the prompt; {self._directory.name} "
                    f"reads it as {tokens}; choose another label"
                )
            ids.append(whole[-1])
        if len(set(ids)) < len(ids):
            raise ConfigError(f"labels {list(labels)} share a token; choose others")
        return ids

    def continuations(
        self, messages: Sequence[Message], texts: Sequence[str]
    ) -> list[tuple[ScoreRequest, bool]]:
        """The tokens of the prompt continued by each text, and whether the two were joined; see
        `types.Continuation.is_joined`. [text]

        With a template, a text begins the reply, without the white space in front of it. Without,
        white space at the end of the prompt belongs to the text, where a tokenizer has it, and an
        empty prompt is BOS, or the end token where there is none.
        Raises ConfigError for a text without tokens of its own, and as `render` does.
        """
        hidden, spelled = self._special.hide([*(m.content for m in messages), *texts])
        prompt, after = self._fill(messages, hidden[: len(messages)]), hidden[len(messages) :]
        if self._template:
            after = [text.lstrip() for text in after]
        else:
            bare = prompt.rstrip()
            after = [text and prompt[len(bare) :] + text for text in after]
            prompt = bare
        ids, wholes = encode_wholes(
            partial(self._special.encode_all, spelled=spelled), prompt, after
        )
        head = self._head()
        if head or ids:
            self._audit(prompt, [*head, *ids])
        requests = []
        for text, whole in zip(texts, wholes, strict=True):
            start, is_joined = split(ids, whole)
            if start == len(whole):
                raise ConfigError(f"continuation {text!r} is empty; it needs at least one token")
            front = head or ([] if start else [self._first_id()])
            request = ScoreRequest(ids=(*front, *whole), start=len(front) + start)
            requests.append((request, is_joined))
        return requests

    def preview(self, messages: Sequence[Message]) -> Preview:
        """What `render` makes of the messages, for people to read. Raises as `render` does."""
        ids = self.render(messages)
        first = ids[:10]
        return Preview(
            template=self.template_name,
            template_hash=self.template_hash,
            text=self.raw_text(ids),
            ids=tuple(ids),
            num_bos=self.bos_count(ids),
            first_ids=tuple(zip(first, self._tokenizer.convert_ids_to_tokens(first), strict=True)),
        )

    def _text(self, messages: Sequence[Message]) -> tuple[str, Mapping[str, str]]:
        """The prompt's text, and the characters in it that stand for spelled special tokens."""
        contents, spelled = self._special.hide([message.content for message in messages])
        return self._fill(messages, contents), spelled

    def _fill(
        self, messages: Sequence[Message], contents: Sequence[str], *, is_finished: bool = False
    ) -> str:
        """The prompt's text with these contents in place of the messages' own. It goes on to where
        a reply begins, but for a finished conversation.
        """
        if not self._template:
            return "\n\n".join(contents)
        from jinja2 import TemplateError

        turns = [
            {"role": m.role, "content": content}
            for m, content in zip(messages, contents, strict=True)
        ]
        try:
            text = self._tokenizer.apply_chat_template(
                turns,
                chat_template=self._template,
                add_generation_prompt=not is_finished,
                tokenize=False,
            )
        except TemplateError as error:
            raise ConfigError(
                f"the chat template of {self._directory.name} refuses roles "
                f"{[m.role for m in messages]}: {error}"
            ) from error
        return str(text)

    def _prompt_ids(self, text: str, spelled: Mapping[str, str]) -> list[int]:
        return [*self._head(), *self._special.encode(text, spelled)]

    def _head(self) -> list[int]:
        """What stands before the tokens of the prompt's text."""
        if self._template or not self._adds_bos:
            return []
        assert self._bos_id is not None
        return [self._bos_id]

    def _first_id(self) -> int:
        """What a text follows that follows nothing."""
        found = self._bos_id if self._bos_id is not None else self._tokenizer.eos_token_id
        if found is None:
            raise ConfigError(
                f"the tokenizer in {self._directory} has neither a BOS nor an end token: nothing "
                f"can be scored without a prompt; give one"
            )
        return int(found)

    def _audit(self, text: str, ids: Sequence[int]) -> None:
        """As many BOS as meant: what the template writes, or the one that the tokenizer adds.

        Two are never meant: a model has not seen that, and answers worse without a word.
        """
        if not ids:
            raise ConfigError("the prompt is empty; a prompt needs at least one token")
        bos = self._tokenizer.bos_token
        if self._template:
            wanted = 1 if bos and text.startswith(bos) else 0
        else:
            wanted = int(self._adds_bos)
        got = self.bos_count(ids)
        if got != wanted:
            raise ConfigError(
                f"the prompt starts with {got} BOS tokens ({bos}), wanted {wanted}; "
                f"correct the chat template or the tokenizer in {self._directory}"
            )


def count_tokens(
    directory: Path, template: Template, prompts: Sequence[Sequence[Message]]
) -> list[int]:
    """The number of tokens of each rendered prompt. [prompt]

    Meant for a child process: it loads the tokenizer, which may import torch.
    Raises ConfigError as `Renderer` does.
    """
    renderer = Renderer(directory, template)
    return [len(renderer.render(messages)) for messages in prompts]
