"""Decoding: greedy and N sampled runs of every member under every decoding, one pool for each.

    item -> members --(member, decoding)--> pools, greedy or N draws --scorers--> scores
         | graded by the task |
         -> in each pool: greedy; one draw; the rankers' curves; the published prefix best-of-N;
            lengths, cut and repeated replies

"Run s" is draw s of every item: its seed is a hash of the run's seed, the item, the member and s,
so any run can be made again by itself, and the items of a run are drawn independently. Draw s of a
member is the one that pipeline `rank` makes under the same settings, and pools of one member share
their seeds. Over runs the summary has mean, standard deviation (ddof 0 as published, and 1), best,
worst and Delta = best - worst, and beside them what independent items allow
(results/between_runs.py).

Best-of-N is there twice. The published protocol takes the first N draws of each item, once, and of
equal rewards the lowest index: methods `prefix best_of:SCORER` and `prefix oracle`. The methods
`best_of:SCORER` and `oracle` are exact means over all N-subsets of the same pool, so they lack the
noise of choosing a prefix.

Source: Song et al. 2024, The Good, The Bad, and The Greedy (arXiv 2407.10457): temperature 1 and
top-p 1 for the draws, greedy at each repetition penalty, N = 16, 32 or 128. What its figures need
to be read with, and what is not mended here:

- The published standard deviations between runs are above what independent items allow (HumanEval,
  164 items: up to 4.92 points where 3.90 are the most; GSM8K, Llama-3-8B: 2.50 where 1.32 are), so
  the items of a run were not drawn independently, or runs differ in more than their seeds. Pools
  drawn here have smaller ones; they are not tuned to match.
- Figures for the same thing differ between its tables: Qwen2-7B on MMLU-Redux greedily 64.4 (main)
  and 61.0 (scaling); Llama-3-8B on MMLU-Redux greedily 47.8 (main) and 50.3 (temperature 0); on
  GSM8K 67.6 (main) and 58.6 (alignment), on HumanEval 58.5 and 30.5. AlpacaEval's best-of-1 is 28.2
  where the mean of one draw is 29.2: that one is a single run.
- Both of its reward models read a second BOS, since text of a chat template that has one is
  tokenized with special tokens again. Scorers here read as many as the template means.
- Its lengths are tokens of cl100k_base; here they are the member's own tokens, and characters.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from actors.config import Sampling, StrictConfig
from actors.roles import Generator, Scorer
from actors.types import Candidate, ConfigError, Item, Message, Score
from pipelines import agreement, rank
from pipelines.base import Solution
from pipelines.methods import prefix
from pipelines.methods.votes import WeightKind
from results.pools import (
    CHARACTERS,
    DUPLICATES,
    PREFIX,
    TOKENS,
    TRUNCATED,
    Decoding,
    Named,
    pools,
)
from results.schema import AnswerRecord, CandidateRecord

Temperature = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
TopP = Annotated[float, Field(gt=0.0, le=1.0)]
Penalty = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Level = Annotated[float, Field(gt=0.0, le=100.0)]
Pool = Sequence[CandidateRecord]


class Sweep(StrictConfig):
    """Further decodings; each has what isn't said as in `sampling`."""

    temperature: tuple[Temperature, ...] = ()
    """0 is greedy decoding."""
    top_p: tuple[TopP, ...] = ()
    repetition_penalty: tuple[Penalty, ...] = ()
    penalized: tuple[Literal["greedy", "sample"], ...] = Field(("greedy",), min_length=1)
    """Without `grid`: what the penalties are tried with; as published, greedy decoding alone."""
    grid: bool = False
    """Every combination of the lists, not one setting changed at a time."""

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        if self.grid and not (self.temperature or self.top_p or self.repetition_penalty):
            raise ValueError("grid: wanted lists to combine, got none")
        if "penalized" in self.model_fields_set and not self.repetition_penalty:
            raise ValueError("penalized: wanted repetition_penalty beside it, got none")
        return self


