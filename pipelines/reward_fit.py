"""From hidden states and labels to a reward head, and what it is worth on held-out pairs.

    features, labels --ridge by objective--> raw rewards --verbosity taken out--> adjusted
    pairs of replies --Bradley-Terry--> gate --> a model directory; accuracy on what was held out

Source: Wang et al. 2024 (arXiv 2406.12845), without the two known bugs of the released script.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from actors.config import ModelConfig
from actors.models import resolve
from actors.types import ConfigError, KnownPair, Message
from pipelines.methods.reward_heads import centred, ridge, transform
from results.parts import read_records
from results.stats import Interval, mean_interval

if TYPE_CHECKING:
    from actors.reward_models.fitting import Gate

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

PREFERENCE, VERBOSITY = "preference", "verbosity"
HELD = 5
"""One item in so many is held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line asks for."""

    data: str
    base: str
    output: str
    objectives: Sequence[str] = ()
    """Columns of ratings, of which the first says which of two replies is better; none: the data
    compare replies."""
    hidden: int = 128
    """Width of the gate's layers."""
    steps: int = 2000
    seed: int = 0
    overrides: Sequence[str] = ()


@dataclass(kw_only=True)
class Features:
    """Of all replies. `N` reply, `H` hidden state, `J` objective."""

    rows: list[str] = field(default_factory=list)
    """Replies of one row are compared with each other."""
    indices: list[int] = field(default_factory=list)
    """Of each reply in its row."""
    prompts: list[str] = field(default_factory=list)
    """A hash of what each replies to: rows may share it, and then they are held out together."""
    gate: list[Sequence[float]] = field(default_factory=list)
    last: list[Sequence[float]] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    labels: list[Sequence[float]] = field(default_factory=list)
    """NaN: no label of that objective."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How often the better of two held-out replies has the higher score, ties counting a half."""

    name: str
    value: float
    interval: Interval
    pairs: int


def held_out(prompt: str, seed: int) -> bool:
    """One prompt in HELD, by a hash: the same ones whatever else is in the data."""
    return sha256(f"{seed}|{prompt}".encode()).digest()[0] % HELD == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """A fitted head, with what it makes of the replies that it is from. `P` pair."""

    gate: "Gate"
    regression_JH: Floats
    transform_JJ: Floats
    alphas: list[float]
    values_N: Floats
    """Scores."""
    better_P: Places
    worse_P: Places
    held_P: NDArray[np.bool_]
    """The pair was held out."""


def fit(
    features: Features, request: Request, model: ModelConfig, states: str, directory: Path
) -> list[Accuracy]:
    """Write the head beside its body into `directory`; returns its worth on held-out pairs.

    states: the run directory that the features are from. Raises ConfigError for too few labels.
    """
    from actors.rendering import Renderer
    from actors.reward_models.fitting import save_head

    head = _fitted(features, request)
    found = _worth(head, features)
    body = resolve(model).path
    save_head(
        body,
        directory,
        gate=head.gate,
        regression_JH=head.regression_JH,
        transform_JJ=head.transform_JJ,
        objectives=[*(request.objectives or [PREFERENCE]), VERBOSITY],
        pattern=Renderer(body, template=model.template).prompt_end(),
        known_pair=_pair_of(states, features, *_widest(head)),
        about={
            "trained_on": Path(request.data).name,
            "replies": sum(not held_out(prompt, request.seed) for prompt in features.prompts),
            "held_out_pairs": int(head.held_P.sum()),
            "alphas": head.alphas,
            "accuracy": {one.name: one.value for one in found},
        },
    )
    return found


def _fitted(features: Features, request: Request) -> _Head:
    from actors.reward_models.fitting import fit_gate

    # Ratings of several rows can be compared where these reply to the same prompt.
    groups = features.prompts if request.objectives else features.rows
    groups_N = np.unique(groups, return_inverse=True)[1]
    held_N = np.array([held_out(prompt, request.seed) for prompt in features.prompts])
    gate_NH = np.array(features.gate)
    regression_JH, transform_JJ, alphas = _linear(features, request, groups_N, ~held_N)
    adjusted_NJ = np.array(features.last) @ regression_JH.T @ transform_JJ
    better_P, worse_P = pairs(groups_N, np.array(features.labels)[:, 0])
    held_P = held_N[better_P]
    _check_pairs(held_P, request)
    better, worse = better_P[~held_P], worse_P[~held_P]
    gate = fit_gate(
        gate_NH[better],
        adjusted_NJ[better] - adjusted_NJ[worse],
        hidden=request.hidden,
        steps=request.steps,
        seed=request.seed,
    )
    return _Head(
        gate=gate,
        regression_JH=regression_JH,
        transform_JJ=transform_JJ,
        alphas=alphas,
        values_N=(adjusted_NJ * gate.weights(gate_NH)).sum(axis=1),
        better_P=better_P,
        worse_P=worse_P,
        held_P=held_P,
    )


