"""From a name or a YAML file and `key=value` overrides to one validated run."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import Field

from actors.config import ModelConfig, RolesConfig, StrictConfig, parse
from actors.types import ConfigError
from cluster.config import ClusterConfig


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
    cluster: ClusterConfig = ClusterConfig()
    output: str = "runs"
    """Directory that run directories are made in; `--output DIR` names one run directory
    instead."""
    shard_size: int | None = Field(None, ge=1)
    """Items that are committed together; None: from 16 to 1024, by the number of items."""
    max_failed: float = Field(0.0, ge=0.0)
    """Failed items that a run may have and still end with exit code 0: a share below 1, a count
    from 1 on."""


def load(config: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a config by path or by shipped name; `a.b=value` overrides win over the file.

    Raises ConfigError for a missing file, bad YAML, an unknown key, a wrong type or an unresolved
    interpolation.
    """
    from omegaconf import DictConfig, OmegaConf
    from yaml import YAMLError

    path = find(config)
    try:
        content = OmegaConf.load(path)
    except (YAMLError, OSError, ValueError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, DictConfig):
        raise ConfigError(f"{path}: wanted a mapping of config keys")
    written: Any = OmegaConf.to_container(content)
    return override({"name": path.stem, **written}, overrides, str(path))


def override(
    config: Mapping[str, Any], overrides: Sequence[str], where: str = "config"
) -> RunConfig:
    """Merge `a.b=value` overrides into a config, resolve interpolations, validate. Raises
    ConfigError.
    """
    return parse(RunConfig, merge(config, overrides, where))


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
    path = Path(config)
    if path.is_file():
        return path
    known = shipped()
    if config in known:
        return known[config]
    raise ConfigError(f"no config {config!r}: it is neither a file nor one of {', '.join(known)}")


def shipped() -> Mapping[str, Path]:
    """The configs that come with Lilliput, by name."""
    # A package of YAML alone has no __init__.py, and importlib.resources can't open such a package
    # when it is installed in editable mode.
    spec = find_spec("configs")
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    found = [path for folder in folders if folder.is_dir() for path in folder.glob("*.yaml")]
    return {path.stem: path for path in sorted(found)}