class Config(StrictConfig):
    """Under `pipeline:` with `name: decoding`."""

    n: int = Field(16, ge=1)
    """Runs drawn of each sampled decoding."""
    ks: tuple[int, ...] = ()
    """Sizes of best-of-N; empty: 1, 2, 4, ... and n."""
    greedy: bool = True
    """Decode greedily as well."""
    sampling: Sampling = Sampling()
    """The decoding of the draws. Temperature 1 and top-p 1 unless you say so, as published."""
    sweep: Sweep = Sweep()
    rankers: tuple[str, ...] = ()
    """As in pipeline `rank`, beside `first`, `oracle` and `best_of:NAME` for every scorer."""
    reference: dict[str, Level] = Field(default_factory=dict)
    """Lines to compare with, in per cent of the first metric: `{GPT-4-Turbo: 83.8}`. The summary
    says with how many draws each member passes them."""

    @model_validator(mode="after")
    def _settings(self) -> "Config":
        for name, level in self.reference.items():
            if level <= 1:
                raise ConfigError(f"reference.{name}: wanted per cent, such as 83.8, got {level:g}")
        self.ranked()
        return self

    @property
    def decodings(self) -> tuple[Decoding, ...]:
        """Every decoding once: greedy, the draws', and those of the sweep."""
        base = self.base[-1]
        swept = self._grid(base) if self.sweep.grid else self._one_by_one(base)
        return tuple(dict.fromkeys((*self.base, *swept)))

    @property
    def base(self) -> tuple[Decoding, ...]:
        """What is decoded without a sweep: greedy, if asked for, and the draws."""
        own = of_draws(self.sampling)
        return (own.greedy, own) if self.greedy else (own,)

    def _grid(self, base: Decoding) -> Iterator[Decoding]:
        sweep = self.sweep
        lists = (sweep.temperature, sweep.top_p, sweep.repetition_penalty)
        values = (values or (own,) for values, own in zip(lists, base, strict=True))
        for one in map(Decoding._make, product(*values)):
            yield one if one.temperature else one.greedy

    def _one_by_one(self, base: Decoding) -> Iterator[Decoding]:
        for temperature in self.sweep.temperature:
            yield base._replace(temperature=temperature) if temperature else base.greedy
        for top_p in self.sweep.top_p:
            yield base._replace(top_p=top_p)
        for penalty in self.sweep.repetition_penalty:
            one = base._replace(repetition_penalty=penalty)
            yield from (one.greedy if kind == "greedy" else one for kind in self.sweep.penalized)

    def ranked(self, scorers: Collection[str] = ()) -> rank.Config:
        """How a pool of draws is ranked, as pipeline `rank` is told. Raises ConfigError."""
        own = ("first", *(f"best_of:{name}" for name in scorers), "oracle")
        return rank.Config(
            n=self.n,
            ks=self.ks,
            sampling=self.sampling,
            rankers=tuple(dict.fromkeys((*own, *self.rankers))),
        )


def of_draws(sampling: Sampling) -> Decoding:
    """How draws are decoded."""
    return Decoding(sampling.temperature, sampling.top_p, sampling.repetition_penalty)


async def solve(
    item: Item,
    config: Config,
    *,
    members: Mapping[str, Generator],
    scorers: Mapping[str, Scorer],
) -> Solution:
    """Draw every pool of one item and score its draws, pool by pool. Errors rise to the runner,
    which records them on the item: one that a member can't answer is left out for all of them.
    """
    calls = [(name, *call) for name in members for call in _calls(config)]
    drawn = await asyncio.gather(
        *(
            members[name].generate(item, n=n, sampling=_told(config, decoding), greedy=greedy)
            for name, decoding, n, greedy in calls
        )
    )
    found: list[Candidate] = []
    scores: dict[str, list[Score | None]] = {name: [] for name in scorers}
    for (_, decoding, _, _), candidates in zip(calls, drawn, strict=True):
        draws = [c for c in candidates if c.decoding == "sample"]
        for name, scorer in scorers.items():
            asked = await scorer.score(item, draws) if draws else []
            scores[name] += [*(None for _ in range(len(candidates) - len(draws))), *asked]
        for c in candidates:
            arm = decoding.greedy if c.decoding == "greedy" else decoding
            found.append(replace(c, arm=str(arm)))
    return Solution(
        candidates=tuple(found), scores={name: tuple(own) for name, own in scores.items()}
    )


def prompt(item: Item) -> tuple[Message, ...]:
    """What every member is asked."""
    return item.messages


def sends(config: Config) -> int:
    """How often each item's prompt is sent to a member."""
    return sum(config.n if d.temperature else 1 for d in config.decodings)


def requests(config: Config, num_items: int) -> str:
    """Of all items, to each member."""
    sampled = [str(d) for d in config.decodings if d.temperature]
    greedy = [str(d) for d in config.decodings if not d.temperature]
    draws = f"{num_items * config.n * len(sampled):,} draws at {'; '.join(sampled)}"
    return (
        f"to each member {num_items * len(greedy):,} greedy at {'; '.join(greedy) or 'none'} and "
        f"{draws}; each of at most {config.sampling.max_tokens:,} tokens"
    )


