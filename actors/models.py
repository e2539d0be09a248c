"""Where a model's files are, and what identifies them.

Reads files only: imports neither torch nor an engine.
"""

import hashlib
import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.bundled import bundled_path
from actors.config import ModelConfig
from actors.types import ConfigError

BUNDLED_PREFIX = "bundled:"

CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
"""Where config.json files of various families say how long a sequence may be."""

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "vocab.txt")
"""One of these is enough; the first is what today's repositories carry."""

HUB_PATTERNS = ["*.json", "*.jinja", "*.txt", "*.safetensors", "*.model"]
"""What is fetched from a hub: no pickled weights, no Python code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """A model whose files are on this machine.

    ResolvedModel(source="HuggingFaceTB/SmolLM2-135M-Instruct", path=Path("..."),
                  revision="12fd25f", is_local=False)
    """

    source: str
    """As the config names it."""
    path: Path
    """The directory with config.json, weights and tokenizer."""
    revision: str | None
    """Commit of a hub model; None for local and bundled ones."""
    is_local: bool
    """Nothing was asked of a hub."""


def resolve(config: ModelConfig) -> ResolvedModel:
    """Find a model's directory: a local one, `bundled:NAME`, or a hub id.

    A path that exists, or that starts with `/`, `.` or `~`, is a directory; anything else is a hub
    id. Raises ConfigError for what is missing, unknown or can't be fetched.
    """
    source = config.path
    if not source:
        raise ConfigError("a model needs path: a directory, a hub id, or bundled:NAME; got none")
    if source.startswith(BUNDLED_PREFIX):
        path = bundled_path(source.removeprefix(BUNDLED_PREFIX))
        return ResolvedModel(source=source, path=path, revision=None, is_local=True)
    local = Path(source).expanduser()
    if local.exists() or source[0] in "/.~":
        _check_directory(local)
        return ResolvedModel(source=source, path=local.resolve(), revision=None, is_local=True)
    path = _snapshot(source, config.revision)
    _check_directory(path)
    # A snapshot's directory is named by its commit, whatever tag or branch was asked for.
    return ResolvedModel(source=source, path=path, revision=path.name, is_local=False)


def _check_directory(path: Path) -> None:
    if not path.is_dir():
        raise ConfigError(
            f"wanted a model directory, got {path}, which is not one; "
            f"give a directory, a hub id, or bundled:NAME"
        )
    missing = [] if (path / "config.json").is_file() else ["config.json"]
    if not any((path / name).is_file() for name in TOKENIZER_FILES):
        missing.append("a tokenizer (tokenizer.json)")
    if not any(path.glob("*.safetensors")):
        missing.append("weights (*.safetensors)")
    if missing:
        raise ConfigError(
            f"{path} is not a whole model directory: it lacks {', '.join(missing)}; "
            f"save the model and its tokenizer there"
        )


def _snapshot(source: str, revision: str | None) -> Path:
    """The hub snapshot, downloaded unless it is cached. Raises ConfigError in one line."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    wanted = f"{source}@{revision}" if revision else source
    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=HUB_PATTERNS))
    except HFValidationError as error:
        raise ConfigError(
            f"{source!r} is neither a directory nor a hub id such as OWNER/NAME; correct path"
        ) from error
    # The hub client raises its own errors, httpx's and plain OSErrors, and its own choice of them
    # changes between versions; for the user each means that the model can't be had.
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"can't get the model {wanted!r} from the hub: {reason} "
            f"Check path and revision, or give a local directory"
        ) from error


def context_length(path: Path) -> int:
    """Tokens of prompt and completion together, from config.json.

    Raises ConfigError when the file doesn't say.
    """
    config = _read_json(path / "config.json")
    for section in (config, config.get("text_config") or {}):
        for key in CONTEXT_KEYS:
            if isinstance(section.get(key), int):
                return int(section[key])
    raise ConfigError(
        f"{path / 'config.json'} has none of {', '.join(CONTEXT_KEYS)}; set context: for this model"
    )


def fingerprint(path: Path, *, weights: bool = False) -> dict[str, str]:
    """What identifies the model: file name -> sha-256, and `chat_template` -> sha-256 or "".

    Configs and tokenizer files are hashed whole. Of each safetensors file the header (names, types,
    shapes, offsets) and the size are hashed, and the whole of it too if `weights`.
    """
    marks: dict[str, str] = {}
    for file in sorted(path.iterdir()):
        if file.suffix in {".json", ".jinja", ".txt"} or file.name in TOKENIZER_FILES:
            marks[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        elif file.suffix == ".safetensors":
            marks[f"{file.name}:header"] = _header_digest(file)
            if weights:
                with file.open("rb") as stream:
                    marks[file.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    template = _chat_template(path)
    marks["chat_template"] = hashlib.sha256(template.encode()).hexdigest() if template else ""
    return marks


def num_parameters(path: Path) -> int:
    """Numbers in the model's weights, as its safetensors headers have them: tied ones once, packed
    ones as packed, all experts of a mixture. Raises ConfigError for a torn file.
    """
    index = path / "model.safetensors.index.json"
    files = sorted(path.glob("*.safetensors"))
    if index.is_file():
        # Beside the shards some repositories keep the same weights in one more file.
        named = set(_read_json(index).get("weight_map", {}).values())
        files = [file for file in files if file.name in named]
    return sum(map(_num_values, files))


def _num_values(file: Path) -> int:
    try:
        tensors = json.loads(_header(file))
    except ValueError:
        raise ConfigError(f"{file} is not a whole safetensors file; fetch it again") from None
    tensors.pop("__metadata__", None)
    return sum(math.prod(tensor["shape"]) for tensor in tensors.values())


def _header_digest(file: Path) -> str:
    """sha-256 of a safetensors header and the file's size."""
    return hashlib.sha256(_header(file) + str(file.stat().st_size).encode()).hexdigest()


def _header(file: Path) -> bytes:
    """The header of a safetensors file, JSON. Raises ConfigError for a torn file.

    Source: safetensors format: 8 bytes little-endian length of the header, then the header (JSON).
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        prefix = stream.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else size
        if length > size - 8:
            raise ConfigError(f"{file} is not a whole safetensors file; fetch it again")
        return stream.read(length)


def _chat_template(path: Path) -> str:
    """The template's text; several named ones as JSON; "" where there is none."""
    file = path / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    config = path / "tokenizer_config.json"
    template = _read_json(config).get("chat_template") if config.is_file() else None
    if template is None or isinstance(template, str):
        return template or ""
    return json.dumps(template, sort_keys=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't read {path}: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: wanted a JSON object, got {type(content).__name__}")
    return content
