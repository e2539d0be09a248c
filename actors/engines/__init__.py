"""The engines by name, what each needs, and how one is built. Nothing heavy is imported before
it is chosen.
"""

import ast
import difflib
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from actors.config import ModelConfig
from actors.engines.base import Engine, PairEngine, RewardEngine
from actors.models import context_length, resolve
from actors.reward_models import family, pairrm
from actors.types import ConfigError

Served = Literal["text", "reward", "pairs", "states"]
"""`text`: it generates and gives log-probabilities; `reward`: it scores conversations; `pairs`: it
compares two replies; `states`: it gives a score's hidden states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """Where an engine's class is and what must be true before it is built."""

    target: str
    """`module:Class`."""
    weights: bool
    """It loads a model directory and renders prompts with that directory's tokenizer."""
    summary: str
    serves: frozenset[Served] = frozenset({"text"})
    package: str | None = None
    """The import name without which it can't run."""
    install: str = ""
    known_args: Callable[[], frozenset[str]] = frozenset
    """Names that `args:` may hold."""
    reserved: Mapping[str, str] = field(default_factory=dict)
    """Names that it may not, and what to do instead."""
    check_files: Callable[[Path], object] = lambda directory: None
    """Refuses, with ConfigError, a model directory that it can't host."""
    longest: Callable[[Path], int] = context_length
    """Tokens that a sequence may have, of a model directory. Raises ConfigError."""
    prompts: str = "actors.rendering:Renderer"
    """`module:Class` of what makes token ids, given the directory and the template's setting."""


@cache
def _vllm_args() -> frozenset[str]:
    """Fields of vLLM's EngineArgs, read from its source: importing vLLM takes seconds and torch."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    source = Path(spec.submodule_search_locations[0]) / "engine" / "arg_utils.py"
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == "EngineArgs":
            fields = [n.target for n in node.body if isinstance(n, ast.AnnAssign)]
            return frozenset(target.id for target in fields if isinstance(target, ast.Name))
    raise AssertionError(f"{source} has no class EngineArgs")


def _hf_args() -> frozenset[str]:
    return frozenset({"attn_implementation"})


VLLM_INSTALL = "pip install 'lilliput[gpu]' (or 'lilliput[cpu]')"
VLLM_RESERVED = {
    "model": "use path",
    "tokenizer": "use path",
    "revision": "use revision",
    "max_model_len": "use context",
    "dtype": "use dtype",
    "seed": "every candidate has its own",
    "logprobs_mode": "log-probabilities are raw ones",
    "trust_remote_code": "code of a model repository is never run",
}
POOLING = ("runner", "convert", "pooler_config")
"""What makes an embedding model of a language model in vLLM."""

ENGINES: dict[str, EngineSpec] = {
    "vllm": EngineSpec(
        target="actors.engines.vllm:VLLMEngine",
        weights=True,
        summary="vLLM, on GPUs or CPUs: continuous batching over all concurrent calls",
        package="vllm",
        install=VLLM_INSTALL,
        known_args=_vllm_args,
        reserved=VLLM_RESERVED,
    ),
    "hf": EngineSpec(
        target="actors.engines.hf:HFEngine",
        weights=True,
        summary="transformers, batched by length: for machines without vLLM",
        known_args=_hf_args,
    ),
    "reward": EngineSpec(
        target="actors.engines.reward:HFRewardEngine",
        weights=True,
        serves=frozenset({"reward"}),
        summary="reward models on transformers: ArmoRM and sequence classification",
        known_args=_hf_args,
        check_files=family,
    ),
    "vllm_reward": EngineSpec(
        target="actors.engines.vllm_reward:VLLMRewardEngine",
        weights=True,
        serves=frozenset({"reward"}),
        summary="the same reward models, their bodies on vLLM",
        package="vllm",
        install=VLLM_INSTALL,
        known_args=_vllm_args,
        reserved={**VLLM_RESERVED, **dict.fromkeys(POOLING, "it is what reward models need")},
        check_files=family,
    ),
    "pairrm": EngineSpec(
        target="actors.engines.pairs:PairRMEngine",
        weights=True,
        serves=frozenset({"pairs"}),
        summary="encoders on transformers that compare two replies: PairRM",
        check_files=pairrm.read_layout,
        longest=pairrm.longest,
        prompts="actors.reward_models.comparisons:Comparisons",
    ),
    "states": EngineSpec(
        target="actors.engines.reward:HFRewardEngine",
        weights=True,
        serves=frozenset({"states"}),
        summary="any language model on transformers, for the hidden states that heads read",
        known_args=_hf_args,
    ),
    "fake": EngineSpec(
        target="actors.engines.fake:FakeEngine",
        weights=False,
        serves=frozenset({"text", "reward", "states"}),
        summary="seeded and scripted, with settable pace and faults: no model at all",
    ),
    "replay": EngineSpec(
        target="actors.engines.replay:ReplayEngine",
        weights=False,
        summary="candidates made elsewhere: JSONL, Parquet, Arrow, or an earlier run directory",
    ),
}


def check(name: str, config: ModelConfig) -> None:
    """Refuse, without importing an engine, what can't run here. Raises ConfigError."""
    if config.engine not in ENGINES:
        raise ConfigError(
            f"models.{name}: unknown engine {config.engine!r}; known: {', '.join(ENGINES)}"
        )
    spec = ENGINES[config.engine]
    if spec.package and importlib.util.find_spec(spec.package) is None:
        raise ConfigError(
            f"models.{name}: engine {config.engine!r} needs the package {spec.package!r}, which is "
            f"not installed; {spec.install}"
        )
    known = spec.known_args()
    for key in config.args:
        if key in spec.reserved:
            raise ConfigError(
                f"models.{name}.args.{key}: Lilliput sets this itself, since prompts, identity or "
                f"scores depend on it; {spec.reserved[key]}"
            )
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"models.{name}.args: engine {config.engine!r} has no argument {key!r}{hint}"
            )
    if not spec.weights and config.engine == "replay" and not config.path:
        raise ConfigError(
            f"models.{name}: engine 'replay' needs path: the file or run directory to read"
        )


