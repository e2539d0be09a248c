"""Single tensors out of a model directory."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from actors.types import ConfigError

INDEX = "model.safetensors.index.json"


def read_tensors(directory: Path, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """The tensors of these names that are there, in float32.

    Raises ConfigError for a file that can't be read.
    """
    found: dict[str, torch.Tensor] = {}
    for file in _files(directory, names):
        try:
            with safe_open(str(file), framework="pt") as tensors:
                held = set(tensors.keys())
                found |= {name: tensors.get_tensor(name).float() for name in names if name in held}
        except (SafetensorError, OSError) as error:
            raise ConfigError(f"can't read {file}: {error}") from error
    return found


def need_tensors(directory: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """All of these tensors. Raises ConfigError for one that is missing or has another shape."""
    found = read_tensors(directory, list(shapes))
    for name, shape in shapes.items():
        if name not in found:
            raise ConfigError(f"the weights in {directory} lack {name}, {_size(shape)}")
        if found[name].shape != shape:
            got = _size(tuple(found[name].shape))
            raise ConfigError(f"{directory}: wanted {name} as {_size(shape)}, got {got}")
    return found


def _files(directory: Path, names: Sequence[str]) -> list[Path]:
    index = directory / INDEX
    if not index.is_file():
        return sorted(directory.glob("*.safetensors"))
    shards: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    return sorted({directory / shards[name] for name in names if name in shards})


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
