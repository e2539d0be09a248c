"""What crosses the boundaries: items, completions, candidates, scores, and the few errors that have
names.

Everything here is frozen, picklable and made of plain Python values, so that nothing of an engine's
own classes ever leaves the actor that hosts it.
"""

import re
from dataclasses import dataclass
from typing import Literal

Decoding = Literal["greedy", "sample", "choice", "given", "conversation"]
"""`greedy` is the one candidate at temperature 0; `sample` is a draw; `conversation` is several
draws, one for each turn. What the item came with was not generated: `choice` is one of its answers,
`given` a reply that is to be scored."""

FinishReason = Literal["stop", "length"]
"""`stop`: an end token or a stop string; `length`: cut by `max_tokens` or by the context."""

THOUGHT_TAG = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
"""Opens or closes (group 1) a thought in the text of a completion."""


def cut_reasoning(text: str) -> str:
    """Drop what stands between `<think>` and `</think>`, in linear time.

    A thought that never ends is dropped whole. Texts made elsewhere may hold the closing tag alone,
    where their template wrote the opening one: everything before it is dropped.
    """
    pieces = THOUGHT_TAG.split(text)
    kept = [pieces[0]]
    thinking = False
    for slash, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if slash and not thinking:
            kept.clear()
        thinking = not slash
        if not thinking:
            kept.append(piece)
    return " ".join(kept)


class LilliputError(Exception):
    """Base of the errors that carry a message for the user: wanted, got, do this."""


class ConfigError(LilliputError, ValueError):
    """The request can't be carried out as written: config, file, data set or name. Exit code 2."""


class EngineError(LilliputError, RuntimeError):
    """An engine or the cluster failed, through no fault of one item. Exit code 4."""


