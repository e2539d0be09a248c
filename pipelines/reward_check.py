"""`lilliput check-reward`: the trust check of a model that scores, in this process."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from actors import engines
from actors.config import ModelConfig, parse
from actors.engines.base import Engine
from actors.host import Host
from actors.reward_models.trust_labels import EXAMINERS
from actors.role_config import ScorerConfig
from actors.roles import Model
from actors.scorer_table import check_scorer, compares_pairs
from actors.types import ConfigError
from pipelines.config import merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One check, as a line of the terminal."""

    name: str
    ok: bool
    text: str


def check_model(
    path: str, engine: str, overrides: Sequence[str], *, by: str | None = None
) -> Iterator[Line]:
    """Load the model and yield every check: of a reward model, or of a language model that the kind
    of scorer `by` asks for labels (`scorer.KEY=VALUE` are that scorer's settings).

    Raises ConfigError for a model of the other sort.
    """
    data = merge({"path": path, "engine": engine}, overrides, "check-reward")
    settings = data.pop("scorer", {})
    config = parse(ModelConfig, data, "model")
    engines.check("model", config)
    if by is None:
        if settings:
            raise ConfigError("scorer: its settings are for --by pairwise and --by process")
        yield from _head(config)
    else:
        yield from _labels(config, by, settings)


def _head(config: ModelConfig) -> Iterator[Line]:
    from actors.reward_models.trust import examine

    hosted = engines.build(config)
    if isinstance(hosted, Engine):
        raise ConfigError(
            f"engine {config.engine!r} hosts a language model; `check-reward` checks reward models "
            f"(--engine reward, or pairrm), and one that is asked for labels with --by "
            f"{' or '.join(EXAMINERS)}"
        )
    with asyncio.Runner() as loop:
        try:
            yield from map(_line, loop.run(examine(hosted, config)))
        finally:
            loop.run(hosted.close())


def _labels(config: ModelConfig, by: str, settings: Any) -> Iterator[Line]:
    if by not in EXAMINERS:
        raise ConfigError(f"--by: wanted {' or '.join(EXAMINERS)}, got {by!r}")
    scorer = parse(ScorerConfig, {"kind": by, "model": "model", **settings}, "scorer")
    check_scorer("model", scorer, {"model": config})
    if compares_pairs(scorer, {"model": config}):
        raise ConfigError(f"engine {config.engine!r} reads no labels; leave --by out")
    host = Host("model", config)
    with asyncio.Runner() as loop:
        try:
            loop.run(host.start())
            # It gives labels as any Model does; only its other calls are shaped for the cluster.
            yield from map(_line, loop.run(EXAMINERS[by](scorer, cast(Model, host), config)))
        finally:
            loop.run(host.stop())


def _line(check: Any) -> Line:
    text = check.got if check.passed else f"wanted {check.wanted}, got {check.got}"
    return Line(name=check.name, ok=check.passed, text=text)
