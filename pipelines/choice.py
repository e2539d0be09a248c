"""Choice: rank the choices of an item by likelihood, and let generator and discriminator agree.

    item --> log P(choice | prompt), log P(choice | prompt asking for a wrong one)   likelihood
         --> log P(correct | prompt, choice), log P(incorrect | prompt, choice)      discriminator
         --> G, MI, SC, D, MI*, equilibrium:G, equilibrium:D (methods/consensus.py)

Nothing is generated, and only what the chosen rankers read is asked for. Metrics: `acc` for every
ranker; for G also `acc_norm` (per character of the choice), `acc_bytes` (per UTF-8 byte) and `mc2`,
the share of its probability that is on true choices. Equal scores share the credit.
Sources: Jacob et al. 2023 (arXiv 2310.09139), the game and its prompts; Lin et al. 2021
(arXiv 2109.07958), MC2.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from actors import consensus
from actors.config import StrictConfig
from actors.consensus import PARTS
from actors.role_config import VerdictPrompts
from actors.roles import Model
from actors.types import Candidate, ConfigError, Continuation, Item, ItemError, Message, Score
from pipelines.base import Solution, Usage
from pipelines.methods.consensus import READS, Ranking, rank
from pipelines.methods.pikl import Floats
from results.schema import AnswerRecord, CandidateRecord

OFF = 0.01
"""A game whose policies are further from best responses than this hasn't settled."""

Pool = Sequence[CandidateRecord]


class Game(StrictConfig):
    """How the game is played; see `methods.pikl.solve`. Defaults are the paper's."""

    lambda_generator: float = Field(0.1, ge=0.0)
    """Pull towards the model's own policy."""
    lambda_discriminator: float = Field(0.1, ge=0.0)
    eta_generator: float = Field(0.1, gt=0.0)
    """Learning rate."""
    eta_discriminator: float = Field(0.1, gt=0.0)
    iterations: int = Field(5000, ge=1)
    iterate: Literal["last", "average"] = "last"
    first: Literal["anchor", "uniform"] = "anchor"


class Config(VerdictPrompts):
    """Under `pipeline:` with `name: choice`."""

    rankers: tuple[str, ...] = tuple(READS)
    """Names in `methods.consensus.READS`."""
    length_norm: Literal["none", "tokens", "bytes"] = "none"
    """What the generator's log-probabilities are divided by, under both prompts, before any ranker
    sees them. The metrics `acc_norm` and `acc_bytes` divide G's anyway."""
    normalize_labels: bool = True
    """MI reads P(correct) as its share of both labels."""
    game: Game = Game()

    @model_validator(mode="after")
    def _known(self) -> "Config":
        for name in self.rankers:
            if name not in READS:
                raise ConfigError(f"rankers: unknown ranker {name!r}; known: {', '.join(READS)}")
        if not self.rankers or len(set(self.rankers)) < len(self.rankers):
            raise ConfigError(f"rankers: wanted each one once, got {list(self.rankers)}")
        return self

    @property
    def reads(self) -> frozenset[str]:
        """What the rankers need to know; see `READS`."""
        return frozenset().union(*(READS[name] for name in self.rankers))


async def solve(item: Item, config: Config, *, likelihood: Model, discriminator: Model) -> Solution:
    """Score one item's choices. Raises ItemError `too_long` where one of them doesn't fit; other
    errors rise to the runner, which records them on the item.
    """
    assert item.prompt, "pipelines.job lets no task without choices pass"
    messages = prompt(item)
    asked = await consensus.ask(
        messages,
        item.continuations,
        config,
        likelihood=likelihood,
        discriminator=discriminator,
        reads=config.reads,
        quoted=item.choices,
    )
    found = {name: _whole(rows) for name, rows in asked.items()}
    return Solution(
        candidates=tuple(_candidates(item, likelihood.name, found)),
        scores={
            name: tuple(Score(value=one.logprob) for one in rows) for name, rows in found.items()
        },
        asked=messages,
        usage=tuple(_usage(found, likelihood.name, discriminator.name)),
    )


def prompt(item: Item) -> tuple[Message, ...]:
    """What each choice continues."""
    return (Message(role="user", content=item.prompt),)


def sends(config: Config) -> int:
    """How often each item's prompt is sent: once, since all choices share it."""
    return 1


def requests(config: Config, num_items: int) -> str:
    """Of all items."""
    asked = {
        "correct": "its likelihood",
        "incorrect": "its likelihood as a wrong answer",
        "verdict": "both verdicts on it",
    }
    parts = [text for part, text in asked.items() if part in config.reads]
    return f"for each choice of {num_items:,} items: {', '.join(parts)}"


def answers(pools: Sequence[Pool], config: Config) -> list[tuple[AnswerRecord, ...]]:
    """Of each item, what every ranker chooses and the credit for it, then what the game was like:

    `G and D`, metric `disagree`: 1 where their first choices differ; `wrong_if_agree`: of the items
    where they agree, 1 where the choice is wrong. `equilibrium`, metric `unsettled`: 1 where a
    policy is further than 0.01 from the best response to the other.
    """
    if not pools:
        return []
    first_of = [_first_of(pool) for pool in pools]
    mask_QN = np.zeros((len(pools), max(map(len, pools))), np.bool_)
    for row, first_N in enumerate(first_of):
        mask_QN[row, first_N] = True
    logs = {name: _logs(pools, name, mask_QN) for name in PARTS}
    lengths_QN = _lengths(pools, config, mask_QN)
    logs |= {name: logs[name] / lengths_QN for name in PARTS[:2]}
    ranking = rank(
        config.rankers,
        np.stack([logs["correct"], logs["incorrect"]], axis=1),
        np.stack([logs["says_correct"], logs["says_incorrect"]], axis=2),
        mask_QN,
        normalize_labels=config.normalize_labels,
        game=config.game.model_dump(),
    )
    return [
        tuple(_rows(pool, ranking, row, first_N))
        for row, (pool, first_N) in enumerate(zip(pools, first_of, strict=True))
    ]


