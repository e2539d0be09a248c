"""`lilliput check-reward`: the trust check of a reward model alone, in this process."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from actors import engines
from actors.config import ModelConfig, parse
from actors.engines.base import Engine
from actors.types import ConfigError
from pipelines.config import merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One check, as a line of the terminal."""

    name: str
    ok: bool
    text: str


def check_model(path: str, engine: str, overrides: Sequence[str]) -> Iterator[Line]:
    """Load the model and yield every check. Raises ConfigError for what is no reward model."""
    from actors.reward_models.trust import examine

    data = merge({"path": path, "engine": engine}, overrides, "check-reward")
    config = parse(ModelConfig, data, "model")
    engines.check("model", config)
    hosted = engines.build(config)
    if isinstance(hosted, Engine):
        raise ConfigError(
            f"engine {engine!r} hosts a language model; `check-reward` checks reward models "
            f"(--engine reward, or pairrm)"
        )
    with asyncio.Runner() as loop:
        try:
            for check in loop.run(examine(hosted, config)):
                text = check.got if check.passed else f"wanted {check.wanted}, got {check.got}"
                yield Line(name=check.name, ok=check.passed, text=text)
        finally:
            loop.run(hosted.close())
