"""choice_speed: how many given choices are scored in a second, and what they cost by their size.

Measured   choices per second of one engine on both cores, bfloat16, SmolLM2-135M: from the first
           call to the last answer, tokenizing included, a loaded model (choice_ours.py). The
           packaged HellaSwag and TruthfulQA rows (short rows); five-shot questions with lettered
           options; rows of 2 to 30 choices, and prompts of about 100 to 1500 tokens.
Against    lm-evaluation-harness on the same rows and engine, batches of 32 (transformers) or its
           own (vLLM), as its users start it, and on vLLM once more with the engine arguments and
           environment of Lilliput ("tuned"): the seconds of its progress bar, whole ones and
           without tokenizing. It runs when `lm_eval` can be imported here, or when the environment
           variable LM_EVAL holds the command that starts it; see start_to_finish.
Reading    above 1: Lilliput scores more in the same time.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.bench.choice_rows import (
    Row,
    five_shot,
    harness,
    harness_seconds,
    ours,
    ours_said,
    rows,
    sized,
    write,
)
from tests.bench.measure import Result, Scale, Side, shown

DTYPE = "bfloat16"
REPEATS = 3
NUM_SIZED = 24
WORDS = {100: 75, 500: 375, 1500: 1125}
"""About so many words make that many tokens."""

WANTED = {
    ("short rows", "hf"): (3.0,),
    ("short rows", "vllm"): (3.0, 2.0),
    ("five-shot letters", "hf"): (3.0,),
    ("five-shot letters", "vllm"): (10.0, 10.0),
}
"""At least, against the harness as its users start it and against the tuned one."""

SETS: Mapping[str, Callable[[int | None], list[Row]]] = {
    "short rows": lambda num: [*rows("hellaswag", num), *rows("truthfulqa_mc1", num)],
    "five-shot letters": five_shot,
}


def measure(scale: Scale) -> Iterator[Result]:
    """Both engines on all sets, then the costs of sizes on transformers; in choices per second."""
    for name, made in SETS.items():
        asked = made(scale.items)
        for engine in ("hf", "vllm"):
            yield from _compare(f"{name}, {engine}", engine, asked, scale, WANTED[name, engine])
    num = scale.items or NUM_SIZED
    for num_choices in (2, 4, 10, 30):
        asked = sized(num, prompt_words=WORDS[100], num_choices=num_choices)
        yield from _compare(f"{num_choices} choices, prompt 100 tokens", "hf", asked, scale)
    for tokens in (500, 1500):
        asked = sized(num, prompt_words=WORDS[tokens], num_choices=4)
        yield from _compare(f"4 choices, prompt {tokens} tokens", "hf", asked, scale)


def _compare(
    what: str,
    engine: str,
    asked: list[Row],
    scale: Scale,
    wanted: tuple[float, ...] = (1.0, 1.0),
) -> Iterator[Result]:
    num = sum(len(row["choices"]) for row in asked)
    with tempfile.TemporaryDirectory() as folder:
        command = ours(engine, DTYPE, write(Path(folder), asked))
        mine = Side(command=shown(*command))
        peers = {what: harness(engine, DTYPE, Path(folder), tuned=False)}
        if engine == "vllm":
            peers[f"{what}, tuned"] = harness(engine, DTYPE, Path(folder))
        others = {name: Side(command=shown(*peer) or "lm_eval") for name, peer in peers.items()}
        for _ in range(scale.repeats or REPEATS):
            mine.values.append(num / ours_said(command)["seconds"])
            for name, peer in peers.items():
                if peer:
                    others[name].values.append(num / harness_seconds(peer))
    for (name, other), at_least in zip(others.items(), wanted, strict=False):
        yield Result(
            what=name,
            unit="choices/s",
            ours=mine,
            other=other,
            at_least=at_least,
            skipped="" if other.values else "lm_eval is not installed here and LM_EVAL is not set",
        )
