"""What a user can look at without a run: lists, and one rendered prompt."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from actors import judge_prompts
from actors.bundled import BUNDLED
from actors.config import ModelConfig
from actors.engines import ENGINES
from actors.models import resolve
from actors.rendering import Renderer
from actors.scorer_table import SCORERS
from actors.types import ConfigError, Preview
from pipelines import rankers
from pipelines.config import load, merge, shipped, shipped_gates
from pipelines.methods.consensus import SUMMARIES
from pipelines.tasks import TASKS, load_task, summary


def listing(what: str) -> list[tuple[str, str]]:
    """Names and one line each."""
    tables: dict[str, Any] = {
        "tasks": lambda: [(name, summary(name)) for name in TASKS],
        "models": lambda: [(f"bundled:{name}", model.summary) for name, model in BUNDLED.items()],
        "engines": lambda: [(name, spec.summary) for name, spec in ENGINES.items()],
        "rankers": lambda: list(
            zip(
                rankers.names(),
                [*(r.summary for r in rankers.RANKERS.values()), *SUMMARIES.values()],
                strict=True,
            )
        ),
        "scorers": lambda: [(name, spec.summary) for name, spec in SCORERS.items()],
        "judges": lambda: [
            (name, _first_comment(path)) for name, path in judge_prompts.shipped().items()
        ],
        "configs": lambda: [(name, _first_comment(path)) for name, path in shipped().items()],
        "gates": lambda: [(name, _first_comment(path)) for name, path in shipped_gates().items()],
    }
    pairs: list[tuple[str, str]] = tables[what]()
    return pairs


def show(task: str, overrides: Sequence[str], model: str, index: int) -> str:
    """One rendered prompt: settings, messages, text, token ids and BOS count.

    Raises ConfigError for an unknown task or model, or an index that the task doesn't have.
    """
    if task in TASKS or task.startswith("lm_eval:"):
        loaded = load_task(merge({"name": task}, overrides, "overrides"))
        hosted = [ModelConfig(path=model)]
    else:
        config = load(task, overrides)
        loaded = load_task(config.task)
        hosted = [config.models[name] for name in config.roles.shares]
    item = next(islice(loaded.items(), index, None), None)
    if item is None:
        raise ConfigError(f"--item {index}: the task has {loaded.num_items} items")
    lines = [f"item {item.id} of {loaded.name}", f"reference: {item.reference}"]
    lines += [f"[{m.role}] {m.content}" for m in item.messages]
    lines += [f"[user, after a reply] {text}" for text in item.follow_ups]
    if item.prompt:
        lines += ["scored by likelihood (pipeline choice):", item.prompt]
        lines += [f"  {text!r}" for text in item.continuations]
    for each in hosted:
        if ENGINES[each.engine].weights:
            renderer = Renderer(resolve(each).path, template=each.template)
            lines += _rendered(renderer.preview(item.messages))
    return "\n".join(lines)


def _rendered(preview: Preview) -> list[str]:
    digest = f", sha-256 {preview.template_hash}" if preview.template_hash else ""
    ids = list(preview.ids)
    return [
        f"template: {preview.template}{digest}",
        "rendered prompt:",
        preview.text,
        f"{len(ids)} token ids, {preview.num_bos} BOS at the start: {ids}",
    ]


def _first_comment(path: Any) -> str:
    first: str = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip()
