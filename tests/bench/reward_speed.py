"""reward_speed: how many replies are scored in a second, and what runs of any size take.

Measured   rows per second of `lilliput reward` on a sequence classifier on both cores, bfloat16, a
           loaded model, records and all: SmolLM2-135M with a random head on 400 rows, GSM8K
           questions with made-up replies as long as people's; on vLLM, then on transformers. Then
           on 16 replies to a question. Then the driver's peak memory on 100,000 short rows, fake
           engine; on as many as the environment variable LARGE_ITEMS says, where it is set.
Against    the plain transformers loop that model cards show (reward_plain.py), batches of 32 in the
           order of the rows, padded; the same 400 replies as rows of their own; 10,000 rows.
Reading    throughput: at least 2, most of it what padding costs. Shared questions: above 1, since
           each is read once. Memory: near 1 is flat.
"""

import json
import os
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from actors.bundled import bundled_path
from actors.reward_models.trust import PAIR
from pipelines.tasks import load_task
from tests.bench.measure import LILLIPUT, PYTHON, Finished, Result, Scale, Side, finish, shown

DTYPE = "bfloat16"
ITEMS, REPLIES = 400, 16
SHORT_ROWS, LARGE = 10_000, 100_000
REPEATS = 3
LOG_WORDS, SPREAD, MOST = 4.4, 1.2, 1200
"""Words of a reply, roughly as in Open Assistant's validation set: log-normal, the most."""
BOTH_CORES = ("models.model.cpus=2", f"models.model.dtype={DTYPE}", "cluster.cpus=2")

Rows = Sequence[Mapping[str, Any]]


def measure(scale: Scale) -> Iterator[Result]:
    """Rows per second twice, then MiB."""
    num, repeats = scale.items or ITEMS, scale.repeats or REPEATS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = _classifier(folder / "model")
        alone, shared = _rows(num)
        single = _written(folder / "single.jsonl", alone)
        ours = _command(single, model)
        served = [*ours, "--engine", "vllm_reward"]
        mine, fast = Side(command=shown(*ours)), Side(command=shown(*served))
        other = Side(command=shown(*_plain_command(model, single)))
        grouped = _command(_written(folder / "shared.jsonl", shared), model)
        together = Side(command=shown(*grouped))
        for _ in range(repeats):
            mine.values.append(num / _run(ours)[1])
            fast.values.append(num / _run(served)[1])
            other.values.append(num / _plain(model, single)["seconds"])
            together.values.append(num / _run(grouped)[1])
    what = f"{num:,} rows on vLLM against the plain loop"
    yield Result(what=what, unit="rows/s", ours=fast, other=other, at_least=2.0)
    what = f"{num:,} rows on transformers against the plain loop"
    yield Result(what=what, unit="rows/s", ours=mine, other=other, at_least=2.0)
    what = f"{REPLIES} replies to a question against rows of their own"
    yield Result(what=what, unit="replies/s", ours=together, other=mine, at_least=1.0)
    yield _memory()


def _memory() -> Result:
    large = int(os.environ.get("LARGE_ITEMS", LARGE))
    sides = []
    with tempfile.TemporaryDirectory() as name:
        for num in (SHORT_ROWS, large):
            rows = ({"prompt": f"What is {i}?", "response": f"It is {i}."} for i in range(num))
            path = _written(Path(name) / f"{num}.jsonl", rows)
            command = [LILLIPUT, "reward", str(path), "--model", "none", "--engine", "fake"]
            sides.append(Side(command=shown(*command), values=[_run(command)[0].peak_mib]))
    small, big = sides
    what = f"driver's peak memory, {large:,} rows against {SHORT_ROWS:,}"
    return Result(what=what, unit="MiB", ours=big, other=small, at_most=1.5)


def _classifier(directory: Path) -> Path:
    """SmolLM2 with a random head, in the layout of sequence classifiers."""
    directory.mkdir()
    source = bundled_path("smollm2-135m-instruct")
    for file in source.iterdir():
        if file.suffix in (".json", ".jinja", ".txt"):
            (directory / file.name).write_bytes(file.read_bytes())
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config |= {"architectures": ["LlamaForSequenceClassification"], "id2label": {"0": "score"}}
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors: dict[str, torch.Tensor] = {}
    for file in source.glob("*.safetensors"):
        tensors |= load_file(str(file))
    made = torch.Generator().manual_seed(0)
    tensors["score.weight"] = torch.randn(1, config["hidden_size"], generator=made)
    save_file(tensors, str(directory / "model.safetensors"))
    question, good, bad = PAIR
    pair = [{"prompt": question, "response": reply} for reply in (good, bad)]
    better, worse = _plain(directory, _written(directory / "pair.jsonl", pair))["scores"]
    if better < worse:
        # A random head may like the worse reply, which no trust check lets pass.
        save_file(
            tensors | {"score.weight": -tensors["score.weight"]},
            str(directory / "model.safetensors"),
        )
    return directory


def _rows(num: int) -> tuple[Rows, Rows]:
    """Replies that each have a question of their own, and the same ones, 16 to a question."""
    items = list(islice(load_task({"name": "gsm8k"}).items(), 100))
    rng = random.Random(0)
    words = " ".join(item.question for item in items).split()
    lengths = [round(rng.lognormvariate(LOG_WORDS, SPREAD)) for _ in range(num)]
    replies = [" ".join(rng.choices(words, k=max(1, min(length, MOST)))) for length in lengths]
    alone = [
        {"prompt": f"{i}. {items[i % len(items)].question}", "response": reply}
        for i, reply in enumerate(replies)
    ]
    shared = [
        {"prompt": items[i % len(items)].question, "candidates": replies[at : at + REPLIES]}
        for i, at in enumerate(range(0, num, REPLIES))
    ]
    return alone, shared


def _written(path: Path, rows: Any) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def _command(path: Path, model: Path) -> list[str]:
    return [LILLIPUT, "reward", str(path), "--model", str(model), *BOTH_CORES]


def _plain_command(model: Path, path: Path) -> list[str]:
    command = ["env", "OMP_NUM_THREADS=2", PYTHON, "-m", "tests.bench.reward_plain"]
    return [*command, str(model), DTYPE, str(path)]


def _plain(model: Path, path: Path) -> dict[str, Any]:
    """What reward_plain.py says: `seconds` and `scores`."""
    said: dict[str, Any] = json.loads(finish(_plain_command(model, path)).output.splitlines()[-1])
    return said


def _run(command: Sequence[str]) -> tuple[Finished, float]:
    """The finished command, and the seconds while its items were worked off."""
    with tempfile.TemporaryDirectory() as folder:
        finished = finish([*command, "--output", f"{folder}/run"])
        manifest = json.loads(Path(folder, "run", "run.json").read_text(encoding="utf-8"))
    return finished, float(manifest["about"]["timing"][-1]["run_seconds"])
