"""What judges are asked: prompts that ship as configs/judges/NAME.yaml, or a text of the user's.

What is judged is quoted: every line of it begins with `> `, whatever line breaks it holds. So a
candidate can't end its quotation, and what a judge repeats of it is never read as a verdict
(`actors.verdicts`). It can still argue with the judge.
"""

import hashlib
import re
from collections.abc import Mapping
from importlib.util import find_spec
from math import ceil, floor
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from actors.config import StrictConfig, parse
from actors.consensus import filled
from actors.role_config import ScorerConfig
from actors.types import ConfigError, Item

Form = Literal["scale", "pair", "choice"]

NEEDS: Mapping[Form, tuple[str, ...]] = {
    "scale": ("answer",),
    "pair": ("a", "b"),
    "choice": ("answers",),
}
"""What a prompt must quote, by its form."""
DEFAULTS: Mapping[Form, str] = {
    "scale": "additive5",
    "pair": "mt_bench_pair",
    "choice": "best_of_several",
}
"""The prompt that a judge has which names none."""


class Published(StrictConfig):
    """What the marks of a scale are called, and range over, in published figures."""

    name: str
    low: float
    high: float


class JudgePrompt(StrictConfig):
    """A prompt and how its verdict is read."""

    form: Form
    """`scale`: one candidate and a number; `pair`: two and one of the labels of `worth`; `choice`:
    all and a letter."""
    prompt: str
    """`{question}` and `{reference}` may be filled in, and what `NEEDS` says must; each on a line
    of its own."""
    verdict: str
    """The form in which the reply gives its verdict: `Score: {verdict}`."""
    low: float = 0.0
    """Of a scale."""
    high: float = 1.0
    published: Published | None = None
    """Of a scale, where published figures have another one."""
    worth: dict[str, Annotated[float, Field(ge=0.0, le=1.0)]] = Field(
        {"A": 1.0, "B": 0.0, "C": 0.5}, min_length=2
    )
    """Of a pair: the labels of a verdict, and what each says of the first: better (1), worse (0),
    a tie (0.5)."""
    weight: dict[str, Annotated[float, Field(gt=0.0)]] = Field(default_factory=dict)
    """Of a pair: labels whose bout with a baseline (`judge_versus`) counts for more, or less, than
    one in a ranking."""

    @model_validator(mode="after")
    def _quotes(self) -> Self:
        for name in NEEDS[self.form]:
            if f"{{{name}}}" not in self.prompt:
                raise ValueError(f"wanted {{{name}}} in it, got none")
        for name in ("question", "reference", *NEEDS[self.form]):
            mentions = self.prompt.count(f"{{{name}}}")
            if len(re.findall(rf"^\{{{name}\}}$", self.prompt, re.MULTILINE)) < mentions:
                raise ValueError(f"wanted {{{name}}} alone on its line, to be quoted there")
        return self

    @model_validator(mode="after")
    def _labels(self) -> Self:
        if unknown := self.weight.keys() - self.worth.keys():
            raise ValueError(f"weight: wanted labels of worth, got {', '.join(sorted(unknown))}")
        return self

    @property
    def marks(self) -> dict[int, str]:
        """The whole numbers of a scale, as a verdict writes them."""
        return {mark: str(mark) for mark in range(ceil(self.low), floor(self.high) + 1)}

    @property
    def digest(self) -> str:
        """sha-256 of all of it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def fill(self, item: Item, **values: str) -> str:
        """The prompt about this item; values are put in as they are: see `quoted`."""
        question, reference = quoted(item.asked), quoted(item.reference)
        return filled(self.prompt, question=question, reference=reference, **values)


def shipped() -> dict[str, Path]:
    """The prompts that come with Lilliput, by name."""
    spec = find_spec("configs")
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    return {
        path.stem: path for folder in folders for path in sorted((folder / "judges").glob("*.yaml"))
    }


def prompt_of(config: ScorerConfig, form: Form) -> JudgePrompt:
    """The prompt that a judge's config names or writes out. Raises ConfigError."""
    wanted, known = config.prompt or DEFAULTS[form], shipped()
    if wanted in known:
        data: dict[str, Any] = yaml.safe_load(known[wanted].read_text(encoding="utf-8"))
    elif "{" in wanted:
        data = {"form": form, "prompt": wanted, "verdict": config.judge.verdict}
        if form == "scale":
            data |= {"low": config.judge.low, "high": config.judge.high}
    else:
        names = " and ".join(f"{{{name}}}" for name in NEEDS[form])
        raise ConfigError(
            f"prompt: no judge's prompt is called {wanted!r}; known: {', '.join(known)}; or write "
            f"one out, with {names}"
        )
    found = parse(JudgePrompt, data, "prompt")
    if found.form != form:
        raise ConfigError(
            f"prompt: {wanted!r} is for verdicts of the form {found.form}, not {form}"
        )
    return found


def quoted(text: str) -> str:
    """Each line behind `> `."""
    return "\n".join(f"> {line}" for line in text.splitlines() or [""])
