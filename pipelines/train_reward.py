"""`lilliput train-reward`: an ArmoRM-style head on the frozen features of any hosted model.

    data --run of pipeline `given`, engine `states`--> hidden states of every reply (kept, resumed)
         --ridge, one for each objective--> raw rewards --verbosity taken out--> adjusted
         --pairs, Bradley-Terry--> gate --> a model directory that the engine `reward` loads

What a reply is worth comes from the data: chosen against rejected; columns of ratings; or, of a run
directory, right candidates against wrong ones of the same item. Where replies to one prompt are
compared, features and labels are taken less their mean. A fifth of the prompts is held out: what
the head is worth is said of those alone, beside the length of the reply.
Source: Wang et al. 2024 (arXiv 2406.12845), without the two known bugs of the released script.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from actors.config import ModelConfig
from actors.models import resolve
from actors.types import ConfigError
from pipelines.config import RunConfig, override
from pipelines.execute import execute, run_directories
from pipelines.job import Job, prepare
from pipelines.methods.reward_heads import centred, ridge, transform
from results.parts import read_records
from results.stats import Interval, mean_interval

Floats = NDArray[np.float64]

PREFERENCE, VERBOSITY = "preference", "verbosity"
HELD = 5
"""One item in so many is held out."""
SCORER = "states"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line asks for."""

    data: str
    base: str
    output: str
    objectives: Sequence[str] = ()
    """Columns of ratings; none: replies are compared."""
    hidden: int = 128
    """Width of the gate's layers."""
    steps: int = 2000
    seed: int = 0
    overrides: Sequence[str] = ()


@dataclass(kw_only=True)
class Features:
    """Of all replies. `N` reply, `H` hidden state, `J` objective."""

    rows: list[str] = field(default_factory=list)
    """Replies of one row are compared with each other."""
    prompts: list[str] = field(default_factory=list)
    """A hash of what each replies to: rows may share it, and then they are held out together."""
    gate: list[Sequence[float]] = field(default_factory=list)
    last: list[Sequence[float]] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    labels: list[Sequence[float]] = field(default_factory=list)
    """NaN: no label of that objective."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How often the better of two held-out replies has the higher score, ties counting a half."""

    name: str
    value: float
    interval: Interval
    pairs: int


def train(request: Request, console: Console) -> list[Accuracy]:
    """Fit a head and write `OUTPUT/model`; returns how well it does on held-out pairs.

    Raises ConfigError for data without labels, and as a run does.
    """
    place = Path(request.output)
    if (place / "model").exists():
        raise ConfigError(f"{place / 'model'} exists: give another --output, or remove it")
    rows = _rows(request, place)
    job = prepare(_config(request, rows))
    directory = _read_states(job, place / "states", console)
    features = _gather(job, directory, request)
    _write_held_out(job, request, place / "held_out.jsonl")
    return _fit(features, request, job.config.models["model"], place / "model")


def _config(request: Request, rows: str) -> RunConfig:
    written = {
        "name": "states",
        "task": {"name": "data", "source": rows},
        "pipeline": {"name": "given"},
        "models": {"model": {"path": request.base, "engine": "states"}},
        "roles": {"generator": "model", "scorers": {SCORER: {"kind": SCORER, "model": "model"}}},
    }
    return override(written, request.overrides, "lilliput train-reward")


