"""What a task says is right, tried before a job: what is warned of, what is refused."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from actors.sandbox.types import Program, Verdict
from actors.types import ConfigError, ItemError
from pipelines.references import HANDFUL, doubts
from pipelines.tasks import load_task
from results.summarize import summarize_answers


def programs(folder: Path, num: int) -> Any:
    """A task whose right programs say their number."""
    rows = [
        {"id": f"i{n}", "prompt": "", "entry_point": "f", "tests": "f()", "solution": f"f = {n}"}
        for n in range(num)
    ]
    (folder / "own.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return load_task({"name": "programs", "source": str(folder / "own.jsonl")})


class Scripted:
    """Passes those whose source is not among `failing`, and stubs where `is_lax`."""

    def __init__(self, *failing: str, is_lax: bool = False) -> None:
        self.failing, self.is_lax, self.seen = failing, is_lax, list[str]()

    async def run(self, program: Program) -> Verdict:
        source = program.source.strip()
        self.seen.append(source)
        if "lambda" in self.failing:
            raise ItemError("error", "no function can be handed over")
        is_stub = source.startswith("def")
        passes = self.is_lax if is_stub else source not in self.failing
        return Verdict(outcome="passed" if passes else "failed", why="" if passes else "no")


def test_a_handful_of_right_programs_and_their_stubs_is_tried_the_same_for_a_seed(tmp_path) -> None:
    task, first, again, other = programs(tmp_path, 40), Scripted(), Scripted(), Scripted()
    assert asyncio.run(doubts(task, first.run, 0)) == []
    asyncio.run(doubts(task, again.run, 0))
    asyncio.run(doubts(task, other.run, 1))
    assert len(first.seen) == 2 * HANDFUL
    assert sorted(first.seen) == sorted(again.seen) != sorted(other.seen)


def test_rows_that_nobody_or_anybody_solves_are_named(tmp_path) -> None:
    task = programs(tmp_path, 3)
    (failed,) = asyncio.run(doubts(task, Scripted("f = 1").run, 0))
    assert failed == "item i1 can't be solved: its reference program does not pass (failed: no)"
    empty = asyncio.run(doubts(task, Scripted(is_lax=True).run, 0))
    assert sorted(empty)[0] == "item i0 tests nothing: a program that does nothing passes"
    assert len(empty) == 3


@pytest.mark.parametrize("failing", [("f = 0", "f = 1"), ("lambda",)])
def test_a_task_none_of_whose_right_programs_passes_is_refused(tmp_path, failing) -> None:
    with pytest.raises(ConfigError, match=r"none of 2 reference programs passes.*item i[01]: "):
        asyncio.run(doubts(programs(tmp_path, 2), Scripted(*failing).run, 0))


def test_rows_without_right_programs_are_taken_as_they_are(tmp_path) -> None:
    row = {"prompt": "", "entry_point": "f", "tests": "f()"}
    (tmp_path / "own.jsonl").write_text(json.dumps(row))
    task: Any = load_task({"name": "programs", "source": str(tmp_path / "own.jsonl")})
    assert asyncio.run(doubts(task, Scripted("lambda").run, 0)) == []


def test_what_a_run_warned_of_before_its_first_item_stands_first_in_its_summary() -> None:
    assert summarize_answers([], about={"warnings": ["item i1"]}).warnings[0] == "item i1"
