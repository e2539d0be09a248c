"""What the choice benchmarks ask, and lm-evaluation-harness asked the same.

A row is a prompt and its choices as they follow it, leading space included: given to the engine as
it is, and to the harness as a task of its own over a JSON Lines file.
"""

import json
import os
import re
import shlex
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from actors.bundled import bundled_path
from actors.config import ModelConfig
from actors.engines import environment
from actors.engines.vllm_args import engine_args
from actors.models import context_length
from actors.types import Item
from pipelines.tasks import load_task
from tests.bench.measure import PYTHON, finish

Row = dict[str, Any]
"""`prompt`, `choices`, `gold` (index)."""

MODEL = "bundled:smollm2-135m-instruct"
NUM_SHOTS = 5
TASK = """\
task: given_choices
dataset_path: json
dataset_kwargs: {data_files: {test: ROWS}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{prompt}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{gold}}"
target_delimiter: ""
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 1}
"""
PROGRESS = re.compile(r"loglikelihood requests: 100%\|[^|]*\| (\d+)/\1 \[((?:\d+:)?\d+:\d+)<")


def rows(task: str, num: int | None) -> list[Row]:
    """The packaged rows of a task, in its likelihood form."""
    items = islice(load_task({"name": task}).items(), num)
    return [{"prompt": i.prompt, "choices": list(i.continuations), "gold": _gold(i)} for i in items]


def five_shot(num: int | None) -> list[Row]:
    """Five-shot questions with lettered options, in the form of MMLU: rows of a JSON Lines file
    (`q`, `gold`) that the environment variable FIVE_SHOT names, or made of the packaged HellaSwag
    rows.
    """
    if path := os.environ.get("FIVE_SHOT"):
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        asked = [json.loads(line) for line in lines]
        made = [(row["q"], row["gold"]) for row in asked]
    else:
        items = list(load_task({"name": "hellaswag"}).items())
        shots = "\n\n".join(
            f"{_lettered(i)} {ascii_uppercase[_gold(i)]}" for i in items[:NUM_SHOTS]
        )
        made = [(f"{shots}\n\n{_lettered(i)}", _gold(i)) for i in items[NUM_SHOTS:]]
    letters = [f" {letter}" for letter in ascii_uppercase[:4]]
    return [{"prompt": q, "choices": letters, "gold": gold} for q, gold in made[:num]]


def sized(num: int, *, prompt_words: int, num_choices: int) -> list[Row]:
    """Rows of a size: prompts that share nothing, choices of eight words."""
    words = " ".join(row["prompt"] for row in rows("hellaswag", None)).split()
    stream = cycle(words)
    return [
        {
            "prompt": f"{number}. " + " ".join(islice(stream, prompt_words)),
            "choices": [" " + " ".join(islice(stream, 8)) for _ in range(num_choices)],
            "gold": 0,
        }
        for number in range(num)
    ]


def write(folder: Path, asked: Sequence[Row]) -> Path:
    """The rows as a file, and beside it the harness's task over them."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in asked), encoding="utf-8")
    (folder / "given_choices.yaml").write_text(TASK.replace("ROWS", str(path)), encoding="utf-8")
    return path


def config(engine: str, dtype: str) -> ModelConfig:
    """The model on both cores, without its template."""
    return ModelConfig.model_validate(
        {"path": MODEL, "engine": engine, "dtype": dtype, "template": "none", "cpus": 2.0}
    )


def ours(engine: str, dtype: str, path: Path) -> list[str]:
    """The command that scores the rows and says how long it took (choice_ours.py)."""
    settings = [f"{key}={value}" for key, value in environment(config(engine, dtype)).items()]
    return ["env", *settings, PYTHON, "-m", "tests.bench.choice_ours", engine, dtype, str(path)]


def harness(engine: str, dtype: str, folder: Path, *, tuned: bool = True) -> list[str]:
    """The harness's command over the rows in `folder`; empty without a harness.

    Tuned, it has the engine arguments and the environment that Lilliput gives the engine; else what
    its users type.
    """
    prefix = shlex.split(os.environ.get("LM_EVAL", ""))
    if not prefix and find_spec("lm_eval"):
        prefix = [PYTHON, "-m", "lm_eval"]
    if not prefix:
        return []
    directory, model = bundled_path(MODEL.partition(":")[2]), config(engine, dtype)
    args: dict[str, Any] = {"pretrained": str(directory), "dtype": dtype}
    if engine == "vllm" and not tuned:
        # Without these vLLM asks for nearly all of the machine's memory, and may not start.
        args["max_model_len"] = 2048
    settings = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    if tuned:
        settings |= environment(model)
    if tuned and engine == "vllm":
        args = engine_args(model, directory, context_length(directory))
        args["pretrained"] = args.pop("model")
    return [
        *("env", *(f"{key}={value}" for key, value in settings.items())),
        *(*prefix, "--model", engine, "--batch_size", "32" if engine == "hf" else "auto"),
        *("--model_args", ",".join(f"{key}={value}" for key, value in args.items())),
        *("--tasks", "given_choices", "--include_path", str(folder)),
        *("--output_path", str(folder / "out"), "--log_samples"),
    ]


def ours_said(command: Sequence[str]) -> dict[str, Any]:
    """What choice_ours.py printed: `seconds`, and `logprobs` of each row's choices."""
    said: dict[str, Any] = json.loads(finish(command).output.splitlines()[-1])
    return said


def harness_seconds(command: Sequence[str]) -> float:
    """Seconds from the harness's first request to its last, as its progress bar counts them."""
    output = finish(command, checked=False).output
    found = PROGRESS.findall(output)
    if not found:
        raise RuntimeError(f"the harness printed no progress of its requests:\n{output[-2000:]}")
    seconds = 0
    for part in found[-1][1].split(":"):
        seconds = 60 * seconds + int(part)
    # It counts whole seconds.
    return max(1, seconds)


def harness_logprobs(folder: Path) -> list[list[float]]:
    """Of each row's choices, in the order of the rows, as the harness has logged them."""
    (path,) = (folder / "out").rglob("samples_given_choices*.jsonl")
    samples = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    samples.sort(key=lambda sample: sample["doc_id"])
    return [[float(one[0][0]) for one in sample["resps"]] for sample in samples]


def _lettered(item: Item) -> str:
    options = zip(ascii_uppercase, item.continuations, strict=False)
    listed = "\n".join(f"{letter}. {text.strip()}" for letter, text in options)
    return f"{item.prompt}\n{listed}\nAnswer:"


def _gold(item: Item) -> int:
    return ascii_uppercase.index(item.reference)
