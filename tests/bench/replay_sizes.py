"""Outputs made elsewhere, at the sizes that benchmarks have: grading, ranking, report and verify.

Measured   seconds and the driver's peak memory of `lilliput run`, `report` and `verify`, on both
           cores: 16,400 programs (HumanEval, 100 a problem, half of them right, no two alike),
           13,000 answers (packaged GSM8K rows, 130 each) and 100,000 judgements (800 instructions
           in AlpacaEval's layout, 125 replies each with a preference recorded elsewhere).
Against    the same with a tenth of the draws.
Reading    candidates a second: near 1 is linear. Memory: near 1 is flat.
"""

import json
import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.tasks import load_task
from tests.bench.measure import LILLIPUT, Result, Scale, Side, finish, shown

DRAWS = {"programs": 100, "answers": 130, "judgements": 125}
INSTRUCTIONS = 800
REPEATS = 1
Rows = Iterable[Mapping[str, Any]]


def measure(scale: Scale) -> Iterator[Result]:
    """Candidates per second, then MiB, of each step and each kind of output."""
    for kind, usual in DRAWS.items():
        sides: dict[tuple[str, int], tuple[Side, Side]] = {}
        most = scale.items or usual
        for num in (max(1, most // 10), most):
            for _ in range(scale.repeats or REPEATS):
                with tempfile.TemporaryDirectory() as folder:
                    _steps(kind, num, Path(folder), sides)
        for step in ("run", "report", "verify"):
            (small, little), (large, much) = (
                sides[step, num] for num in (max(1, most // 10), most)
            )
            total = most * _num_items(kind)
            what = f"{step} of {total:,} {kind} against a tenth of them"
            yield Result(what=what, unit="candidates/s", ours=large, other=small)
            what = f"peak memory of {step}, {total:,} {kind} against a tenth of them"
            yield Result(what=what, unit="MiB", ours=much, other=little, at_most=1.5)


def _steps(
    kind: str, num: int, folder: Path, sides: dict[tuple[str, int], tuple[Side, Side]]
) -> None:
    made = folder / "made.jsonl"
    with made.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in ROWS[kind](num))
    where = str(folder / "run")
    run = [LILLIPUT, "run", "replay", f"models.made.path={made}", f"pipeline.n={num}"]
    run += [*_settings(kind, folder), "cluster.cpus=2", "--output", where]
    commands = {"run": run}
    commands |= {step: [LILLIPUT, step, where] for step in ("report", "verify")}
    for step, command in commands.items():
        fast, big = sides.setdefault(
            (step, num), (Side(command=shown(*command)), Side(command=shown(*command)))
        )
        finished = finish(command)
        fast.values.append(num * _num_items(kind) / finished.seconds)
        big.values.append(finished.peak_mib)


def _settings(kind: str, folder: Path) -> list[str]:
    if kind == "programs":
        return ["task={name: humaneval}", "sandbox.replicas=2"]
    if kind == "answers":
        return []
    path = folder / "alpaca_eval.json"
    rows = [{"instruction": _instruction(i), "output": "Yes."} for i in range(INSTRUCTIONS)]
    path.write_text(json.dumps(rows), encoding="utf-8")
    return [
        f"task={{name: alpaca_eval, source: {path}}}",
        "roles.graders={win: {kind: recorded, field: preference}}",
        "pipeline.rankers=[first, oracle]",
    ]


def _instruction(number: int) -> str:
    return f"Say whether {number} is a good number, and why."


def _num_items(kind: str) -> int:
    return {"programs": 164, "answers": 100, "judgements": INSTRUCTIONS}[kind]


def _programs(num: int) -> Rows:
    pairs = list(load_task({"name": "humaneval"}).solutions())  # type: ignore[attr-defined]
    assert len(pairs) == _num_items("programs")
    for item, right in pairs:
        name = json.loads(item.reference)["names"][-1]
        for i in range(num):
            program = right if i % 2 else f"def {name}(*_):\n    return None"
            yield {"item_id": item.id, "text": f"```python\n{program}\n# {i}\n```"}


def _answers(num: int) -> Rows:
    rng = random.Random(0)
    items = list(load_task({"name": "gsm8k"}).items())
    assert len(items) == _num_items("answers")
    for item in items:
        for i in range(num):
            answer = item.reference if rng.random() < 0.4 else rng.randint(1, 50)
            yield {"item_id": item.id, "text": f"Draw {i} says so.\n#### {answer}"}


def _judgements(num: int) -> Rows:
    rng = random.Random(0)
    for number in range(INSTRUCTIONS):
        for i in range(num):
            yield {
                "prompt": _instruction(number),
                "text": f"{i} reasons. " * rng.randint(1, 60),
                "scores": {"preference": rng.random()},
            }


ROWS = {"programs": _programs, "answers": _answers, "judgements": _judgements}
