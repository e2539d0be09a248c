"""From a name or a YAML file and `key=value` overrides to one validated run."""

import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from actors.config import ModelConfig, StrictConfig, parse
from actors.role_config import RolesConfig
from actors.sandbox.config import SandboxConfig
from actors.types import ConfigError
from cluster.config import ClusterConfig

GATES = "gates/"
"""In front of the names of gate policies among the YAML files."""
PLACE = re.compile(r"(?P<list>task|pipeline)\.(?P<number>\d+)\.(?P<change>.+)", re.DOTALL)
"""A change to one of several tasks or pipelines."""


class Price(StrictConfig):
    """What a model costs, in any one currency: by the token or by the hour."""

    read: float | None = Field(None, ge=0.0)
    """Per million prompt tokens."""
    generated: float | None = Field(None, ge=0.0)
    """Per million."""
    device_hour: float | None = Field(None, ge=0.0)
    """Of a GPU, or of a CPU where the model uses no GPU; paid for while replicas are at work."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        by_token = (self.read, self.generated) != (None, None)
        if by_token == (self.device_hour is not None):
            raise ValueError("wanted read and generated, or device_hour: one way to pay")
        return self


class RunConfig(StrictConfig):
    """One experiment."""

    name: str
    """Of the run directory; the config file's stem unless it says otherwise."""
    seed: int = 0
    """Root of every candidate's seed."""
    task: dict[str, Any]
    """`name` picks the task; the rest is that task's own config."""
    pipeline: dict[str, Any]
    """`name` picks the method; the rest is that method's own config."""
    models: dict[str, ModelConfig] = Field(min_length=1)
    roles: RolesConfig
    sandbox: SandboxConfig = Field(default_factory=SandboxConfig)
    """Of tasks that run what a model wrote."""
    cluster: ClusterConfig = ClusterConfig()
    output: str = "runs"
    """Directory that run directories are made in; `--output DIR` names one run directory
    instead."""
    shard_size: int | None = Field(None, ge=1)
    """Items that are committed together; None: from 16 to 1024, by the number of items."""
    max_failed: float = Field(0.0, ge=0.0)
    """Failed items that a run may have and still end with exit code 0: a share below 1, a count
    from 1 on."""
    prices: dict[str, Price] = Field(default_factory=dict)
    """By model. They decide no result: `lilliput score RUN prices.NAME.read=0.2` changes them."""

    @model_validator(mode="after")
    def _prices_of_models(self) -> Self:
        if unknown := [name for name in self.prices if name not in self.models]:
            raise ConfigError(
                f"prices: no model {unknown[0]!r} under models; there are: {', '.join(self.models)}"
            )
        return self


def load_all(config: str, overrides: Sequence[str] = ()) -> list[RunConfig]:
    """The runs of a config whose `task` or `pipeline` is a list: one for each pair, named after
    what differs. `task.limit=5` changes every one of them, `task.1.limit=5` the second of a list.
    Without lists, the one run. A task may have a `pipeline` of its own, keys that take the place of
    the pipeline's: `{name: mmlu, pipeline: {n: 32}}`.

    Raises ConfigError as `load` does.
    """
    name, written = _read(config)
    data, inner = dict(written), []
    for change in overrides:
        key = change.partition("=")[0]
        value = merge({}, [change], name)[key] if key in ("task", "pipeline") else None
        if isinstance(value, list):
            data[key] = value  # A list takes the place of what the file says.
        elif (named := PLACE.match(change)) and isinstance(data.get(named["list"]), list):
            data[named["list"]] = _with(data[named["list"]], named, name)
        else:
            inner.append(change)
    tasks, pipelines = (_listed(data, key) for key in ("task", "pipeline"))
    runs: dict[str, RunConfig] = {}
    for task, pipeline in product(tasks, pipelines):
        labels = [_label(one) for one, many in ((task, tasks), (pipeline, pipelines)) if many[1:]]
        label = unique = "-".join(labels)
        while unique in runs:
            unique = f"{label}-{sum(name.startswith(label) for name in runs) + 1}"
        run = override({**data, **_for_task(task, pipeline, name)}, inner, name)
        runs[unique] = run.model_copy(update={"name": f"{run.name}/{unique}"}) if unique else run
    return list(runs.values())


def _with(parts: list[Any], named: re.Match[str], where: str) -> list[Any]:
    """A list with a change to one of its parts. Raises ConfigError where there is no such part."""
    number = int(named["number"])
    if number >= len(parts):
        raise ConfigError(
            f"{named[0]}: {named['list']} has the places 0 to {len(parts) - 1}, got {number}"
        )
    change = merge({}, [named["change"]], where)
    changed = overlaid(parts[number], change, f"{where}: {named['list']}.{number}")
    return [*parts[:number], changed, *parts[number + 1 :]]


