"""A probe beside a run: what it is a run of, what it foretells, and when it counts."""

from pathlib import Path
from typing import Any

import pytest

from pipelines import execute, probe
from pipelines.config import override
from pipelines.job import Job, prepare
from results.directories import open_directory
from results.schema import Record, UsageRecord
from results.store import Manifest, Store

CONFIG: dict[str, Any] = {
    "name": "tiny",
    "task": {"name": "arithmetic", "num_items": 40},
    "pipeline": {"name": "decoding", "n": 3},
    "models": {"a": {"engine": "fake"}},
    "roles": {"generator": ["a"]},
    "prices": {"a": {"generated": 2.0}},
}


def job_of(*overrides: str) -> Job:
    return prepare(override(CONFIG, overrides))


def record(number: int) -> Record:
    used = UsageRecord(
        role="generator:greedy", model="a", requests=1, prompt_tokens=20, tokens=10 + number % 3
    )
    return Record(
        item_id=f"i{number}", task="t", messages=(), choices=(), reference="", group=f"i{number}",
        category="", candidates=(), answers=(), outcome="ok", error=None, usage=(used,),
    )  # fmt: skip


@pytest.fixture
def probed(tmp_path: Path) -> Path:
    """The place of a run whose probe of six items is done, and where there is nothing yet."""
    ((small, where),) = probe.small([(job_of(), open_directory(tmp_path / "run"))], 6)
    timing = [{"run_seconds": 3.0, "device_seconds": {"a": {"cpu": 6.0, "gpu": 0.0}}}]
    manifest = Manifest(identity=dict(small.identity), about={"timing": timing})
    with Store.open(where, manifest) as store:
        store.commit("000000", [record(number) for number in range(6)])
    return tmp_path / "run"


def test_a_probe_is_a_small_random_part_of_the_run_beside_it(tmp_path: Path) -> None:
    ((small, where),) = probe.small([(job_of(), open_directory(tmp_path / "run"))], 6)
    assert (small.task.num_items, small.task.limited) == (6, True)
    assert where.name == "run-probe"
    ids = {item.id for item in job_of().task.items()}
    assert {item.id for item in small.task.items()} <= ids
    ((whole, _),) = probe.small([(job_of(), open_directory(tmp_path / "run"))], 99)
    assert whole.task.num_items == 40


def test_a_run_is_foretold_by_its_probe_and_notes_it(probed: Path) -> None:
    job, directory = job_of(), open_directory(probed)
    told = {row.figure: row for row in probe.foretold(job, directory)}
    generated = told["tokens generated"]
    assert generated.value == pytest.approx(11 * 40)
    assert generated.low < generated.value < generated.high
    assert told["tokens read"].low == told["tokens read"].value == 20 * 40
    assert told["cpu seconds"].value == pytest.approx(6 * 40 / 6)
    # At the prices that the run has now.
    assert told["money"].value == pytest.approx(2.0 * 11 * 40 / 1e6)
    noted = execute._manifest(job, directory).about["forecast"]
    assert {row["figure"]: row["value"] for row in noted} == {
        name: row.value for name, row in told.items()
    }


@pytest.mark.parametrize("change", ["pipeline.n=4", "seed=1", "task.steps=1"])
def test_a_probe_of_another_run_foretells_nothing(probed: Path, change: str) -> None:
    assert probe.foretold(job_of(change), open_directory(probed)) == ()
    assert execute._manifest(job_of(change), open_directory(probed)).about["forecast"] == []


def test_without_a_probe_nothing_is_foretold(tmp_path: Path) -> None:
    assert probe.foretold(job_of(), open_directory(tmp_path / "run")) == ()