def answers(
    pools_Q: Sequence[Pool],
    config: Config,
    *,
    metrics: Sequence[str],
    scales: Mapping[str, WeightKind],
    relative: Collection[str] = (),
) -> list[tuple[AnswerRecord, ...]]:
    """Of each item and in each of its pools, what pipeline `rank` answers there, the prefix
    protocol, and what the texts are like; each under the method's and the pool's name
    (`results.pools.Named`).
    """
    scorers = [name for name in scales if name != agreement.SCORER]
    ranked = config.ranked(scorers)
    cut = [name for name in scorers if name not in relative]
    found: list[list[AnswerRecord]] = [[] for _ in pools_Q]
    parted = [pools(candidates) for candidates in pools_Q]
    for name in dict.fromkeys(name for parts in parted for name in parts):
        places = [place for place, parts in enumerate(parted) if name in parts]
        own = [parted[place][name] for place in places]
        ranking = rank.answers(own, ranked, metrics=metrics, scales=scales, relative=relative)
        for place, pool, rows in zip(places, own, ranking, strict=True):
            rows = (*rows, *_prefixes(pool, metrics, cut, ranked.draw_sizes), *_texts(pool))
            found[place] += [_in_pool(row, pool[0]) for row in rows]
    return [tuple(rows) for rows in found]


def _calls(config: Config) -> list[tuple[Decoding, int, bool]]:
    """Decoding, draws, and whether the greedy candidate of its penalty is wanted too: one call,
    whose replies share one prefill.
    """
    greedy = [d for d in config.decodings if not d.temperature]
    calls = []
    for decoding in config.decodings:
        if decoding.temperature:
            joined = decoding.greedy in greedy
            calls.append((decoding, config.n, joined))
            greedy = [d for d in greedy if d != decoding.greedy]
    return [*calls, *((d, 0, True) for d in greedy)]


def _told(config: Config, decoding: Decoding) -> Sampling:
    """Greedy decoding reads no temperature, and `Sampling` has none for it."""
    changed = {name: value for name, value in decoding._asdict().items() if value}
    return config.sampling.model_copy(update=changed)


def _prefixes(
    pool: Pool, metrics: Sequence[str], scorers: Sequence[str], draw_sizes: Sequence[int]
) -> Iterator[AnswerRecord]:
    """The published best-of-k. None where a draw has no verdict, as in pipeline `rank`."""
    draws = [c for c in pool if c.decoding == "sample"]
    if not draws or not all(c.grade for c in draws):
        return
    for metric in metrics:
        gold_N = [{g.metric: g.value for g in c.grade}[metric] for c in draws]
        scored: dict[str, Sequence[float | None]] = {
            f"best_of:{name}": [{s.scorer: s.value for s in c.scores}.get(name) for c in draws]
            for name in scorers
        }
        for name, scores_N in {**scored, "oracle": gold_N}.items():
            for k in draw_sizes:
                position = prefix.pick(scores_N, k)
                chosen = draws[position]
                yield AnswerRecord(
                    method=f"{PREFIX}{name}",
                    metric=metric,
                    k=k,
                    value=gold_N[position],
                    candidate=chosen.index,
                    answer=chosen.answer,
                    correct=chosen.correct,
                )


def _texts(pool: Pool) -> Iterator[AnswerRecord]:
    """Lengths, cuts and repeats, mean over the pool's replies to the item."""
    num, drawn = len(pool), pool[0].decoding == "sample"
    figures = {
        CHARACTERS: sum(len(c.text) for c in pool) / num,
        TRUNCATED: sum(c.finish_reason == "length" for c in pool) / num,
    }
    if all(c.tokens is not None for c in pool):
        figures[TOKENS] = sum(c.tokens or 0 for c in pool) / num
    if drawn:
        figures[DUPLICATES] = 1 - len({c.text for c in pool}) / num
    for metric, value in figures.items():
        method, k = ("first", 1) if drawn else ("greedy", 0)
        yield AnswerRecord(method=method, metric=metric, k=k, value=value)


def _in_pool(row: AnswerRecord, candidate: CandidateRecord) -> AnswerRecord:
    name = Named(row.method, candidate.member, candidate.arm)
    return replace(row, method=str(name))
