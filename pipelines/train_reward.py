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
from hashlib import sha256
from math import isnan
from pathlib import Path
from typing import Any

from rich.console import Console

from actors.formats import json_line
from actors.types import ConfigError
from pipelines import batch
from pipelines.execute import execute, run_directories
from pipelines.job import Job, prepare
from pipelines.reward_fit import VERBOSITY, Accuracy, Features, Request, fit, held_out
from results.parts import read_records

SCORER = "states"
"""The scorer, and the engine that it asks."""


def train(request: Request, console: Console) -> list[Accuracy]:
    """Fit a head and write `OUTPUT/model`; returns how well it does on held-out pairs.

    Raises ConfigError for data without labels, and as a run does.
    """
    place = Path(request.output)
    if (place / "model").exists():
        raise ConfigError(f"{place / 'model'} exists: give another --output, or remove it")
    _check_objectives(request.objectives)
    asked = batch.Request(
        data=_rows(request, place),
        scorer=SCORER,
        name=SCORER,
        model=request.base,
        engine=SCORER,
        columns={},
        overrides=request.overrides,
    )
    job = prepare(batch.config_of(asked))
    _check_labels(job, request)
    directory = _read_states(job, place / "states", console)
    features = _gather(job, directory, request)
    _write_held_out(job, request, place / "held_out.jsonl")
    return fit(features, request, job.config.models["model"], directory, place / "model")


def _check_objectives(names: Sequence[str]) -> None:
    """Raises ConfigError for one that comes twice, or is called what the head adds itself."""
    if VERBOSITY in names:
        raise ConfigError(
            f"--objective {VERBOSITY}: the head has one of that name, the length of a reply; "
            "rename the column"
        )
    if len({*names}) < len(names):
        raise ConfigError(f"--objective: wanted each one once, got {', '.join(names)}")


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
            file.write(json_line(row))
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
            found.indices.append(candidate.index)
            found.prompts.append(prompt)
            found.gate.append(score.parts[:half])
            found.last.append(score.parts[half:])
            found.tokens.append(score.value)
            found.labels.append(label)
    if not found.rows:
        raise ConfigError(f"{request.data}: no reply could be read; there is nothing to fit on")
    return found


def _labels(job: Job, request: Request) -> Iterator[tuple[str, list[list[float]]]]:
    """Of each row, the labels of its replies; none where it lacks those or these. [reply][J]"""
    task: Any = job.task
    if request.objectives and task.form != "one":
        raise task.first.error(f"ratings of {task.form} replies; ratings are of one reply in a row")
    if not request.objectives and (
        task.form == "one" or (task.form == "many" and "correct" not in task.first.fields)
    ):
        raise task.first.error(
            "no label; wanted chosen and rejected, candidates with a list `correct`, a run "
            "directory, or columns of ratings named by --objective"
        )
    for row in task.source.rows():
        found: list[list[float]] = []
        if replies := task.item(row).choices:
            if request.objectives:
                found = [[_number(row, name) for name in request.objectives]]
            elif task.form == "pair":
                found = [[1.0], [0.0]]
            else:
                found = [[_value(row, "correct", one)] for one in _listed(row, len(replies))]
        yield task.row_name(row), found


def _listed(row: Any, num_replies: int) -> list[Any]:
    labels = row.fields.get("correct")
    if labels is None:
        return []
    if not isinstance(labels, list):
        raise row.error(f"{labels!r} in field 'correct', where a list of labels belongs")
    if len(labels) != num_replies:
        raise row.error(f"{len(labels)} labels in field 'correct' of {num_replies} candidates")
    return labels


def _check_labels(job: Job, request: Request) -> None:
    """Every label is read before a model is. Raises ConfigError for one that is none, and for an
    objective that no row has.
    """
    names = list(request.objectives) or ["correct"]
    known = [0] * len(names)
    for _, labels in _labels(job, request):
        for row in labels:
            known = [n + (not isnan(label)) for n, label in zip(known, row, strict=True)]
    task: Any = job.task
    for name, num in zip(names, known, strict=True):
        if not num and task.form != "pair":
            raise ConfigError(
                f"{request.data}: no row has a number in field {name!r}; the first has: "
                f"{task.first.names}"
            )


def _number(row: Any, name: str) -> float:
    return _value(row, name, row.fields.get(name))


def _value(row: Any, name: str, value: Any) -> float:
    """A label; NaN where it is missing."""
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
            item = task.item(row)
            if item.choices and held_out(_prompt(item.messages), request.seed):
                file.write(json_line(row.fields))


def _prompt(messages: Iterable[Any]) -> str:
    """A hash of what a reply replies to."""
    return sha256(json.dumps([(m.role, m.content) for m in messages]).encode()).hexdigest()
