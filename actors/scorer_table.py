"""Scorers by name: how each is made, what it needs, and whether it can work."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from actors import judge
from actors.config import ModelConfig
from actors.engines import ENGINES, Served
from actors.reward_models.pairwise import Preferred
from actors.reward_models.pointwise import Rewarded
from actors.reward_models.process import Stepwise
from actors.role_config import Scale, ScorerConfig
from actors.roles import Model, Scorer
from actors.scorers import Consensus, Likelihood, MeanLogprob, PTrue, Recorded, SelfCertainty
from actors.types import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerSpec:
    """A scorer by name: how it is made, and what its values are."""

    make: Callable[[ScorerConfig, Model | None], Scorer] | None
    """None: it is made by another table, of actors.judge."""
    scale: Scale
    summary: str
    needs: tuple[str, ...] = ()
    """Fields of ScorerConfig that must be set."""
    asks: Served = "text"
    """What its model must serve (`EngineSpec.serves`)."""
    is_relative: bool = False
    """Its scores depend on which candidates were compared."""


SCORERS: Mapping[str, ScorerSpec] = {
    "mean_logprob": ScorerSpec(
        make=MeanLogprob, scale="logprob", summary="mean log-probability per generated token"
    ),
    "self_certainty": ScorerSpec(
        make=SelfCertainty,
        scale="softmax",
        summary="distance of the next-token distributions from flat",
    ),
    "p_true": ScorerSpec(
        make=PTrue,
        scale="probability",
        summary="the hosted weights asked whether the answer is right",
        needs=("model",),
    ),
    "recorded": ScorerSpec(
        make=Recorded,
        scale="softmax",
        needs=("field",),
        summary="a score that came with a replayed candidate",
    ),
    "reward": ScorerSpec(
        make=Rewarded,
        scale="softmax",
        summary="a hosted reward model: ArmoRM, or sequence classification",
        needs=("model",),
        asks="reward",
    ),
    "states": ScorerSpec(
        make=Rewarded,
        scale="softmax",
        summary="no verdict: the hidden states that `lilliput train-reward` fits heads on",
        needs=("model",),
        asks="states",
    ),
    "likelihood": ScorerSpec(
        make=Likelihood,
        scale="logprob",
        summary="how likely a model finds the text after the prompt, per token",
        needs=("model",),
    ),
    "pairwise": ScorerSpec(
        make=Preferred,
        scale="probability",
        summary="a preference model that is shown two candidates at a time, in both orders",
        needs=("model",),
        is_relative=True,
    ),
    "process": ScorerSpec(
        make=Stepwise,
        scale="probability",
        summary="a process reward model: one score for each step of the candidate",
        needs=("model",),
    ),
    "consensus": ScorerSpec(
        make=Consensus,
        scale="logprob",
        summary="what the rankers of the Consensus Game read: G, MI, SC, D, MI*, equilibrium",
        needs=("model",),
    ),
    "judge": ScorerSpec(
        make=None,
        scale="softmax",
        summary="a language model's written verdict on each candidate, on a scale; or a jury's",
    ),
    "judge_pairwise": ScorerSpec(
        make=None,
        scale="probability",
        summary="a language model's written verdict on two candidates at a time, in both orders",
        is_relative=True,
    ),
    "judge_kway": ScorerSpec(
        make=None,
        scale="probability",
        summary="the candidate that a language model chooses of all, in several shuffled orders",
        is_relative=True,
    ),
}


def check_scorer(name: str, config: ScorerConfig, models: Mapping[str, ModelConfig]) -> None:
    """Refuse a scorer that can't work. Raises ConfigError for kind, model and field."""
    where = f"roles.scorers.{name}"
    if config.kind not in SCORERS:
        raise ConfigError(f"{where}: unknown scorer {config.kind!r}; known: {', '.join(SCORERS)}")
    for named in filter(None, (*config.asked, config.discriminator)):
        if named not in models:
            raise ConfigError(f"{where}: there is no model {named!r} under models")
        check_serves(where, named, models[named], SCORERS[config.kind].asks)
    if config.discriminator is not None and config.kind != "consensus":
        raise ConfigError(f"{where}: discriminator is for kind 'consensus', not {config.kind!r}")
    for key in SCORERS[config.kind].needs:
        if getattr(config, key) is None:
            raise ConfigError(f"{where}: kind {config.kind!r} needs {key}")
    if config.kind not in judge.JUDGES and config.models:
        raise ConfigError(f"{where}: models is for {', '.join(judge.JUDGES)}, not {config.kind!r}")
    if config.kind in judge.JUDGES:
        try:
            judge.check(config)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None


WANTED: Mapping[Served, str] = {
    "text": "a model that generates",
    "reward": "a reward model",
    "states": "a body without a head",
}


def check_serves(where: str, name: str, model: ModelConfig, asks: Served) -> None:
    """Refuse a model that can't do what is asked of it there. Raises ConfigError."""
    if asks not in ENGINES[model.engine].serves:
        able = [engine for engine, spec in ENGINES.items() if asks in spec.serves]
        raise ConfigError(
            f"{where}: wanted {WANTED[asks]} (engine {' or '.join(able)}), and model {name!r} has "
            f"engine {model.engine!r}"
        )


def make_scorer(
    name: str, config: ScorerConfig, models: Mapping[str, Model], *, seed: int = 0
) -> Scorer:
    """Build the scorer that the config calls `name`, which `check_scorer` has let pass. seed: the
    run's.
    """
    if config.kind in judge.JUDGES:
        return judge.JUDGES[config.kind](config, [models[juror] for juror in config.asked], seed)
    model = None if config.model is None else models[config.model]
    if config.discriminator is not None:
        return Consensus(config, model, models[config.discriminator])
    make = SCORERS[config.kind].make
    assert make is not None, "what has no maker is a judge"
    return make(config, model)