def environment(config: ModelConfig) -> dict[str, str]:
    """Environment variables of a process that hosts this model: set before its first import."""
    shared = {"TOKENIZERS_PARALLELISM": "false"}
    if ENGINES[config.engine].package == "vllm":
        from actors.engines.vllm_args import environment as of_vllm

        return shared | of_vllm(config)
    # Ray sets this to the CPUs an actor asked for, rounded down; a fraction would otherwise take
    # every core.
    return shared | {"OMP_NUM_THREADS": str(max(1, int(config.cpus)))}


def suited(path: str, usual: str) -> str:
    """The engine for a model of which nobody has said on what it runs: `usual`, or `pairrm` for an
    encoder that compares pairs. A hub's model is fetched, as for a run.
    """
    try:
        found = resolve(ModelConfig(path=path)).path
    except ConfigError:
        # Whoever loads it says what is wrong.
        return usual
    return "pairrm" if pairrm.is_pairrm(found) else usual


def build(config: ModelConfig, *, life: int = 0) -> Engine | RewardEngine | PairEngine:
    """Import and start a checked engine. Slow: weights load here. Raises ConfigError, or whatever
    the engine raises.

    `life` counts the processes that have played this replica before; the fake engine's faults look
    at it.
    """
    spec = ENGINES[config.engine]
    cls = _imported(spec.target)
    if not spec.weights:
        engine: Engine | RewardEngine | PairEngine = cls(config, life=life)
        return engine
    directory = resolve(config).path
    renderer = _imported(spec.prompts)(directory, template=config.template)
    engine = cls(config, directory=directory, renderer=renderer)
    return engine


def _imported(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