def _rows(request: Request, place: Path) -> str:
    """The data as a file of rows. A run directory becomes one: each item with its candidates."""
    if not (Path(request.data) / "run.json").is_file():
        return request.data
    place.mkdir(parents=True, exist_ok=True)
    path = place / "rows.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for record in read_records(request.data):
            graded = [c for c in record.candidates if c.correct is not None]
            if not graded:
                continue
            row = {
                "prompt": [{"role": m.role, "content": m.content} for m in record.messages],
                "candidates": [c.text for c in graded],
                "correct": [float(bool(c.correct)) for c in graded],
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return str(path)


def _read_states(job: Job, place: Path, console: Console) -> str:
    """Run what is owed of the hidden states; returns the run directory."""
    _, (directory,) = run_directories([job], str(place))
    for _ in execute([(job, directory)], fresh=False, console=console):
        pass
    return str(directory)


def _gather(job: Job, directory: str, request: Request) -> Features:
    found = Features()
    labelled = _labels(job, request)
    for record in read_records(directory):
        labels = next(labels for name, labels in labelled if name == record.item_id)
        prompt = _prompt(record.messages)
        for candidate, label in zip(record.candidates, labels, strict=False):
            (score,) = candidate.scores
            if score.value is None:
                continue
            half = len(score.parts) // 2
            found.rows.append(record.item_id)
            found.prompts.append(prompt)
            found.gate.append(score.parts[:half])
            found.last.append(score.parts[half:])
            found.tokens.append(score.value)
            found.labels.append(label)
    if not found.rows:
        raise ConfigError(f"{request.data}: no reply could be read; there is nothing to fit on")
    return found


def _labels(job: Job, request: Request) -> Iterator[tuple[str, list[list[float]]]]:
    """Of each row, the labels of its replies. [reply][J]"""
    task: Any = job.task
    for row in task.source.rows():
        form = task.form(row)
        if request.objectives:
            if form != "one":
                raise row.error(f"ratings of {form} replies; ratings are of one reply in a row")
            rated = [_number(row, name) for name in request.objectives]
            yield task.row_name(row), [rated]
        elif form == "pair":
            yield task.row_name(row), [[1.0], [0.0]]
        elif form == "many" and isinstance(row.fields.get("correct"), list):
            yield task.row_name(row), [[float(value)] for value in row.fields["correct"]]
        else:
            raise row.error(
                "no label; wanted chosen and rejected, candidates with a list `correct`, a run "
                "directory, or columns of ratings named by --objective"
            )


def _number(row: Any, name: str) -> float:
    value = row.fields.get(name)
    if value is None or value == "":
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise row.error(f"{value!r} in field {name!r}, where a number is needed") from None


def _write_held_out(job: Job, request: Request, path: Path) -> None:
    """The rows that were held out, for other scorers to be compared on."""
    task: Any = job.task
    with path.open("w", encoding="utf-8") as file:
        for row in task.source.rows():
            if held_out(_prompt(task.item(row).messages), request.seed):
                file.write(json.dumps(dict(row.fields), ensure_ascii=False) + "\n")


def _prompt(messages: Iterable[Any]) -> str:
    """A hash of what a reply replies to."""
    return sha256(json.dumps([(m.role, m.content) for m in messages]).encode()).hexdigest()


def held_out(prompt: str, seed: int) -> bool:
    """One prompt in HELD, by a hash: the same ones whatever else is in the data."""
    return sha256(f"{seed}|{prompt}".encode()).digest()[0] % HELD == 0


def _fit(
    features: Features, request: Request, model: ModelConfig, directory: Path
) -> list[Accuracy]:
    from actors.rendering import Renderer
    from actors.reward_models.fitting import fit_gate, save_head

    names = list(request.objectives) or [PREFERENCE]
    # Ratings of several rows can be compared where these reply to the same prompt.
    groups = features.prompts if request.objectives else features.rows
    groups_N = np.unique(groups, return_inverse=True)[1]
    held_N = np.array([held_out(prompt, request.seed) for prompt in features.prompts])
    last_NH, gate_NH = np.array(features.last), np.array(features.gate)
    labels_NJ = np.column_stack([np.array(features.labels), np.log(features.tokens)])
    if request.objectives:
        inputs_NH, targets_NJ = last_NH, labels_NJ - np.nanmean(labels_NJ, axis=0)
    else:
        inputs_NH, targets_NJ = centred(last_NH, groups_N), centred(labels_NJ, groups_N)
    # Of what is not held out, a part again chooses the ridge's penalty.
    chooses_N = np.array([held_out(prompt, request.seed + 1) for prompt in features.prompts])
    known = ~held_N
    try:
        fits = [ridge(inputs_NH[known], t[known], chooses_N[known]) for t in targets_NJ.T]
    except ValueError as error:
        raise ConfigError(f"{request.data}: {error}") from None
    regression_JH = np.array([fit.weights_H for fit in fits])
    transform_JJ = transform(inputs_NH[known] @ regression_JH.T, len(names))
    adjusted_NJ = last_NH @ regression_JH.T @ transform_JJ
    better, worse = pairs(groups_N, labels_NJ[:, : len(names)].mean(axis=1))
    train = known[better]
    gate = fit_gate(
        gate_NH[better[train]],
        adjusted_NJ[better[train]] - adjusted_NJ[worse[train]],
        hidden=request.hidden,
        steps=request.steps,
        seed=request.seed,
    )
    weights_NJ = gate.weights(gate_NH)
    held = held_N[better]
    found = [
        _accuracy(name, values_N, better[held], worse[held], features.prompts)
        for name, values_N in (
            ("the higher score of the head", (adjusted_NJ * weights_NJ).sum(axis=1)),
            ("more tokens", np.array(features.tokens)),
            ("fewer tokens", -np.array(features.tokens)),
        )
    ]
    body = resolve(model).path
    save_head(
        body,
        directory,
        gate=gate,
        regression_JH=regression_JH,
        transform_JJ=transform_JJ,
        objectives=[*names, VERBOSITY],
        pattern=Renderer(body, template=model.template).prompt_end(),
        about={
            "trained_on": Path(request.data).name,
            "replies": int(known.sum()),
            "held_out_pairs": int(held.sum()),
            "alphas": [fit.alpha for fit in fits],
            "accuracy": {one.name: one.value for one in found},
        },
    )
    return found


def pairs(groups_N: NDArray[np.intp], worth_N: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All pairs of replies in one group of which one is worth more: its place and the other's."""
    better: list[int] = []
    worse: list[int] = []
    order_N = np.argsort(groups_N, kind="stable")
    for rows in np.split(order_N, np.flatnonzero(np.diff(groups_N[order_N])) + 1):
        above = worth_N[rows][:, None] > worth_N[rows][None, :]
        first, second = np.nonzero(above)
        better += rows[first].tolist()
        worse += rows[second].tolist()
    return np.array(better, dtype=np.intp), np.array(worse, dtype=np.intp)


def _accuracy(
    name: str,
    values_N: Floats,
    better: NDArray[np.intp],
    worse: NDArray[np.intp],
    prompts: Sequence[str],
) -> Accuracy:
    if not len(better):
        raise ConfigError("no held-out pair of replies; wanted more items, about 20 at least")
    credit = (np.sign(values_N[better] - values_N[worse]) + 1.0) / 2.0
    interval = mean_interval(credit, groups=[prompts[i] for i in better])
    return Accuracy(name=name, value=float(credit.mean()), interval=interval, pairs=len(credit))
