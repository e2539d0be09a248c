"""A reward model's body alone, as a directory that vLLM loads as a language model.

vLLM refuses tensors that it doesn't know. Files of the body are links; of a file that holds tensors
of the head too there is a copy without them, made once and kept with the other caches.
"""

import json
import os
import re
import shutil
from hashlib import sha256
from pathlib import Path

from platformdirs import user_cache_path
from safetensors import safe_open
from safetensors.torch import save_file

from actors.models import fingerprint
from actors.reward_models import read_config

HEAD = re.compile(r"(score|regression_layer|gating)\.|reward_transform_matrix")
"""Names of the heads' tensors, in all families."""
FAMILY = re.compile(r"For\w+\Z")
"""What an architecture's name ends in."""


def body_of(directory: Path) -> Path:
    """The body's directory; made unless it is there. Raises ConfigError, OSError."""
    name = f"{directory.name}-{sha256(repr(fingerprint(directory)).encode()).hexdigest()[:12]}"
    place = user_cache_path("lilliput") / "bodies" / name
    if place.is_dir():
        return place
    making = place.with_name(f"{name}.{os.getpid()}.tmp")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for file in sorted(directory.iterdir()):
        # The index would name the head's tensors, and nothing is missed without one.
        if file.is_file() and file.name != "model.safetensors.index.json":
            _put(file, making / file.name)
    config = read_config(directory)
    (architecture,) = config["architectures"]
    config["architectures"] = [FAMILY.sub("ForCausalLM", architecture)]
    target = making / "config.json"
    target.unlink()
    target.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    try:
        making.rename(place)
    except OSError:
        # Another process was first.
        shutil.rmtree(making, ignore_errors=True)
    return place


def _put(file: Path, target: Path) -> None:
    if file.suffix == ".safetensors":
        with safe_open(str(file), framework="pt") as tensors:
            held = list(tensors.keys())
            body = [name for name in held if not HEAD.match(name)]
            if not body:
                return
            if len(body) < len(held):
                save_file({name: tensors.get_tensor(name) for name in body}, str(target))
                return
    target.symlink_to(file.resolve())
