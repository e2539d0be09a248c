"""What a config must bind for the rankers it names, checked before any model loads."""

from typing import Any

from actors.engines.replay import decodings
from actors.judge import MOST_SHOWN
from actors.types import ConfigError
from pipelines import decoding, rank
from pipelines.agreement import SCORER
from pipelines.config import RunConfig
from pipelines.methods.consensus import READS
from pipelines.rankers import scorer_of
from results.pools import OF, Decoding


def check_rankers(config: RunConfig, method_config: Any) -> bool:
    """Whether the method draws and ranks. Raises ConfigError for what its rankers lack."""
    if isinstance(method_config, decoding.Config):
        _check_names(config)
        method_config = method_config.ranked()
    if not isinstance(method_config, rank.Config):
        return False
    for name, judge in config.roles.scorers.items():
        if judge.kind == "judge_kway" and method_config.n > MOST_SHOWN:
            raise ConfigError(
                f"roles.scorers.{name}: judge_kway shows at most {MOST_SHOWN} candidates at once, "
                f"and pipeline.n is {method_config.n}; lower it, or use judge_pairwise"
            )
    for ranker in method_config.rankers:
        scorer = scorer_of(ranker)
        if scorer in READS:
            bound_scorer = config.roles.scorers.get(SCORER)
            if bound_scorer is None or bound_scorer.kind != SCORER:
                raise ConfigError(
                    f"pipeline.rankers: {ranker!r} needs the scorer of kind {SCORER!r} under that "
                    f"name; add roles.scorers.{SCORER}: {{kind: {SCORER}, model: NAME}}"
                )
            continue
        if scorer is not None and scorer not in config.roles.scorers:
            bound = ", ".join(config.roles.scorers) or "none"
            raise ConfigError(
                f"pipeline.rankers: {ranker!r} needs the scorer {scorer!r}; this config binds "
                f"{bound}; add roles.scorers.{scorer}"
            )
    return True


def _check_names(config: RunConfig) -> None:
    names = [*config.roles.shares, *config.roles.scorers]
    if unclear := [name for name in names if OF in name]:
        raise ConfigError(f"{unclear[0]!r}: pipeline decoding has names with {OF!r} for its pools")


def check_replays(config: RunConfig, method_config: Any) -> None:
    """What was made elsewhere is decoded already: it must be what is asked for. Raises ConfigError,
    for a source that can't be read too.
    """
    asked: tuple[Decoding, ...] = ()
    swept = False
    if isinstance(method_config, decoding.Config):
        asked = method_config.decodings
        swept = {*asked} > {*method_config.base}
    elif isinstance(method_config, rank.Config):
        draws = decoding.of_draws(method_config.sampling)
        asked = (draws.greedy, draws) if method_config.greedy else (draws,)
    for name in config.roles.shares:
        model = config.models[name]
        if model.engine != "replay":
            continue
        held = {Decoding(*one) for one in decodings(model)}
        if swept and not held:
            raise ConfigError(
                f"pipeline.sweep: model {name!r} is a replay, whose candidates are decoded already "
                "and don't say how (`arm`); bind a model for each file, or leave the sweep out"
            )
        if held and (missing := [str(one) for one in asked if one not in held]):
            raise ConfigError(
                f"models.{name}: {model.path} has no candidates at {missing[0]}; it has "
                f"{', '.join(sorted(map(str, held)))}: ask for those in pipeline.sampling"
            )
