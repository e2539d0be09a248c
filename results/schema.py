"""The record: what is kept of one item.

    Record -> candidates -> scores          what was drawn, how it was graded, what each scorer said
           -> answers                       what each method answers, for every draw size k
           -> usage                         what each role cost

The dataclasses are the schema: `results.arrow.SCHEMA` mirrors them field by field.
"""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal[
    "correct", "wrong", "truncated", "no_answer", "ungraded", "judge_failed", "timed_out", "error"
]
OUTCOMES: tuple[Outcome, ...] = (
    "correct",
    "wrong",
    "truncated",
    "no_answer",
    "ungraded",
    "judge_failed",
    "timed_out",
    "error",
)
"""Every candidate has exactly one; the counts always add up to the candidates. `ungraded`: the task
doesn't know what is right."""

UNBOUNDED = frozenset({"score", "margin", "tokens", "characters"})
"""Metrics that are no credit in [0, 1]: a scorer's own values, differences of them, lengths."""
WITHOUT = " without "
"""Between a method and the member of a blend whose draws it was not shown: `majority without a`."""
ALONE = " alone"
"""Behind a model's name: the arm in which it wrote every reply."""
CONVERSATION = "generator:conversation:"
"""In front of a model's name: its role in conversations."""

ItemOutcome = Literal["ok", "too_long", "error"]
"""`ok`: all candidates were drawn and graded. Else `error` says why, and there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of the prompt."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRecord:
    """One scorer's verdict on one candidate. No verdict: None in `value`, NaN in `parts`."""

    scorer: str
    value: float | None
    parts: tuple[float, ...] = ()
    said: tuple[str, ...] = ()
    """What judges wrote, a reply for each verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeRecord:
    """Credit in [0, 1] under one metric of the task, such as `accuracy` or `accuracy_strict`."""

    metric: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRecord:
    """One reply in a conversation, to the user's message of the same place in `Record.messages`."""

    member: str
    """The model that wrote it."""
    text: str
    finish_reason: str
    prompt_tokens: int
    tokens: int | None
    fresh_tokens: int
    """Prompt tokens that the member had neither read nor written before in the conversation."""
    cached_tokens: int
    """Prompt tokens whose prefill was reused, as the engine said."""
    seed: int | None
    logprob: float | None
    cut: int
    """Oldest turns that were left out of its prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRecord:
    """One graded candidate.

    CandidateRecord(index=0, member="small", decoding="sample", text="... #### 5", answer="5",
                    outcome="correct", finish_reason="stop", prompt_tokens=41, tokens=27,
                    logprob=-9.3, seed=184070, correct=True, seconds=0.8,
                    grade=(GradeRecord(metric="accuracy", value=1.0),))
    """

    index: int
    """0 ... N-1 among the draws or the choices; -1 is the greedy candidate."""
    member: str
    decoding: str
    """`greedy`, `sample`, `conversation`; of what the item came with, `choice` for an answer and
    `given` for a reply."""
    text: str
    answer: str | None
    """Canonical answer that was extracted; None: none was found."""
    outcome: Outcome
    finish_reason: str
    prompt_tokens: int
    tokens: int | None
    logprob: float | None
    seed: int | None
    correct: bool | None
    """Under the task's headline metric; None where the grader gave no verdict."""
    grade: tuple[GradeRecord, ...]
    """Empty where the grader gave no verdict."""
    seconds: float
    scores: tuple[ScoreRecord, ...] = ()
    arm: str = ""
    """Of a conversation: the way in which its replies were chosen; in a run with several pools: how
    it was decoded (`results.pools.Decoding`)."""
    replies: tuple[ReplyRecord, ...] = ()
    """Of a conversation: one for each message of the user's; `text` is their transcript."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRecord:
    """What one method answers with k draws.

    AnswerRecord(method="majority", metric="accuracy", k=8, value=0.61)
    """

    method: str
    metric: str
    k: int
    """Draws used; 0 for greedy and for given choices."""
    value: float
    """Expected credit over all k-subsets of the draws, ties shared: in [0, 1], but for UNBOUNDED
    metrics."""
    candidate: int | None = None
    """Index of the candidate that the method picks from all N draws; None for k < N."""
    answer: str | None = None
    correct: bool | None = None
    mc_error: float = 0.0
    """Standard error of `value` where it is a Monte Carlo average over subsets; 0: exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """What one role cost on this item: `generator:greedy`, `generator:sample`, of a blend
    `generator:sample:MEMBER`; `generator:conversation:MEMBER`; `scorer:NAME`; for choices
    `generator:correct`, `generator:incorrect`, `discriminator`. In a run with several pools, one
    for each pool (`results.pools.OF`).
    """

    role: str
    model: str
    requests: int
    prompt_tokens: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRecord:
    """Why an item has no answer."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One item, whole."""

    item_id: str
    task: str
    messages: tuple[Turn, ...]
    choices: tuple[str, ...]
    reference: str
    group: str
    """Cluster of the item for standard errors; the item's own id unless the task says otherwise."""
    category: str
    """The part of the task that it belongs to, such as a subject; empty where there are none."""
    candidates: tuple[CandidateRecord, ...]
    answers: tuple[AnswerRecord, ...]
    outcome: ItemOutcome
    error: ErrorRecord | None
    usage: tuple[UsageRecord, ...]
