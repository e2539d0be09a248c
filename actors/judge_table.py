"""Judges by name: whether one can work, and what a run keeps of it."""

from collections.abc import Mapping
from itertools import permutations
from typing import Any

from actors.judge import Judge, KWay, Pointwise
from actors.judge_pairs import Pairwise, Versus
from actors.judge_prompts import JudgePrompt, prompt_of
from actors.role_config import ScorerConfig
from actors.types import ConfigError

JUDGES: Mapping[str, type[Judge]] = {
    "judge": Pointwise,
    "judge_pairwise": Pairwise,
    "judge_versus": Versus,
    "judge_kway": KWay,
}
"""By the scorer's kind."""


def check(config: ScorerConfig) -> None:
    """Refuse a judge that can't work. Raises ConfigError."""
    if bool(config.model) == bool(config.models) or len({*config.models}) < len(config.models):
        raise ConfigError(
            f"wanted model, or several different models as a jury, got model {config.model!r} and "
            f"models {list(config.models)}"
        )
    if config.judge.repeats > 1 and config.kind != "judge":
        raise ConfigError(f"judge.repeats: {config.kind!r} asks once in each order; take it out")
    if config.judge.weighted and config.kind == "judge_kway":
        raise ConfigError("judge.weighted: 'judge_kway' counts choices; take it out")
    if config.judge.repeats > 1 and config.judge.constrained:
        raise ConfigError("judge.repeats: a constrained verdict is always the same; take it out")
    prompt = prompt_of(config, JUDGES[config.kind].form)
    if config.judge.weighted and prompt.weight:
        raise ConfigError(
            "judge.weighted: the prompt's labels have weights of their own, which a mean of them "
            "has no place for; take it out, or name another prompt"
        )
    if config.judge.constrained and prompt.form == "scale" and len(prompt.marks) < 2:
        raise ConfigError(
            f"judge.constrained: wanted two whole numbers on the scale, got {prompt.low:g} to "
            f"{prompt.high:g}"
        )
    if config.judge.constrained:
        _check_ends(prompt)


def _check_ends(prompt: JudgePrompt) -> None:
    """A verdict that begins another one is always at least as likely. Raises ConfigError."""
    labels = prompt.marks.values() if prompt.form == "scale" else prompt.worth
    texts = [prompt.verdict.replace("{verdict}", label) for label in labels]
    for short, long in permutations(texts, 2):
        if long.startswith(short):
            raise ConfigError(
                f"judge.constrained: {short!r} begins {long!r}, so it is at least as likely "
                "whatever a model thinks; wanted a form that ends, such as [[{verdict}]], in "
                "judge.verdict and in the prompt"
            )


def about(config: ScorerConfig) -> dict[str, Any]:
    """What a run keeps of a judge, to be read with its scores later. Raises ConfigError."""
    form = JUDGES[config.kind].form
    prompt = prompt_of(config, form)
    return {
        "form": JUDGES[config.kind].layout or form,
        "jurors": list(config.asked),
        "repeats": config.judge.repeats,
        "weighted": config.judge.weighted,
        "low": prompt.low,
        "high": prompt.high,
        "published": prompt.published and prompt.published.model_dump(),
        "min_coverage": config.judge.min_coverage,
        "prompt": prompt.digest,
    }
