"""The roles of a method: what a config binds to them, checked before any model loads, then made.

signature of `solve`, roles of the config --> ConfigError, or --hosted models--> its arguments
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from actors.judge_table import JUDGES
from actors.role_config import ScorerConfig
from actors.roles import Generator, Model, Scorer
from actors.scorer_table import check_scorer, check_serves, make_scorer
from actors.types import ConfigError
from pipelines.base import needed_roles
from pipelines.config import RunConfig

BOUND = frozenset({"generator", "blend", "members", "scorers", "likelihood", "discriminator"})
"""Roles that `bind` can give to a method."""


def bind(config: RunConfig, method: Any, models: Mapping[str, Model]) -> dict[str, Any]:
    """The roles that the method asks for, made of hosted models."""
    from actors.blend import Blend
    from actors.generator import ModelGenerator

    roles, seed = config.roles, config.seed
    tops = [s.top for s in roles.scorers.values() if s.kind == "self_certainty"]
    members: dict[str, Generator] = {
        name: ModelGenerator(models[name], seed=seed, top_logprobs=max(tops, default=0))
        for name in roles.shares
    }
    blend, first = Blend(members, roles.shares, seed=seed), next(iter(members))
    scorers: dict[str, Scorer] = {
        name: make_scorer(name, scorer, models, seed=seed, hosts=config.models)
        for name, scorer in roles.scorers.items()
    }
    bound = {
        "generator": members[first] if isinstance(roles.generator, str) else blend,
        "blend": blend,
        "members": members,
        "scorers": scorers,
        "likelihood": models[first],
        "discriminator": models[roles.discriminator or first],
    }
    return {name: bound[name] for name in needed_roles(method)}


def check_roles(config: RunConfig, method: Any) -> None:
    """Refuse roles that the method can't be given. Raises ConfigError."""
    needed = needed_roles(method)
    _check_members(config, needed)
    for role, name, scorer in _everyone(config):
        check_scorer(name, scorer, config.models, role=role)
        _check_asked(f"roles.{role}.{name}", scorer, config, needed)
    tops = {s.top for s in config.roles.scorers.values() if s.kind == "self_certainty"}
    if len(tops) > 1:
        raise ConfigError(
            f"roles.scorers: all self_certainty scorers need the same top, got {tops}"
        )
    _check_weights(config, needed)
    if missing := set(needed) - BOUND:
        raise ConfigError(
            f"pipeline {config.pipeline['name']} needs roles that can't be bound: {missing}"
        )


def _played(config: RunConfig) -> list[tuple[str, str]]:
    """Role and model, of those that generate or discriminate."""
    played = [("generator", name) for name in config.roles.shares]
    if config.roles.discriminator is not None:
        played.append(("discriminator", config.roles.discriminator))
    return played


def _everyone(config: RunConfig) -> Iterator[tuple[str, str, ScorerConfig]]:
    """Role, name and config, of those that score or grade."""
    for name, scorer in config.roles.scorers.items():
        yield "scorers", name, scorer
    for name, grader in config.roles.graders.items():
        yield "graders", name, grader


def _check_members(config: RunConfig, needed: Sequence[str]) -> None:
    """As many models as the method wants, that there are and that write text."""
    roles, there = config.roles, ", ".join(config.models)
    for role, model in _played(config):
        if model not in config.models:
            raise ConfigError(f"roles.{role}: no model {model!r} under models; there are: {there}")
        if needed != ["scorers"]:
            check_serves(f"roles.{role}", model, config.models[model], "text")
    name = config.pipeline["name"]
    if ("members" in needed) != isinstance(roles.generator, tuple) and len(roles.shares) > 1:
        wanted = "several models as a list, [a, b]"
        if "members" not in needed:
            wanted = "one model, or a blend of several, {blend: [a, b]}"
        raise ConfigError(f"roles.generator: pipeline {name} wants {wanted}")
    if "likelihood" in needed and len(roles.shares) > 1:
        raise ConfigError(
            f"roles.generator: pipeline {name} asks one model for likelihoods, got a blend of "
            f"{', '.join(roles.shares)}; name one of them"
        )


def _check_asked(
    where: str, scorer: ScorerConfig, config: RunConfig, needed: Sequence[str]
) -> None:
    """A scorer's models have weights, and candidates of others to judge."""
    for asked in scorer.asked:
        if config.models[asked].engine == "replay":
            raise ConfigError(f"{where}: model {asked!r} is a replay, without weights to ask")
    if (
        scorer.kind in JUDGES
        and needed != ["scorers"]
        and scorer.asked == tuple(config.roles.shares)
        # Of a jury each hears of the others' candidates too.
        and len(scorer.asked) == 1
        and not scorer.judge.judges_itself
    ):
        raise ConfigError(
            f"{where}: model {scorer.asked[0]!r} would judge nothing but its own candidates; name "
            "another model, or allow it with judge.judges_itself: true"
        )


def _check_weights(config: RunConfig, needed: Sequence[str]) -> None:
    """What is asked for more than its replies is no replay of them."""
    for role, purpose in (("likelihood", "ask for likelihoods"), ("blend", "talk to")):
        for _, model in _played(config) if role in needed else ():
            if config.models[model].engine == "replay":
                raise ConfigError(
                    f"pipeline {config.pipeline['name']}: model {model!r} is a replay, without "
                    f"weights to {purpose}; name a model with weights"
                )
