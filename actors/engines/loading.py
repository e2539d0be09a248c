"""Weights from a directory onto a device, with transformers."""

from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from actors.config import ModelConfig
from actors.models import context_length
from actors.types import ConfigError

ARGS = frozenset({"attn_implementation"})
"""Names that `args:` may hold: what is passed through to `from_pretrained`."""


def load(config: ModelConfig, directory: Path, auto: Any) -> Any:
    """The model on its device, in float32 on CPU unless the config says otherwise.

    auto: a class with `from_pretrained`, such as AutoModelForCausalLM. Raises ConfigError for a
    missing device, weights that can't be read, and weights that the files lack: transformers would
    make those up.
    """
    if unknown := sorted(set(config.args) - ARGS):
        raise ConfigError(
            f"args: engine {config.engine!r} has no argument {', '.join(unknown)}; "
            f"known: {sorted(ARGS)}"
        )
    if config.gpus > 0 and not torch.cuda.is_available():
        raise ConfigError(f"gpus: wanted {config.gpus:g}, but torch sees no GPU; set gpus: 0")
    device = "cuda" if config.gpus > 0 else "cpu"
    dtype = config.dtype
    if device == "cpu":
        torch.set_num_threads(max(1, int(config.cpus)))
        # bfloat16 on CPU makes a row depend on its batch by a tenth of a nat.
        dtype = "float32" if dtype == "auto" else dtype
    transformers_logging.disable_progress_bar()
    try:
        model, found = auto.from_pretrained(
            str(directory),
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **config.args,
        )
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"transformers can't load the model in {directory}: {error}") from error
    if missing := sorted(found["missing_keys"]):
        raise ConfigError(
            f"the weights in {directory} lack {len(missing)} tensors that {type(model).__name__} "
            f"has, such as {missing[0]}: they belong to another kind of model"
        )
    return model.to(device).eval()


def context(config: ModelConfig, directory: Path) -> int:
    """Tokens that a sequence may have. Raises ConfigError for more than the model reads."""
    longest = context_length(directory)
    if config.context is not None and config.context > longest:
        raise ConfigError(
            f"context: wanted {config.context} tokens, but {directory.name} has {longest}; "
            f"set context: {longest} or less"
        )
    return config.context or longest
