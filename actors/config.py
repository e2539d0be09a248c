"""Config schemas of what actors/ owns: models, sampling, scorers, roles. Unknown keys are
errors.
"""

import difflib
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from actors.types import ConfigError


class StrictConfig(BaseModel):
    """Base of every config section: immutable, and a key that it doesn't know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


T = TypeVar("T", bound=StrictConfig)

FORMS = ("<name>", "<blend>")
"""Pydantic's names for the two ways to write `roles.generator`; no part of a path."""


def parse(cls: type[T], data: Mapping[str, Any], where: str = "") -> T:
    """Validate plain data, as YAML gives it, against a config class.

    `where` is the dotted path of `data` in the whole config. Raises ConfigError with one line for
    each problem: the field's path, what was wanted, what was got, and the nearest known name for an
    unknown key.
    """
    try:
        # Through JSON, whose strict mode takes a list for a tuple and 1 for 1.0, but no "1".
        return cls.model_validate_json(json.dumps(data))
    except TypeError as error:
        raise ConfigError(f"{where or 'config'}: {error}") from None
    except ValidationError as error:
        lines = [_explain(cls, problem, where) for problem in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _explain(cls: type[BaseModel], problem: Any, where: str) -> str:
    parts = [part for part in problem["loc"] if part not in FORMS]
    path = ".".join(str(part) for part in (*filter(None, [where]), *parts))
    if problem["type"] == "extra_forbidden":
        known = _fields_at(cls, problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        return f"{path}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{path}: this key is needed"
    if problem["type"] == "value_error":
        return f"{path}: {problem['ctx']['error']}"
    return f"{path}: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {problem['input']!r}"


def _fields_at(cls: Any, loc: tuple[Any, ...]) -> list[str]:
    """Names of the fields of the section at `loc`; dictionary keys on the way are passed over."""
    for part in loc:
        if isinstance(cls, type) and issubclass(cls, BaseModel) and part in cls.model_fields:
            cls = cls.model_fields[part].annotation
        else:
            cls = next((arg for arg in _args(cls) if isinstance(arg, type) and arg is not str), cls)
    sections = [c for c in (cls, *_args(cls)) if isinstance(c, type) and issubclass(c, BaseModel)]
    return list(sections[0].model_fields) if sections else []


def _args(cls: Any) -> list[Any]:
    """Of a generic type or a union, without annotations."""
    return [get_args(a)[0] if get_origin(a) is Annotated else a for a in get_args(cls)]


class Sampling(StrictConfig):
    """How candidates are drawn. Handed to the engine unchanged."""

    temperature: float = Field(1.0, gt=0.0, allow_inf_nan=False)
    """Greedy decoding is a decoding of its own, so 0 is refused here."""
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    top_k: int = Field(0, ge=0)
    """0: no limit."""
    repetition_penalty: float = Field(1.0, gt=0.0)
    max_tokens: int = Field(512, ge=1)
    # Not strict: scorers' sections are read outside JSON mode, and YAML has lists only.
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field((), strict=False)
    """Besides the model's own end tokens. The stop string is not part of the text."""


class Faults(StrictConfig):
    """Faults that the fake engine shows, to rehearse what a cluster does about them."""

    die_after: int | None = Field(None, ge=1)
    """The process ends, as by SIGKILL, at this many-th call of a replica's first life."""
    error_rate: float = Field(0.0, ge=0.0, le=1.0)
    """Share of calls, drawn from the seed, that fail with an item error."""
    poison: str | None = Field(None, min_length=1)
    """The process ends, as by SIGKILL, in any life, at a prompt that holds this word."""
    fail: str | None = Field(None, min_length=1)
    """The engine raises an error, and lives, at a prompt that holds this word."""
    drift_after: int | None = Field(None, ge=1)
    """From this many-th call of its first life on, a replica returns wrong text and wrong log-
    probabilities, without an error."""
    stall_after: int | None = Field(None, ge=1)
    """From this many-th call of its first life on, a replica never answers."""


class FakeConfig(StrictConfig):
    """The fake engine's script and pace. Same prompt, same seed: same text."""

    texts: tuple[str, ...] = ()
    """Draws pick one of these by a hash of prompt and seed, greedy takes the first. Empty: made-
    up sums."""
    latency: float = Field(0.0, ge=0.0)
    """Seconds before a call's first token."""
    token_rate: float = Field(0.0, ge=0.0)
    """Tokens per second and candidate; 0: at once."""
    context: int = Field(4096, ge=8)
    """Tokens (here: words) of prompt and completion together."""
    faults: Faults = Faults()


class Replicas(StrictConfig):
    """A pool that grows while calls wait and there is room, and shrinks when it is idle. In YAML a
    number n stands for `{min: n, max: n}`, `auto` for `{min: 1}`.
    """

    min: int = Field(1, ge=1)
    max: int | None = Field(None, ge=1)
    """None: as many as fit, at the start and when the cluster grows."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if value == "auto":
            return {}
        if isinstance(value, int) and not isinstance(value, bool):
            if value < 1:
                raise ValueError(f"input should be greater than or equal to 1, got {value}")
            return {"min": value, "max": value}
        if not isinstance(value, dict | Replicas):
            raise ValueError(f"wanted a number, auto, or {{min, max}}, got {value!r}")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"wanted max of at least min = {self.min}, got {self.max}")
        return self

    def __str__(self) -> str:
        if self.max == self.min:
            return str(self.min)
        return f"{self.min} to {self.max}" if self.max else f"{self.min} or more"


class Placement(StrictConfig):
    """Where a pool's replicas live, what each may use, and when one counts as lost: all of it may
    change between two starts of a run without changing a result.
    """

    replicas: Replicas = Replicas(min=1, max=1)
    cpus: float = Field(1.0, ge=0.0)
    """Per replica; also the number of compute threads of an engine on CPU."""
    gpus: float = Field(0.0, ge=0.0)
    """Per replica; a fraction shares a device."""
    nodes: int = Field(1, ge=1)
    """Machines that one replica spans; vLLM runs a pipeline stage on each."""
    resources: dict[str, Annotated[float, Field(gt=0.0)]] = {}
    """Custom Ray resources per replica: it lives where they are."""
    labels: dict[str, str] = {}
    """Ray node labels: a replica lives on nodes that have them."""
    memory_gib: float | None = Field(None, gt=0.0)
    """Reserved per replica, so that a machine isn't overbooked; None: not reserved."""
    in_flight: int | None = Field(None, ge=1)
    """Sequences that one replica holds at once, a call for N candidates counting N until its last
    one ends; more wait in the driver. None: 128 on CPUs, 512 on GPUs."""
    max_restarts: int = Field(3, ge=0)
    """Deaths in a row, with nothing answered between them, after which a replica is given up."""
    stall_timeout: float = Field(300.0, gt=0.0)
    """Seconds without a step of the model, while calls wait for it, after which a replica is ended
    and replaced."""
    canary_tolerance: float = Field(0.5, gt=0.0)
    """Nats by which a replica's log-probabilities on fixed prompts may differ from its pool's
    before it is replaced and its uncommitted items are asked again."""
    start_timeout: float = Field(900.0, gt=0.0)
    """Seconds from start to healthy."""

    @property
    def room(self) -> int:
        """Sequences that one replica holds at once."""
        return self.in_flight or (512 if self.gpus else 128)

    @model_validator(mode="after")
    def _whole_devices(self) -> Self:
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"gpus: wanted whole devices above 1, got {self.gpus:g}")
        if self.nodes > 1 and self.gpus % self.nodes:
            raise ValueError(f"nodes: wanted a divisor of gpus = {self.gpus:g}, got {self.nodes}")
        return self


Template = Literal["auto", "none", "dialogue"]


class ModelConfig(Placement):
    """A set of weights, the engine it runs on, and where its replicas live."""

    path: str = ""
    """A directory, a hub id, or `bundled:NAME`. For `replay`: a JSONL, Parquet or Arrow file, or a
    run directory. The fake engine needs none."""
    engine: str = "vllm"
    """A name in `actors.engines.ENGINES`."""
    revision: str | None = None
    """Of a hub id: commit, tag or branch."""
    template: Template = "auto"
    """`auto`: the tokenizer's own chat template if it has one. `none`: the messages' text, as a
    base model reads it. `dialogue`: who says what, for a base model that is to converse."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    context: int | None = Field(None, ge=8)
    """Tokens of prompt and completion together; None: the engine's default for the machine."""
    args: dict[str, Any] = {}
    """Passed through to the engine by its own names; a name that it doesn't have is refused
    before anything starts."""
    fake: FakeConfig = FakeConfig()
    # Not strict: YAML has lists only.
    known_pair: tuple[str, str, str] | None = Field(None, strict=False)
    """Of a reward model: a question, a reply and a worse one, which it must tell apart before it
    scores anything; None: a pair that any model of conversations must get right."""


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
        return self


class ScorerConfig(StrictConfig):
    """One scorer. In YAML a bare name stands for `{kind: name}`."""

    kind: str
    """A name in `actors.scorers.SCORERS`."""
    model: str | None = None
    """The hosted model it asks; None for scorers that read the candidate alone."""
    models: tuple[str, ...] = Field((), strict=False)
    """`judge`, `judge_pairwise`, `judge_kway`: a jury of hosted models, in place of `model`."""
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
    process: ProcessPrompts = ProcessPrompts()
    """`process`: what is a step, and how it is asked about."""
    discriminator: str | None = None
    """`consensus`: the hosted model that judges; None: `model`, the same weights."""
    verdicts: VerdictPrompts = VerdictPrompts()
    """`consensus`: what both are asked."""
    judge: JudgeSettings = JudgeSettings()
    """`judge`, `judge_pairwise`, `judge_kway`: how verdicts are drawn."""

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
    return FORMS[isinstance(value, dict | BlendConfig)]


class RolesConfig(StrictConfig):
    """Which hosted model plays which role. Several roles may share one model."""

    generator: Annotated[
        Annotated[str, Tag(FORMS[0])] | Annotated[BlendConfig, Tag(FORMS[1])], Discriminator(_form)
    ]
    """A model's name, or a blend of several: `{blend: [a, b, c], weights: [2, 1, 1]}`."""
    discriminator: str | None = None
    """`choice`: the model that judges the choices; None: the generator's own hosted weights."""
    scorers: dict[str, ScorerConfig] = {}
    """By the name that rankers use: `best_of:NAME`."""

    @field_validator("scorers", mode="before")
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
        names = self.generator.blend
        weights = self.generator.weights or (1.0,) * len(names)
        total = math.fsum(weights)
        return {name: weight / total for name, weight in zip(names, weights, strict=True)}
