"""Config schemas of models and sampling, and how all are read. Unknown keys are errors."""

import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from actors.types import ConfigError


class StrictConfig(BaseModel):
    """Base of every config section: immutable, and a key that it doesn't know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


T = TypeVar("T", bound=StrictConfig)

FORMS = ("<name>", "<blend>", "<several>")
"""Pydantic's names for the three ways to write `roles.generator`; no part of a path."""


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
    """Of the logits of all tokens in prompt and reply; the one setting that greedy decoding has
    too."""
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


class ReplayConfig(StrictConfig):
    """What of a source is replayed."""

    member: str = ""
    """The model whose candidates these are; empty: those of all."""


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

    section: ClassVar[str] = "models."
    """In front of a pool's name in messages: where its settings are."""

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
    replay: ReplayConfig = ReplayConfig()
    # Not strict: YAML has lists only.
    known_pair: tuple[str, str, str] | None = Field(None, strict=False)
    """Of a reward model: a question, a reply and a worse one, which it must tell apart before it
    scores anything; None: its own from training, or one that any model must get right."""
