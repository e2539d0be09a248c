"""Rank: draw N candidates once, then let every ranker choose from the same pool.

    item -> generator --greedy + N draws--> scorers --scores[S][N]--> | graded by the task | -->
    rankers

Rankers are names in RANKERS (rankers.py); `best_of:NAME` and `weighted:NAME` read the scorer that
roles.scorers calls NAME. Every figure for k < N is the exact average over all k-subsets of the same
N draws (methods/estimators.py), so methods are compared on the same draws at the same compute.
Greedy decoding is one candidate of its own and never among the draws.

A draw that could not be graded in time has no verdict, which is neither right nor wrong. `first`,
`majority`, `weighted`, `best_of` and `oracle` all average over subsets that hold it, so none of
them has an answer for that item: leaving the draw out, or only those answers that it decides, would
favour some outcomes and some methods. Greedy is left out where the greedy candidate has no verdict.
The summary counts such items.

The draws of a blend are one pool for every ranker, whoever made them. What a member adds is each
ranker's figure with and without its draws at equal k (members.py), but for rankers whose scores
hold for all N draws together. Its greedy candidates are one of each member.

Sources: best-of-N and greedy against sampling, Song et al. 2024 (2407.10457); majority, Wang et al.
2023 (2203.11171); weighted votes, Li et al. 2023 (2206.02336); pass@k for the oracle, Chen et al.
2021 (2107.03374).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pydantic import Field, model_validator

from actors.config import Sampling, StrictConfig
from actors.roles import Generator, Scorer
from actors.types import ConfigError, Item, Message, Score
from pipelines import members
from pipelines.agreement import ANY_SIZE, SCALES, agreed
from pipelines.base import Solution
from pipelines.methods import votes
from pipelines.methods.consensus import READS
from pipelines.methods.votes import WeightKind
from pipelines.rankers import RANKERS, Draws, names, ranker_of, scorer_of
from results.schema import AnswerRecord, CandidateRecord


class Config(StrictConfig):
    """Under `pipeline:` with `name: rank`."""

    n: int = Field(16, ge=1)
    """Candidates drawn per item."""
    ks: tuple[int, ...] = ()
    """Draw sizes to report; empty: 1, 2, 4, ... and n."""
    greedy: bool = True
    """Decode each item greedily as well: the baseline that every method is compared with."""
    sampling: Sampling = Sampling()
    """Handed to the generator unchanged."""
    rankers: tuple[str, ...] = ("first", "majority", "oracle")
    """Names in RANKERS, with `:SCORER` where the ranker reads one."""

    @model_validator(mode="after")
    def _sizes_and_names(self) -> "Config":
        for k in self.ks:
            if not 1 <= k <= self.n:
                raise ConfigError(f"ks: wanted draw sizes from 1 to n = {self.n}, got {k}")
        if len(set(self.rankers)) < len(self.rankers):
            raise ConfigError(f"rankers: wanted each one once, got {', '.join(self.rankers)}")
        for ranker in self.rankers:
            if ranker.removeprefix("weighted:") in READS:
                continue
            name, colon, scorer = ranker.partition(":")
            if name not in RANKERS:
                raise ConfigError(
                    f"rankers: unknown ranker {ranker!r}; known: {', '.join(names())}"
                )
            if not (scorer if RANKERS[name].scored else not colon):
                form = f"{name}:SCORER" if RANKERS[name].scored else name
                raise ConfigError(f"rankers: wanted {form!r}, got {ranker!r}")
        return self

    @property
    def draw_sizes(self) -> tuple[int, ...]:
        """The k of every curve, ascending."""
        if self.ks:
            return tuple(sorted(set(self.ks)))
        powers = [2**i for i in range(self.n.bit_length()) if 2**i < self.n]
        return (*powers, self.n)


async def solve(
    item: Item, config: Config, *, generator: Generator, scorers: Mapping[str, Scorer]
) -> Solution:
    """Draw and score one item. Errors rise to the runner, which records them on the item."""
    candidates = await generator.generate(
        item, n=config.n, sampling=config.sampling, greedy=config.greedy
    )
    draws = [c for c in candidates if c.decoding == "sample"]
    unasked: list[Score | None] = [None] * (len(candidates) - len(draws))
    scores = {
        name: (*unasked, *await scorer.score(item, draws)) for name, scorer in scorers.items()
    }
    return Solution(candidates=tuple(candidates), scores=scores)


def prompt(item: Item) -> tuple[Message, ...]:
    """What the generator is asked."""
    return item.messages


def sends(config: Config) -> int:
    """How often each item's prompt is sent."""
    return config.n + config.greedy


