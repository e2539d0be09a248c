"""choice_parity: whether a given choice's log-probability is what lm-evaluation-harness says.

Measured   the largest difference in nats between the two, over the packaged HellaSwag and
           TruthfulQA rows: SmolLM2-135M, transformers, float32, without a template; then, in
           bfloat16, the accuracy of the likeliest choice, ties shared, and the largest difference.
Against    a thousandth of a nat; the harness's accuracy; no limit.
Reading    float32: at most 1. Both read the same tokens, so what is left is rounding. bfloat16
           rounds by tenths of a nat, and near ties may fall either way.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.choice_rows import (
    Row,
    harness,
    harness_logprobs,
    ours,
    ours_said,
    rows,
    write,
)
from tests.bench.measure import Result, Scale, Side, finish, shown

MOST = 0.001


def measure(scale: Scale) -> Iterator[Result]:
    """Three results for each task: nats, accuracy, nats."""
    for task in ("hellaswag", "truthfulqa_mc1"):
        asked = rows(task, scale.items)
        for dtype in ("float32", "bfloat16"):
            yield from _compare(f"{task}, {dtype}", dtype, asked)


def _compare(what: str, dtype: str, asked: list[Row]) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = ours("hf", dtype, write(folder, asked))
        peer = harness("hf", dtype, folder)
        apart, right = Side(command=shown(*command)), Side(command=shown(*command))
        limit, other = Side(command="the limit", values=[MOST]), Side(command=shown(*peer))
        if peer:
            mine = ours_said(command)["logprobs"]
            finish(peer)
            theirs = harness_logprobs(folder)
            apart.values.append(_apart(mine, theirs))
            right.values.append(_accuracy(mine, asked))
            other.values.append(_accuracy(theirs, asked))
    missing = "" if peer else "lm_eval is not installed here and LM_EVAL is not set"
    wanted = 1.0 if dtype == "float32" else None
    yield Result(what=what, unit="nats", ours=apart, other=limit, at_most=wanted, skipped=missing)
    if dtype != "float32":
        yield Result(what=f"{what}, accuracy", unit="%", ours=right, other=other, skipped=missing)


def _accuracy(logprobs: list[list[float]], asked: list[Row]) -> float:
    """In per cent; the highest ones share the credit."""
    credit = 0.0
    for values, row in zip(logprobs, asked, strict=True):
        best = [i for i, value in enumerate(values) if value == max(values)]
        credit += (row["gold"] in best) / len(best)
    return 100.0 * credit / len(asked)


def _apart(ours: list[list[float]], theirs: list[list[float]]) -> float:
    pairs = [zip(a, b, strict=True) for a, b in zip(ours, theirs, strict=True)]
    return max(abs(a - b) for pair in pairs for a, b in pair)