def _first_of(pool: Pool) -> list[int]:
    """For each choice the first one of the same text: played twice, its mass would be split. Texts
    that are scored by their letters have likelihoods of their own.
    """
    found: dict[tuple[str, int], int] = {}
    return [
        found.setdefault((c.text, round(1000 * (c.logprob or 0.0))), number)
        for number, c in enumerate(pool)
    ]


def _rows(pool: Pool, ranking: Ranking, row: int, first_N: Sequence[int]) -> Iterator[AnswerRecord]:
    """All answers of one item."""
    credit_N = np.array([float(bool(c.correct)) for c in pool])
    scores = {name: values[row, first_N] for name, values in ranking.scores.items()}
    for name, scores_N in scores.items():
        yield _answer(pool, credit_N, name, "acc", scores_N)
    if "G" in scores:
        yield from _normalised(pool, credit_N, scores["G"])
    if {"G", "D"} <= scores.keys():
        tops = [frozenset(_best(scores[name]).tolist()) for name in ("G", "D")]
        yield _figure("G and D", "disagree", float(tops[0] != tops[1]))
        if tops[0] == tops[1]:
            yield _figure("G and D", "wrong_if_agree", 1.0 - _credit(credit_N, scores["G"]))
    if ranking.equilibrium is not None:
        unsettled = float(ranking.equilibrium.residual_Q[row] > OFF)
        yield _figure("equilibrium", "unsettled", unsettled)


def _normalised(pool: Pool, credit_N: Floats, scores_N: Floats) -> Iterator[AnswerRecord]:
    texts = [c.text for c in pool]
    characters_N = np.array([max(len(text), 1) for text in texts])
    bytes_N = np.array([max(_num_bytes(text), 1) for text in texts])
    yield _answer(pool, credit_N, "G", "acc_norm", scores_N / characters_N)
    yield _answer(pool, credit_N, "G", "acc_bytes", scores_N / bytes_N)
    # Relative to the likeliest: sums near -2000 nats have no exponential.
    weights_N = np.exp(scores_N - scores_N.max())
    yield _figure("G", "mc2", float(weights_N @ credit_N / weights_N.sum()))


def _answer(
    pool: Pool, credit_N: Floats, method: str, metric: str, scores_N: Floats
) -> AnswerRecord:
    chosen = pool[int(_best(scores_N)[0])]
    return AnswerRecord(
        method=method,
        metric=metric,
        k=0,
        value=_credit(credit_N, scores_N),
        candidate=chosen.index,
        answer=chosen.answer,
        correct=chosen.correct,
    )


def _figure(method: str, metric: str, value: float) -> AnswerRecord:
    return AnswerRecord(method=method, metric=metric, k=0, value=value)


def _best(scores_N: Floats) -> np.ndarray[Any, np.dtype[np.intp]]:
    """All that share the highest score, in order."""
    return np.flatnonzero(scores_N == scores_N.max())


def _credit(credit_N: Floats, scores_N: Floats) -> float:
    return float(credit_N[_best(scores_N)].mean())


def _logs(pools: Sequence[Pool], name: str, mask_QN: np.ndarray[Any, Any]) -> Floats:
    """[Q, N]; 0 where it wasn't asked for."""
    logs_QN = np.zeros(mask_QN.shape)
    for row, pool in enumerate(pools):
        for column, candidate in enumerate(pool):
            value = {score.scorer: score.value for score in candidate.scores}.get(name)
            logs_QN[row, column] = 0.0 if value is None else value
    return logs_QN


def _num_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _lengths(pools: Sequence[Pool], config: Config, mask_QN: np.ndarray[Any, Any]) -> Floats:
    lengths_QN = np.ones(mask_QN.shape)
    for row, pool in enumerate(pools):
        for column, candidate in enumerate(pool):
            if config.length_norm == "tokens":
                lengths_QN[row, column] = max(candidate.tokens or 1, 1)
            elif config.length_norm == "bytes":
                lengths_QN[row, column] = max(_num_bytes(candidate.text), 1)
    return lengths_QN


def _whole(found: Sequence[Continuation | None]) -> list[Continuation]:
    whole = [one for one in found if one is not None]
    if len(whole) < len(found):
        raise ItemError("too_long", "a prompt with its choice is longer than the model's context")
    return whole


def _usage(
    found: Mapping[str, Sequence[Continuation]], generator: str, discriminator: str
) -> Iterator[Usage]:
    for part, rows in found.items():
        if part.startswith("says_"):
            continue
        yield Usage(role=f"generator:{part}", model=generator, **_read(rows))
    if judged := [*found.get("says_correct", ()), *found.get("says_incorrect", ())]:
        yield Usage(role="discriminator", model=discriminator, **_read(judged))


def _read(rows: Sequence[Continuation]) -> dict[str, int]:
    tokens = sum(one.prompt_tokens + one.tokens for one in rows)
    return {"requests": len(rows), "tokens": tokens}


def _candidates(
    item: Item, member: str, found: Mapping[str, Sequence[Continuation]]
) -> Iterator[Candidate]:
    read = found.get("correct", ())
    for index, text in enumerate(item.choices):
        one = read[index] if read else None
        yield Candidate(
            index=index,
            member=member,
            decoding="choice",
            text=text,
            finish_reason="stop",
            prompt_tokens=one.prompt_tokens if one else 0,
            tokens=one.tokens if one else None,
            logprob=one.logprob if one else None,
            seed=None,
            seconds=0.0,
        )