def place(runs: Sequence[RunConfig], output: str | None) -> tuple[str, list[str]]:
    """What `--output` is to these runs of one config, given or not, and the directory of each: the
    place itself for one, a folder in it for each of several.
    """
    where = output or f"{runs[0].output.rstrip('/')}/{runs[0].name}"
    if len(runs) == 1:
        return where, [where]
    where = output.rstrip("/") if output else where.rpartition("/")[0]
    return where, [f"{where}/{run.name.rpartition('/')[2]}" for run in runs]


def _for_task(task: Any, pipeline: Any, where: str) -> dict[str, Any]:
    """Both sections, with what the task says of the pipeline merged into it."""
    if not isinstance(task, dict) or "pipeline" not in task:
        return {"task": task, "pipeline": pipeline}
    own = {key: value for key, value in task.items() if key != "pipeline"}
    return {"task": own, "pipeline": overlaid(pipeline, task["pipeline"], f"{where}: pipeline")}


def _listed(data: Mapping[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    if isinstance(value, list):
        if not value:
            raise ConfigError(f"{key}: wanted at least one, got an empty list")
        return value
    return [value] if key in data else [{}]


def _label(section: Any) -> str:
    """What a run directory is named after: a custom task's title, or a task's or method's name."""
    named = section if isinstance(section, dict) else {}
    return str(named.get("title") or named.get("name") or section).replace(":", "-")


def load(config: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a config by path or by shipped name; `a.b=value` overrides win over the file.

    Raises ConfigError for a missing file, bad YAML, an unknown key, a wrong type or an unresolved
    interpolation.
    """
    name, written = _read(config)
    if isinstance(written.get("task"), dict):
        written |= _for_task(written["task"], written.get("pipeline"), name)
    return override(written, overrides, name)


def _read(config: str) -> tuple[str, dict[str, Any]]:
    """Where a config is, and what it says."""
    path = find(config)
    return str(path), {"name": path.stem, **read_yaml(path)}


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping of keys, interpolations as they are written. Raises ConfigError."""
    from omegaconf import DictConfig, OmegaConf
    from yaml import YAMLError

    try:
        content = OmegaConf.load(path)
    except (YAMLError, OSError, ValueError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, DictConfig):
        raise ConfigError(f"{path}: wanted a mapping of config keys")
    written: Any = OmegaConf.to_container(content)
    return {str(key): value for key, value in written.items()}


def override(
    config: Mapping[str, Any], overrides: Sequence[str], where: str = "config"
) -> RunConfig:
    """Merge `a.b=value` overrides into a config, resolve interpolations, validate. Raises
    ConfigError.
    """
    return parse(RunConfig, merge(config, overrides, where))


def overlaid(config: Any, changes: Any, where: str) -> Any:
    """Plain data with other plain data laid over it. Raises ConfigError where either is no
    mapping.
    """
    from omegaconf import OmegaConf

    for part in (config, changes):
        if not isinstance(part, dict):
            raise ConfigError(f"{where}: wanted a mapping of keys, got {part!r}")
    return OmegaConf.to_container(OmegaConf.merge(config, changes))


def merge(config: Mapping[str, Any], overrides: Sequence[str], where: str) -> dict[str, Any]:
    """Plain data of a config with `a.b=value` overrides merged and interpolations resolved."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    for change in overrides:
        if "=" not in change:
            raise ConfigError(f"{change!r}: wanted key=value, such as pipeline.n=8")
    try:
        merged = OmegaConf.merge(
            OmegaConf.create(dict(config)), OmegaConf.from_dotlist([*overrides])
        )
        data: Any = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {' '.join(str(error).split())}") from None
    return {str(key): value for key, value in data.items()}


def find(config: str) -> Path:
    """The file of that path, or the shipped config of that name. Raises ConfigError that lists
    the shipped ones.
    """
    return found_in(shipped(), config, "config")


def found_in(known: Mapping[str, Path], name: str, what: str) -> Path:
    """The file of that path, or the known one of that name. Raises ConfigError that lists these."""
    path = Path(name)
    if path.is_file():
        return path
    if name in known:
        return known[name]
    raise ConfigError(f"no {what} {name!r}: it is neither a file nor one of {', '.join(known)}")


def shipped() -> Mapping[str, Path]:
    """The configs that come with Lilliput, by name."""
    # Judges' prompts and gates are no configs, nor is a manifest for Kubernetes: its first key says
    # so.
    return {
        name: path
        for name, path in shipped_yaml().items()
        if not name.startswith(("judges/", GATES))
        and not re.search(r"^apiVersion:", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def shipped_gates() -> Mapping[str, Path]:
    """The gate policies that come with Lilliput, by name."""
    found = shipped_yaml()
    return {name.removeprefix(GATES): found[name] for name in found if name.startswith(GATES)}


def shipped_yaml() -> Mapping[str, Path]:
    """All YAML files of `configs`, by their path in it without `.yaml`."""
    # A package of YAML alone has no __init__.py, and importlib.resources can't open such a package
    # when it is installed in editable mode.
    spec = find_spec("configs")
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for folder in folders
        if folder.is_dir()
        for path in sorted(folder.rglob("*.yaml"))
    }
