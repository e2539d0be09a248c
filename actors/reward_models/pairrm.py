"""The published layout of PairRM: an encoder that reads a prompt and two replies at once.

    config.json      a DeBERTa-v2 config with the ids of the prefix tokens (llm-blender/PairRM-hf),
                     or the ranker's own settings, where the body is named (llm-blender/PairRM)
    *.safetensors    pretrained_model.*; head_layer.1 (2H to H) and head_layer.4 (H to tasks)

Reads files only: imports neither torch nor an engine.
Source: Jiang et al. 2023 (arXiv 2306.02561); https://github.com/yuchenlin/LLM-Blender.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.reward_models import read_config
from actors.types import ConfigError

SOURCE, FIRST, SECOND = PREFIXES = ("<|source|>", "<|candidate1|>", "<|candidate2|>")
SHARED_PREFIX = "<|candidate|>"
"""The fourth token that the published tokenizers have, in no comparison."""
ID_KEYS = ("source_prefix_id", "cand1_prefix_id", "cand2_prefix_id")
"""Where the config says what the ids of PREFIXES are."""

MAX_SOURCE, MAX_CANDIDATE = 1224, 412
"""Tokens, the three around each text included, where the config has no limits of its own."""

BODY_PREFIX = "pretrained_model."
HIDDEN_WEIGHT, HIDDEN_BIAS = "head_layer.1.weight", "head_layer.1.bias"
TASK_WEIGHT, TASK_BIAS = "head_layer.4.weight", "head_layer.4.bias"

BODIES: Mapping[str, Mapping[str, Any]] = {
    "microsoft/deberta-v3-large": {
        "vocab_size": 128005,
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "max_position_embeddings": 512,
        "relative_attention": True,
        "position_buckets": 256,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "layer_norm_eps": 1e-7,
        "max_relative_positions": -1,
        "position_biased_input": False,
        "type_vocab_size": 0,
        "pad_token_id": 0,
    },
}
"""Bodies that a ranker's settings name, with the four prefix tokens added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`Limits(source=1224, candidate=412)`: tokens that the parts of a comparison may have."""

    source: int
    candidate: int
    total: int
    """Of a comparison: the source and two candidates."""

    def of_candidate(self, source: int) -> int:
        """Tokens that each candidate may have beside a source of so many: the two share what the
        source leaves.
        """
        return (self.total - source) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a model directory says of itself."""

    body: Mapping[str, Any]
    """Keys of the body's config."""
    num_tasks: int
    limits: Limits
    prefix_ids: tuple[int, ...] | None
    """Of PREFIXES; None: the config doesn't say."""


def is_pairrm(directory: Path) -> bool:
    """Whether the directory holds such an encoder, as far as its config says."""
    try:
        config = read_config(directory)
    except ConfigError:
        return False
    names = config.get("architectures") or []
    return config.get("ranker_type") == "pairranker" or any(n.endswith("PairRM") for n in names)


def read_layout(directory: Path) -> Layout:
    """Raises ConfigError for a directory of another kind, and for a body that is not known."""
    config = read_config(directory)
    if not is_pairrm(directory):
        names = ", ".join(config.get("architectures") or []) or "a model without an architecture"
        raise ConfigError(
            f"{directory} holds {names}; wanted an encoder that compares pairs, with an "
            f"architecture that ends in PairRM: llm-blender/PairRM-hf, or one like it"
        )
    ids = [config.get(key) for key in ID_KEYS]
    known = tuple(int(i) for i in ids if i is not None)
    if 0 < len(known) < len(ids):
        raise ConfigError(f"{directory}/config.json: wanted all of {', '.join(ID_KEYS)}, got {ids}")
    source = int(config.get("source_maxlength", MAX_SOURCE))
    candidate = int(config.get("candidate_maxlength", MAX_CANDIDATE))
    return Layout(
        body=_body(directory, config),
        num_tasks=int(config.get("n_tasks", 1)),
        limits=Limits(source=source, candidate=candidate, total=source + 2 * candidate),
        prefix_ids=known or None,
    )


def longest(directory: Path) -> int:
    """Tokens that a comparison may have. Raises ConfigError as `read_layout`.

    Positions are relative, so that `max_position_embeddings` is no limit.
    """
    return read_layout(directory).limits.total


def _body(directory: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    if "ranker_type" in config:
        name = config.get("model_name")
        if name not in BODIES:
            raise ConfigError(
                f"{directory}/config.json: wanted model_name {' or '.join(BODIES)}, got {name!r}; "
                f"give the model as a transformers config, as llm-blender/PairRM-hf has it"
            )
        return BODIES[str(name)]
    if config.get("model_type") != "deberta-v2":
        raise ConfigError(
            f"{directory}/config.json: wanted model_type 'deberta-v2', got "
            f"{config.get('model_type')!r}"
        )
    return config
