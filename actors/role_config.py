"""Config schemas of roles: generators, scorers and what they are asked."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from actors.config import FORMS, Sampling, StrictConfig

Scale = Literal["probability", "logprob", "sigmoid", "softmax"]
"""How a scorer's values become the positive weights of a vote (`pipelines.methods.votes`)."""


class VerdictPrompts(StrictConfig):
    """How a generator is asked for a wrong answer, and a discriminator if one is right."""

    incorrect: str = "{head}Incorrect {cue}"
    """`{cue}` is what the prompt ends in, such as `Answer:`, and `{head}` all before it; a prompt
    that ends in no cue is a head with a line break, and its cue is `Answer:`."""
    discriminator: str = (
        "{head}Proposed Answer: {answer}\nIs this answer Correct or Incorrect? "
        "(Answer Correct or Incorrect). This answer is"
    )
    # Not strict: YAML has lists only.
    labels: tuple[str, str] = Field((" Correct", " Incorrect"), strict=False)
    """How the discriminator goes on: right, wrong. Of any number of tokens each."""

    @model_validator(mode="after")
    def _quotes(self) -> Self:
        if "{answer}" not in self.discriminator:
            raise ValueError("discriminator: wanted {answer} in the template, got none")
        return self


class ProcessPrompts(StrictConfig):
    """How a process reward model reads the steps of a solution."""

    form: Literal["turns", "tags"] = "turns"
    """`turns`: a turn for each step; `tags`: one text, with a tag after each step."""
    separator: str | None = Field("\n\n", min_length=1)
    """What stands between the steps of a candidate; None: it is one step."""
    aggregate: Literal["min", "product", "last", "mean"] = "last"
    """What makes one score of the steps'."""
    good: str = "+"
    """`turns`: the label that earlier steps are given."""
    tag: str = "\u043a\u0438"
    """`tags`: the step tag; as published, two Cyrillic letters."""
    between: str = "\n"
    """`tags`: what stands between a tag and the next step."""


class JudgeSettings(StrictConfig):
    """How hosted models give verdicts that they write down; see `actors.judge`."""

    sampling: Sampling = Sampling(temperature=0.7, top_p=0.9, max_tokens=512)
    """How a verdict is drawn; greedily where there is one for each prompt, until that has failed
    to be read."""
    repeats: int = Field(1, ge=1)
    """`judge`: verdicts on each candidate, which are averaged."""
    orders: int = Field(2, ge=1)
    """`judge_kway`: shuffled orders in which the candidates are shown, averaged."""
    constrained: bool = False
    """Constrained decoding: nothing but the verdict is written, the likeliest of the closed set; of
    a scale, of its whole numbers."""
    weighted: bool = False
    """Of a constrained verdict: the mean over the closed set, each weighed by how likely the model
    is to write it, in place of the likeliest; of a comparison the mean of both orders, in place of
    their agreement. As AlpacaEval 2 does (arXiv 2404.04475)."""
    retries: int = Field(2, ge=0)
    """How often a reply that holds no verdict is drawn again, from a new seed each time."""
    min_coverage: float = Field(0.9, ge=0.0, le=1.0)
    """Share of verdicts, of those asked for, below which the summary warns."""
    judges_itself: bool = False
    """Lets the model that draws all candidates be their only judge."""
    verdict: str = "[[{verdict}]]"
    """Of a prompt that is written out in the config: the form in which a verdict is given."""
    low: float = 1.0
    """Of a prompt that is written out in the config: the ends of its scale."""
    high: float = 10.0

    @model_validator(mode="after")
    def _form(self) -> Self:
        if self.verdict.count("{verdict}") != 1 or not self.verdict.partition("{verdict}")[0]:
            raise ValueError(f"verdict: wanted text and then {{verdict}}, got {self.verdict!r}")
        if self.high <= self.low:
            raise ValueError(f"high: wanted more than low = {self.low:g}, got {self.high:g}")
        if self.weighted and not self.constrained:
            raise ValueError("weighted: a written verdict has no weight; wanted constrained: true")
        return self