def requests(config: Config, num_items: int) -> str:
    """Of all items."""
    greedy = f"{num_items:,} greedy and " if config.greedy else ""
    draws = f"{num_items * config.n:,} draws"
    return f"{greedy}{draws} of at most {config.sampling.max_tokens:,} tokens"


def answers(
    pools: Sequence[Sequence[CandidateRecord]],
    config: Config,
    *,
    metrics: Sequence[str],
    scales: Mapping[str, WeightKind],
    relative: Collection[str] = (),
    shares: Mapping[str, float] | None = None,
) -> list[tuple[AnswerRecord, ...]]:
    """Of each item, every ranker's answer for every metric and draw size, from the same graded
    candidates.

    `scales` says how each scorer's values become voting weights (`votes.positive_weights`). Scores
    of `relative` scorers hold for all N draws together: what reads them has no k < N. With a
    candidate that has no verdict the methods that may use it have no answer: greedy for its own
    candidate, all the others for any draw. `shares`: of each member of a blend.
    """
    read = {scorer_of(ranker) for ranker in config.rankers}
    judged = [name for name in READS if name in read]
    whole = {*relative, *(READS.keys() - ANY_SIZE)}
    return [
        _answers(candidates, config, metrics, {**scales, **SCALES}, whole, shares or {})
        for candidates in agreed(pools, judged)
    ]


def _answers(
    candidates: Sequence[CandidateRecord],
    config: Config,
    metrics: Sequence[str],
    scales: Mapping[str, WeightKind],
    whole: Collection[str],
    shares: Mapping[str, float],
) -> tuple[AnswerRecord, ...]:
    rows = [*members.greedy(candidates, shares)]
    pool = [c for c in candidates if c.decoding == "sample"]
    if not pool or not all(c.grade for c in pool):
        return tuple(rows)
    for metric in metrics:
        for ranker in config.rankers:
            # Over fewer candidates, a game or a tournament would be another one.
            is_whole = scorer_of(ranker) in whole
            sizes = (len(pool),) if is_whole else config.draw_sizes
            rows += _curve(ranker, metric, _draws(pool, metric, ranker, scales), pool, sizes)
            for suffix, others in () if is_whole else members.left_out(pool, shares):
                draws = _draws(others, metric, ranker, scales)
                found = _curve(
                    ranker, metric, draws, others, [k for k in sizes if k <= len(others)]
                )
                rows += [replace(row, method=f"{ranker}{suffix}") for row in found]
    return tuple(rows)


def _draws(
    pool: Sequence[CandidateRecord], metric: str, ranker: str, scales: Mapping[str, WeightKind]
) -> Draws:
    scorer = scorer_of(ranker)
    scores: list[float | None] = [None] * len(pool)
    weights = scores
    if scorer is not None:
        scores = [{s.scorer: s.value for s in c.scores}.get(scorer) for c in pool]
        if ranker_of(ranker).weighs:
            weights = _weights(scores, scorer, scales)
    return Draws(
        answers_N=[c.answer for c in pool],
        gold_N=[{g.metric: g.value for g in c.grade}[metric] for c in pool],
        scores_N=scores,
        weights_N=weights,
    )


def _weights(
    scores_N: Sequence[float | None], scorer: str, scales: Mapping[str, WeightKind]
) -> list[float | None]:
    try:
        return votes.positive_weights(scores_N, scales[scorer])
    except ValueError as error:
        raise ConfigError(f"roles.scorers.{scorer}.scale: {error}") from None


def _curve(
    ranker: str,
    metric: str,
    draws: Draws,
    pool: Sequence[CandidateRecord],
    draw_sizes: Sequence[int],
) -> list[AnswerRecord]:
    spec = ranker_of(ranker)
    rows = []
    for k in draw_sizes if spec.more_helps else (1,) * bool(pool):
        value = spec.estimate(draws, k)
        position = spec.pick(draws) if k == len(pool) or not spec.more_helps else None
        chosen = None if position is None else pool[position]
        rows.append(
            AnswerRecord(
                method=ranker,
                metric=metric,
                k=k,
                value=float(value),
                candidate=None if chosen is None else chosen.index,
                answer=None if chosen is None else chosen.answer,
                correct=None if chosen is None else chosen.correct,
                mc_error=value.mc_error,
            )
        )
    return rows