class ItemError(LilliputError):
    """One item can't be answered; the run goes on and records `kind` and the message on that
    item.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        """`too_long`, or `error`."""
        self.message = message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn: `Message(role="user", content="What is 2 + 3?")`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question, ready to be asked.

    Item(id="gsm8k-17", task="gsm8k", question="What is 2 + 3?", reference="5",
         messages=(Message(role="user", content="What is 2 + 3? End with '#### <number>'."),))
    """

    id: str
    """Unique in its task and stable over runs: it never depends on order, shards or replicas."""
    task: str
    messages: tuple[Message, ...]
    """The whole prompt, few-shot turns included. Engines get its token ids, rendered once."""
    question: str
    """The bare question, without instructions or shots. Empty: the messages are a conversation."""
    reference: str
    """The gold answer in canonical form, as `Task.grade` compares it."""
    choices: tuple[str, ...] = ()
    prompt: str = ""
    """For items with choices: the plain text, shots included, that a choice continues. Empty: the
    choices can't be scored by likelihood."""
    continuations: tuple[str, ...] = ()
    """What follows `prompt` for each choice, leading space included: its text, or its letter."""
    stop: tuple[str, ...] = ()
    """Where a reply to this item ends, besides at `Sampling.stop`."""
    max_tokens: int | None = None
    """Tokens that a reply to this item may have; `Sampling.max_tokens` counts where it is less."""
    group: str = ""
    """Items that share a passage or a template share a group: errors are clustered by it. Empty:
    the item itself."""
    category: str = ""
    """A named part of the task, such as a subject: results are also given by it."""
    follow_ups: tuple[str, ...] = ()
    """Of a conversation: what the user says after each reply but the last."""
    problem: str = ""
    """Why the row that it was made of can't be read; the item fails alone."""

    @property
    def asked(self) -> str:
        """What a reply is quoted with, to judges and others: the bare question; the whole
        conversation of an item that has none.
        """
        if self.question or len(self.messages) == 1:
            return self.question or self.messages[0].content
        return "\n\n".join(f"{turn.role}: {turn.content}" for turn in self.messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a prompt looks like to the model.

    Preview(template="chat", template_hash="3f2a...", text="<|im_start|>user...",
            ids=(1, 4093, ...), num_bos=1, first_ids=((1, "<|im_start|>"), (4093, "user"), ...))
    """

    template: Literal["chat", "none"]
    template_hash: str
    """sha-256 of the template's text; "" without one."""
    text: str
    """The ids decoded again, special tokens included."""
    ids: tuple[int, ...]
    num_bos: int
    first_ids: tuple[tuple[int, str], ...]
    """The first ten ids, each with its token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What an engine returns for one prompt and one seed."""

    text: str
    """A thought stands between its tags. The opening tag is there even where the chat template has
    written it, so the text alone says where the thought ends and whether it did."""
    finish_reason: FinishReason
    prompt_tokens: int
    token_ids: tuple[int, ...] = ()
    """Generated tokens, the end token included. Empty where an engine replays text."""
    logprobs: tuple[float, ...] = ()
    """Log-probability (nats) of each generated token at temperature 1, before penalties and
    truncation. [T]"""
    top_mean_logprobs: tuple[float, ...] = ()
    """Mean log-probability of the `top_logprobs` likeliest tokens at each position; empty unless
    asked for. [T]"""
    cached_tokens: int = 0
    """Prompt tokens whose prefill was reused."""
    seconds: float = 0.0
    num_tokens: int | None = None
    """Set where tokens were counted elsewhere (replay); otherwise `len(token_ids)`."""
    logprob: float | None = None
    """Set where the sum was recorded elsewhere (replay); otherwise `sum(logprobs)`."""
    recorded_scores: tuple[tuple[str, float], ...] = ()
    """Scores that came with a replayed candidate, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """How likely a given text is after a prompt.

    Continuation(logprob=-4.2, tokens=2, prompt_tokens=31)
    """

    logprob: float
    """Sum over the text's tokens, nats, at temperature 1."""
    tokens: int
    """Tokens that were scored."""
    prompt_tokens: int
    """Tokens before the first scored one."""
    is_joined: bool = False
    """The tokenizer joins the prompt's last token with the text, so that the prompt's tokens are no
    prefix of the whole: scored from the first token that differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply in a conversation.

    Reply(member="small", text="Aloha! ...", finish_reason="stop", prompt_tokens=212, tokens=80,
          fresh_tokens=31, cached_tokens=192, seed=1840700269, logprob=-71.3, cut=0)
    """

    member: str
    """The model that wrote it."""
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    """Of the whole prompt, by the member's own tokenizer and template."""
    tokens: int | None
    """Generated."""
    fresh_tokens: int
    """Prompt tokens that the member has neither read nor written before in this conversation: what
    it must prefill where its cache has kept the rest."""
    cached_tokens: int
    """Prompt tokens whose prefill was reused, as the engine says."""
    seed: int | None
    logprob: float | None
    """Sum over its tokens, nats."""
    cut: int
    """Oldest turns that were left out of its prompt, so that prompt and reply fit the context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One draw for one item, as a generator returns it and scorers see it.

    Candidate(index=3, member="small", decoding="sample", text="... #### 5", finish_reason="stop",
              prompt_tokens=41, tokens=27, logprob=-9.3, seed=1840700269, seconds=0.8)
    """

    index: int
    """0, 1, ... N-1 among the draws; the greedy candidate has index -1."""
    member: str
    decoding: Decoding
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    tokens: int | None
    """Generated tokens; None where a replayed source doesn't say."""
    logprob: float | None
    """Sum over the generated tokens, nats; None where a replayed source doesn't say."""
    seed: int | None
    """None for greedy decoding and replays."""
    seconds: float
    certainty: float | None = None
    """Mean over tokens of -(1/K) sum over the K likeliest tokens of log(K p); None unless asked
    for."""
    recorded_scores: tuple[tuple[str, float], ...] = ()
    cached_tokens: int = 0
    """Prompt tokens whose prefill was reused."""
    arm: str = ""
    """Of a conversation: the way in which its replies were chosen; in a run with several pools: how
    it was decoded."""
    replies: tuple[Reply, ...] = ()
    """Of a conversation: one for each of the user's turns. `text` is then the transcript."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a scorer says of one candidate: `Score(value=0.93, parts=(-0.07, -2.7),
    prompt_tokens=88)`.
    """

    value: float | None
    """Higher is better. None: no verdict, which is never a zero."""
    parts: tuple[float, ...] = ()
    """What the value was made of, in an order that the scorer documents."""
    prompt_tokens: int = 0
    """Prompt tokens read to make this score: its compute cost."""
    tokens: int = 0
    """Tokens generated to make this score."""
    said: tuple[str, ...] = ()
    """What judges wrote to make it, a reply for each verdict; empty: nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPair:
    """Two replies to one prompt of which it is known which is better: what a reward model must get
    right before it scores anything.
    """

    messages: tuple[Message, ...]
    better: str
    worse: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """What a reward model says of one conversation: `Reward(value=-1.37, tokens=212)`."""

    value: float
    """The score, raw: only differences between replies to one prompt mean something."""
    parts: tuple[float, ...] = ()
    """What it is made of, in the order of the names that the model gives (`HostInfo.parts`)."""
    tokens: int = 0
    """Of the whole conversation."""