def _check_pairs(held_P: NDArray[np.bool_], request: Request) -> None:
    """Refuse what no gate can be trained on, or none judged by. Raises ConfigError."""
    if not len(held_P):
        raise ConfigError(
            f"{request.data}: wanted replies to the same prompt with different labels, to train "
            "the gate on; got none: rate several replies to each prompt"
        )
    if held_P.all() or not held_P.any():
        raise ConfigError(
            f"{request.data}: wanted pairs of replies to one prompt to train the gate on, and "
            f"others held out; got {(~held_P).sum()} and {held_P.sum()}: give 20 prompts or more"
        )


def _worth(head: _Head, features: Features) -> list[Accuracy]:
    """Of the head on held-out pairs, beside the length of the reply."""
    better, worse = head.better_P[head.held_P], head.worse_P[head.held_P]
    tokens_N = np.array(features.tokens)
    return [
        _accuracy(name, scores_N, better, worse, features.prompts)
        for name, scores_N in (
            ("the higher score of the head", head.values_N),
            ("more tokens", tokens_N),
            ("fewer tokens", -tokens_N),
        )
    ]


def _widest(head: _Head) -> tuple[int, int]:
    """Of the pairs that the gate was trained on the one that it tells apart best."""
    margin_P = head.values_N[head.better_P] - head.values_N[head.worse_P]
    pair = int(np.argmax(np.where(head.held_P, -np.inf, margin_P)))
    return int(head.better_P[pair]), int(head.worse_P[pair])


def _linear(
    features: Features, request: Request, groups_N: Places, known_N: NDArray[np.bool_]
) -> tuple[Floats, Floats, list[float]]:
    """Weights of each objective and of verbosity [J][H], the transform [J][J], the penalties."""
    last_NH = np.array(features.last)
    labels_NJ = np.column_stack([np.array(features.labels), np.log(features.tokens)])
    if request.objectives:
        inputs_NH, targets_NJ = last_NH, labels_NJ - np.nanmean(labels_NJ, axis=0)
    else:
        inputs_NH, targets_NJ = centred(last_NH, groups_N), centred(labels_NJ, groups_N)
    # Of what is not held out, a part again chooses the ridge's penalty.
    chooses_N = np.array([held_out(prompt, request.seed + 1) for prompt in features.prompts])
    try:
        fits = [ridge(inputs_NH[known_N], t[known_N], chooses_N[known_N]) for t in targets_NJ.T]
    except ValueError as error:
        raise ConfigError(f"{request.data}: {error}") from None
    regression_JH = np.array([one.weights_H for one in fits])
    verbosity = labels_NJ.shape[1] - 1
    transform_JJ = transform(inputs_NH[known_N] @ regression_JH.T, verbosity)
    return regression_JH, transform_JJ, [one.alpha for one in fits]


def _pair_of(states: str, features: Features, better: int, worse: int) -> KnownPair:
    """Two replies as they were read: another loading of the model must tell them apart too."""
    wanted = {features.rows[place]: place for place in (better, worse)}
    texts: dict[int, str] = {}
    for record in read_records(states):
        if record.item_id in wanted:
            messages = tuple(Message(role=m.role, content=m.content) for m in record.messages)
            for place in (better, worse):
                if features.rows[place] == record.item_id:
                    texts[place] = record.candidates[features.indices[place]].text
    return KnownPair(messages=messages, better=texts[better], worse=texts[worse])


def pairs(groups_N: Places, worth_N: Floats) -> tuple[Places, Places]:
    """All pairs of replies in one group of which one is worth more: its place and the other's."""
    better: list[int] = []
    worse: list[int] = []
    order_N = np.argsort(groups_N, kind="stable")
    for rows in np.split(order_N, np.flatnonzero(np.diff(groups_N[order_N])) + 1):
        above = worth_N[rows][:, None] > worth_N[rows][None, :]
        first, second = np.nonzero(above)
        better += rows[first].tolist()
        worse += rows[second].tolist()
    return np.array(better, dtype=np.intp), np.array(worse, dtype=np.intp)


def _accuracy(
    name: str, values_N: Floats, better: Places, worse: Places, prompts: Sequence[str]
) -> Accuracy:
    credit = (np.sign(values_N[better] - values_N[worse]) + 1.0) / 2.0
    interval = mean_interval(credit, groups=[prompts[i] for i in better])
    return Accuracy(name=name, value=float(credit.mean()), interval=interval, pairs=len(credit))
