"""Scorers by name: how each is made, what it needs, and whether it can work."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from actors import judge_table
from actors.config import ModelConfig
from actors.engines import ENGINES, Served
from actors.reward_models.encoder import Encoded
from actors.reward_models.pairwise import Preferred
from actors.reward_models.pointwise import Rewarded
from actors.reward_models.process import Stepwise
from actors.reward_models.trust import refuse
from actors.reward_models.trust_labels import EXAMINERS
from actors.role_config import Scale, ScorerConfig
from actors.roles import Model, Scorer
from actors.scorers import Consensus, Likelihood, MeanLogprob, PTrue, Recorded, SelfCertainty
from actors.types import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerSpec:
    """A scorer by name: how it is made, and what its values are."""

    make: Callable[[ScorerConfig, Model | None], Scorer] | None
    """None: it is made by another table, of actors.judge_table."""
    scale: Scale
    summary: str
    needs: tuple[str, ...] = ()
    """Fields of ScorerConfig that must be set."""
    asks: tuple[Served, ...] = ("text",)
    """What its model must serve, one of these (`EngineSpec.serves`)."""
    of_pairs: Callable[[ScorerConfig, Model | None], Scorer] | None = None
    """How it is made where the model serves `pairs`."""
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
        asks=("reward",),
    ),
    "states": ScorerSpec(
        make=Rewarded,
        scale="softmax",
        summary="no verdict: the hidden states that `lilliput train-reward` fits heads on",
        needs=("model",),
        asks=("states",),
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
        asks=("text", "pairs"),
        of_pairs=Encoded,
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
    "judge_versus": ScorerSpec(
        make=None,
        scale="probability",
        summary="a language model's written verdict on each candidate and the item's reference, in "
        "both orders",
    ),
    "judge_kway": ScorerSpec(
        make=None,
        scale="probability",
        summary="the candidate that a language model chooses of all, in several shuffled orders",
        is_relative=True,
    ),
}


def check_scorer(
    name: str, config: ScorerConfig, models: Mapping[str, ModelConfig], *, role: str = "scorers"
) -> None:
    """Refuse a scorer, or a grader, that can't work. Raises ConfigError for kind, model and
    field.
    """
    where = f"roles.{role}.{name}"
    if config.kind not in SCORERS:
        raise ConfigError(f"{where}: unknown scorer {config.kind!r}; known: {', '.join(SCORERS)}")
    for named in filter(None, (*config.asked, config.discriminator)):
        if named not in models:
            raise ConfigError(f"{where}: there is no model {named!r} under models")
        check_serves(where, named, models[named], *SCORERS[config.kind].asks)
    if config.discriminator is not None and config.kind != "consensus":
        raise ConfigError(f"{where}: discriminator is for kind 'consensus', not {config.kind!r}")
    for key in SCORERS[config.kind].needs:
        if getattr(config, key) is None:
            raise ConfigError(f"{where}: kind {config.kind!r} needs {key}")
    _check_read(where, config, models)
    if config.kind not in judge_table.JUDGES and config.models:
        raise ConfigError(
            f"{where}: models is for {', '.join(judge_table.JUDGES)}, not {config.kind!r}"
        )
    if config.kind in judge_table.JUDGES:
        try:
            judge_table.check(config)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None


def _check_read(where: str, config: ScorerConfig, models: Mapping[str, ModelConfig]) -> None:
    """Refuse settings of the other way to compare. Raises ConfigError."""
    if config.kind != "pairwise":
        return
    is_encoder = compares_pairs(config, models)
    read, instead = (
        (("prompt", "labels"), "an encoder reads one format of its own")
        if is_encoder
        else (("matrix",), "it is for an encoder, such as engine pairrm hosts")
    )
    for key in read:
        if key in config.model_fields_set and getattr(config, key) is not None:
            raise ConfigError(f"{where}.{key}: {instead}; take it out")


def compares_pairs(config: ScorerConfig, models: Mapping[str, ModelConfig]) -> bool:
    """Whether the scorer's model is an encoder that compares two replies, by its engine."""
    asked = models.get(config.model or "")
    return asked is not None and "pairs" in ENGINES[asked.engine].serves


def scale_of(config: ScorerConfig, models: Mapping[str, ModelConfig]) -> Scale:
    """How its values become voting weights: as the config says, or as its kind's values do. Those
    of an encoder are logits or counts.
    """
    own: Scale = "softmax" if compares_pairs(config, models) else SCORERS[config.kind].scale
    return config.scale or own


WANTED: Mapping[Served, str] = {
    "text": "a model that generates",
    "pairs": "an encoder of pairs",
    "reward": "a reward model",
    "states": "a body without a head",
}


def check_serves(where: str, name: str, model: ModelConfig, *asks: Served) -> None:
    """Refuse a model that can do nothing of what is asked of it there. Raises ConfigError."""
    if not ENGINES[model.engine].serves.intersection(asks):
        able = [engine for engine, spec in ENGINES.items() if spec.serves.intersection(asks)]
        wanted = " or ".join(WANTED[one] for one in asks)
        raise ConfigError(
            f"{where}: wanted {wanted} (engine {' or '.join(able)}), and model {name!r} has "
            f"engine {model.engine!r}"
        )


async def trusted(
    where: str,
    config: ScorerConfig,
    models: Mapping[str, Model],
    hosts: Mapping[str, ModelConfig],
) -> None:
    """Try the labels of a model that scores by them; an encoder of pairs was tried when it was
    loaded, and what has no weights says nothing. Raises ConfigError at the first check that fails.
    """
    if config.kind not in EXAMINERS or compares_pairs(config, hosts):
        return
    assert config.model is not None, "check_scorer lets none of these pass without a model"
    if ENGINES[hosts[config.model].engine].weights:
        check = EXAMINERS[config.kind]
        checks = await check(config, models[config.model], hosts[config.model])
        refuse(checks, f"{where}: model {config.model!r}, asked as {config.kind!r},")


def make_scorer(
    name: str,
    config: ScorerConfig,
    models: Mapping[str, Model],
    *,
    seed: int = 0,
    hosts: Mapping[str, ModelConfig] = MappingProxyType({}),
) -> Scorer:
    """Build the scorer that the config calls `name`, which `check_scorer` has let pass. seed: the
    run's. hosts: the models' configs.
    """
    if config.kind in judge_table.JUDGES:
        return judge_table.JUDGES[config.kind](
            config, [models[juror] for juror in config.asked], seed
        )
    model = None if config.model is None else models[config.model]
    if config.discriminator is not None:
        return Consensus(config, model, models[config.discriminator])
    spec = SCORERS[config.kind]
    make = spec.of_pairs if spec.of_pairs and compares_pairs(config, hosts) else spec.make
    assert make is not None, "what has no maker is a judge"
    return make(config, model)