class ScorerConfig(StrictConfig):
    """One scorer. In YAML a bare name stands for `{kind: name}`."""

    kind: str
    """A name in `actors.scorers.SCORERS`."""
    model: str | None = None
    """The hosted model it asks; None for scorers that read the candidate alone."""
    models: tuple[str, ...] = Field((), strict=False)
    """Judges: a jury of hosted models, in place of `model`."""
    top: int = Field(20, ge=2, le=20)
    """`self_certainty`: how many of the likeliest tokens are read at each position."""
    field: str | None = None
    """`recorded`: which of the replayed scores."""
    scale: Scale | None = None
    """How its scores become the positive weights of `weighted:NAME`; None: the kind's own way."""
    prompt: str | None = None
    """`p_true`: replaces the default; `{question}` and `{answer}` are filled in. `pairwise`:
    `{context}`, `{a}` and `{b}`. Judges: a name in `actors.judge_prompts.shipped`, or a text with
    `{answer}`, with `{a}` and `{b}`, or with `{answers}`."""
    # Not strict: below a `before` validator pydantic leaves JSON mode, and YAML has lists only.
    labels: tuple[str, str] | None = Field(None, strict=False)
    """One token each. `p_true`: right and wrong (Yes, No); `pairwise`: the first is better and the
    second is (A, B); `process`: a good step and a bad one (+, -)."""
    tournament: Literal["full", "knockout"] = "full"
    """`pairwise`, `judge_pairwise`: every pair, or the best so far against the next."""
    matrix: Literal["max_logits", "max_wins"] = "max_logits"
    """`pairwise` by an encoder, `full`: a candidate's mean logit against all, or its wins."""
    process: ProcessPrompts = ProcessPrompts()
    """`process`: what is a step, and how it is asked about."""
    discriminator: str | None = None
    """`consensus`: the hosted model that judges; None: `model`, the same weights."""
    verdicts: VerdictPrompts = VerdictPrompts()
    """`consensus`: what both are asked."""
    judge: JudgeSettings = JudgeSettings()
    """Judges: how verdicts are drawn."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The hosted models that give the score: a jury, one, or none."""
        return self.models or tuple(filter(None, [self.model]))


class BlendConfig(StrictConfig):
    """Several models that answer as one: every reply is drawn from one of them."""

    blend: tuple[str, ...] = Field(min_length=1)
    """Names under `models:`, each once."""
    weights: tuple[Annotated[float, Field(gt=0.0, allow_inf_nan=False)], ...] = ()
    """How often each is drawn, relative to the others; empty: all equally often."""

    @model_validator(mode="after")
    def _one_weight_each(self) -> Self:
        if len(set(self.blend)) < len(self.blend):
            raise ValueError(
                f"blend: wanted each model once, got {', '.join(self.blend)}; weights say how often"
            )
        if self.weights and len(self.weights) != len(self.blend):
            raise ValueError(
                f"weights: wanted one for each of {len(self.blend)} models, got {len(self.weights)}"
            )
        return self


def _form(value: Any) -> str:
    if isinstance(value, list | tuple):
        return FORMS[2]
    return FORMS[isinstance(value, dict | BlendConfig)]


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError(f"wanted each model once, got {', '.join(names)}")
    return names


Several = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_each_once)]


class RolesConfig(StrictConfig):
    """Which hosted model plays which role. Several roles may share one model."""

    generator: Annotated[
        Annotated[str, Tag(FORMS[0])]
        | Annotated[BlendConfig, Tag(FORMS[1])]
        | Annotated[Several, Tag(FORMS[2])],
        Discriminator(_form),
    ]
    """A model's name; several, each on its own, for pipeline `decoding`: `[a, b, c]`; or a blend of
    several: `{blend: [a, b, c], weights: [2, 1, 1]}`."""
    discriminator: str | None = None
    """`choice`: the model that judges the choices; None: the generator's own hosted weights."""
    scorers: dict[str, ScorerConfig] = Field(default_factory=dict)
    """By the name that rankers use: `best_of:NAME`."""
    graders: dict[str, ScorerConfig] = Field(default_factory=dict)
    """Of a task that doesn't know what is right: whose scores are the credit of every candidate, by
    the name that this metric has."""

    @field_validator("scorers", "graders", mode="before")
    @classmethod
    def _bare_names(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: {"kind": v} if isinstance(v, str) else v for k, v in value.items()}

    @property
    def shares(self) -> dict[str, float]:
        """Of each model that generates, how likely it is to be drawn; `{NAME: 1.0}` for one."""
        if isinstance(self.generator, str):
            return {self.generator: 1.0}
        if isinstance(self.generator, tuple):
            return dict.fromkeys(self.generator, 1 / len(self.generator))
        names = self.generator.blend
        weights = self.generator.weights or (1.0,) * len(names)
        total = math.fsum(weights)
        return {name: weight / total for name, weight in zip(names, weights, strict=True)}
