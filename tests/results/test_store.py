import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pyarrow as pa
import pytest

from results.arrow import to_table
from results.errors import ResultsError
from results.parts import content_hash, read_columns, read_parts, read_records
from results.schema import Record
from results.store import (
    Manifest,
    Store,
    first_difference,
    fresh_directory,
    is_driven,
    read_manifest,
)

MANIFEST = Manifest(identity={"task": {"name": "toy", "shots": 0}, "seed": 0})


def test_a_shard_is_committed_once_and_the_first_wins(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    with Store.open(tmp_path / "run", MANIFEST) as store:
        assert store.commit("a", [make_record(0)])
        assert not store.commit("a", [make_record(1)])
        assert store.committed() == {"a"}
    assert list(read_records(tmp_path / "run")) == [make_record(0)]
    assert not list((tmp_path / "run").rglob("*.tmp"))


def test_of_many_attempts_at_once_exactly_one_wins(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    won: list[int] = []
    with Store.open(tmp_path / "run", MANIFEST) as store:

        def attempt(number: int) -> None:
            if store.commit("a", [make_record(number)]):
                won.append(number)

        threads = [Thread(target=attempt, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(won) == 1
    assert list(read_records(tmp_path / "run")) == [make_record(won[0])]


def test_the_same_run_goes_on_and_keeps_what_is_known_of_its_first_part(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    first = {"started": "monday", "host": "a"}
    with Store.open(tmp_path / "run", replace(MANIFEST, about=first)) as store:
        store.note(usage={"tokens": 5})
        store.commit("a", [make_record(0)])
    again = {"started": "tuesday", "host": "b"}
    with Store.open(tmp_path / "run", replace(MANIFEST, about=again)) as store:
        assert store.manifest.about == {**first, "usage": {"tokens": 5}, "continued": [again]}
    assert read_manifest(tmp_path / "run").digest == MANIFEST.digest


def test_a_directory_without_a_committed_shard_takes_a_corrected_identity(tmp_path: Path) -> None:
    other = Manifest(identity={"task": {"name": "toy", "shots": 5}, "seed": 0})
    Store.open(tmp_path / "run", MANIFEST).close()
    with Store.open(tmp_path / "run", other) as store:
        assert store.manifest.identity == other.identity


def test_another_identity_is_refused_by_the_name_of_the_field(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    with Store.open(tmp_path / "run", MANIFEST) as store:
        store.commit("a", [make_record(0)])
    before = (tmp_path / "run" / "run.json").read_bytes()
    other = Manifest(identity={"task": {"name": "toy", "shots": 5}, "seed": 0})
    with pytest.raises(ResultsError, match=r"task\.shots = 0, got task\.shots = 5"):
        Store.open(tmp_path / "run", other)
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    Store.open(tmp_path / "run", MANIFEST).close()


def test_tuples_and_lists_are_the_same_identity(tmp_path: Path) -> None:
    Store.open(tmp_path / "run", Manifest(identity={"stop": ("a", "b")})).close()
    Store.open(tmp_path / "run", Manifest(identity={"stop": ("a", "b")})).close()


def test_a_field_that_only_one_side_has_is_a_difference() -> None:
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 1}}) is None
    assert first_difference({"a": {}}, {"a": {"b": None}}) == ("a.b", "(absent)", None)


def test_a_second_driver_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with (
        Store.open(tmp_path / "run", MANIFEST),
        pytest.raises(ResultsError, match=f"process {os.getpid()}"),
    ):
        Store.open(tmp_path / "run", MANIFEST)
    Store.open(tmp_path / "run", MANIFEST).close()


def test_foreign_content_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ResultsError, match=r"thesis\.tex"):
        Store.open(tmp_path, MANIFEST)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="wanted to write"):
        Store.open(tmp_path / "file" / "run", MANIFEST)


def test_fresh_begins_beside_and_deletes_nothing(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    with Store.open(tmp_path / "run", MANIFEST) as store:
        store.commit("a", [make_record(0)])
    names = []
    for _ in range(2):
        with Store.open(tmp_path / "run", MANIFEST, fresh=True) as store:
            names.append(store.directory.name)
            assert store.committed() == set()
    assert names == ["run-2", "run-3"]
    assert list(read_records(tmp_path / "run")) == [make_record(0)]
    assert str(fresh_directory(tmp_path / "new")) == str(tmp_path / "new")


def test_what_a_killed_driver_left_behind_is_not_read_and_goes(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    with Store.open(tmp_path / "run", MANIFEST) as store:
        store.commit("a", [make_record(0)])
    stray = tmp_path / "run" / "records" / "part-b.arrow.123.tmp"
    stray.write_bytes(b"half a fi")
    assert list(read_records(tmp_path / "run")) == [make_record(0)]
    with Store.open(tmp_path / "run", MANIFEST) as store:
        assert store.committed() == {"a"}
    assert not stray.exists()


def test_the_hash_depends_on_values_alone(make_record: Callable[..., Record]) -> None:
    records = [make_record(number, num_draws=number) for number in range(5)]
    whole = to_table(records)
    chunked = pa.concat_tables([to_table(records[:2]), to_table(records[2:])])
    assert content_hash(chunked) == content_hash(whole)
    assert content_hash(whole.slice(2)) == content_hash(to_table(records[2:]))
    assert content_hash(whole.slice(2)) != content_hash(whole.slice(1, 3))


def test_parts_come_with_their_shard_ids(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    records = [make_record(number) for number in range(4)]
    found = {shard: list(part) for shard, part in read_parts(make_run(records))}
    assert found == {"a": records[:2], "b": records[2:]}


def test_columns_are_read_by_name(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    run = make_run([make_record(number) for number in range(4)])
    assert read_columns(run, ["reference", "item_id"]).to_pylist()[3] == {
        "reference": "5",
        "item_id": "toy-3",
    }
    with pytest.raises(ResultsError, match="'itemid'"):
        read_columns(run, ["itemid"])


def test_a_directory_without_a_manifest_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"run\.json"):
        read_manifest(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ResultsError, match=r"run\.json"):
        read_manifest(tmp_path)
    with pytest.raises(ResultsError, match=r"run\.json"):
        list(read_records(tmp_path))


DRIVER = """
import sys
from results.parts import read_part
from results.arrow import from_table
from results.store import Manifest, Store
record = next(from_table(read_part(sys.argv[2], "b")))
with Store.open(sys.argv[1], Manifest(identity={"seed": 0})) as store:
    shard = len(store.committed())
    while True:
        assert store.commit(str(shard), [record] * 5)
        store.note(last=shard)
        print(shard, flush=True)
        shard += 1
"""


def test_a_driver_killed_in_mid_commit_loses_and_tears_nothing(
    tmp_path: Path, make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    source = make_run([make_record(0)])
    run, told = tmp_path / "killed", set[str]()
    for lines in (1, 3, 6, 10):
        child = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(run), str(source)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert child.stdout is not None
        told |= {child.stdout.readline().strip() for _ in range(lines)}
        child.send_signal(signal.SIGKILL)
        told |= set(child.stdout.read().split("\n")[:-1])
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        json.loads((run / "run.json").read_text())
    with Store.open(run, Manifest(identity={"seed": 0})) as store:
        committed = store.committed()
        assert told <= committed
        assert len(committed) - len(told) <= 4
    assert len(told) >= 20
    assert len(list(read_records(run))) == 5 * len(committed)
    assert not list(run.rglob("*.tmp"))


def test_a_driver_is_not_refused_for_somebody_who_only_looks(tmp_path: Path) -> None:
    looking = Event()
    done = Event()

    def look() -> None:
        while not done.is_set():
            is_driven(tmp_path / "run")
            looking.set()

    with Store.open(tmp_path / "run", Manifest(identity={"seed": 0})):
        pass
    thread = Thread(target=look)
    thread.start()
    looking.wait()
    try:
        for _ in range(300):
            Store.open(tmp_path / "run", Manifest(identity={"seed": 0})).close()
    finally:
        done.set()
        thread.join()
