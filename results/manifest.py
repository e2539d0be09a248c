"""run.json: what was asked of a run, and what is known about how it was done."""

import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from results.costs import Member
from results.directories import Directory, Where, open_directory
from results.errors import ResultsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was asked, and what is known about how it was done.

    Manifest(identity={"task": {"name": "gsm8k"}, "seed": 0, "data": "9f2c"},
             about={"limited": False, "started": "2026-05-01T12:00:00Z"})
    """

    identity: dict[str, Any]
    """All that decides results, as JSON. A directory takes no other. `data`: fingerprint of the
    rows."""
    digest: str = ""
    """Of the identity; filled in when empty."""
    about: dict[str, Any] = field(default_factory=dict)
    """Versions, hardware, started, finished, usage; `limited`: the items are a subset."""

    def __post_init__(self) -> None:
        if not self.digest:
            text = json.dumps(self.identity, sort_keys=True)
            object.__setattr__(self, "digest", sha256(text.encode()).hexdigest()[:16])

    @property
    def limited(self) -> bool:
        return bool(self.about.get("limited"))

    @property
    def members(self) -> dict[str, Member]:
        """The models that generate, by name."""
        return {name: Member(**kept) for name, kept in self.about.get("members", {}).items()}


def read_manifest(run_dir: Where) -> Manifest:
    """The manifest of a run directory. Raises ResultsError where there is none, or a broken one."""
    directory = open_directory(run_dir)
    try:
        kept = json.loads(directory.get("run.json"))
        return Manifest(identity=kept["identity"], digest=kept["digest"], about=kept["about"])
    except (FileNotFoundError, NotADirectoryError):
        raise ResultsError(
            f"wanted a run directory, got {directory} without run.json; "
            "give the directory that `lilliput run` printed"
        ) from None
    except OSError as error:
        raise ResultsError(
            f"wanted to read {directory}/run.json, got {error.strerror or error}; "
            f"{directory.advice}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(
            f"wanted a manifest in {directory}/run.json, got {error!r}; "
            "restore the file, or run again in another directory"
        ) from error


def find_runs(where: Where) -> dict[str, Directory]:
    """The run directory itself, or those in a folder of runs, by name.

    Raises ResultsError where there is neither.
    """
    place = open_directory(where)
    try:
        names = place.names()
        if "run.json" not in names and isinstance(where, str | Path):
            inner = {name: open_directory(f"{str(where).rstrip('/')}/{name}") for name in names}
            found = {name: run for name, run in inner.items() if "run.json" in _names(run)}
        else:
            found = {}
    except OSError as error:
        raise ResultsError(
            f"wanted to read {place}, got {error.strerror or error}; {place.advice}"
        ) from error
    if not found:
        read_manifest(place)
    return found or {place.name: place}


def settle(directory: Directory, manifest: Manifest, *, committed: bool) -> Manifest:
    """The manifest to go on with: the one that is there, if its identity is the same.

    Raises ResultsError that names the field in which the identities differ.
    """
    asked = json.loads(json.dumps(asdict(manifest), default=str))
    if "run.json" not in directory.names():
        return Manifest(**asked)
    kept = read_manifest(directory)
    if not committed:
        # Nothing was committed under the old identity, so nothing can be mixed up.
        return Manifest(**asked)
    difference = first_difference(kept.identity, asked["identity"])
    if difference:
        name, wanted, got = difference
        raise ResultsError(
            f"{directory} holds a run with {name} = {wanted!r}, got {name} = {got!r}; "
            "give another --output, or --fresh to begin beside it"
        )
    # Where and when the first part was made stays known; each later start adds its own.
    first = {**asked["about"], **kept.about}
    starts = [*kept.about.get("continued", []), asked["about"]]
    about = {**first, "continued": starts} if kept.about.get("started") else first
    return Manifest(identity=kept.identity, digest=kept.digest, about=about)


def _names(directory: Directory) -> list[str]:
    try:
        return directory.names()
    except NotADirectoryError:
        return []


def first_difference(wanted: Any, got: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """Dotted name and the two values of the first place where two JSON values differ; None:
    equal."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        missing = "(absent)"
        # In the order given: what a user wrote comes before what was derived from it.
        for key in dict.fromkeys([*wanted, *got]):
            inner = f"{name}.{key}" if name else key
            found = first_difference(wanted.get(key, missing), got.get(key, missing), inner)
            if found:
                return found
        return None
    return None if wanted == got else (name, wanted, got)
