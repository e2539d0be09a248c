"""A run directory in an object store: a real S3 API, served on this machine."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from results import cloud, objects
from results.compare import compare
from results.directories import open_directory
from results.errors import ResultsError
from results.export import export
from results.manifest import find_runs
from results.parts import part_name, read_records
from results.report import write_report
from results.schema import Record
from results.store import (
    Manifest,
    Store,
    ask_to_stop,
    fresh_directory,
    is_driven,
    read_manifest,
    read_status,
)
from results.verify import verify
from tests.results.s3 import BUCKET, S3, serving

MANIFEST = Manifest(identity={"data": "data-1"}, about={"limited": False})


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with serving() as running:
        yield running


@pytest.fixture
def s3(server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.blind = False
    assert server.lost == []


@pytest.fixture
def url(s3: S3, request: pytest.FixtureRequest) -> str:
    """Of a run directory of the test's own."""
    return f"s3://{BUCKET}/runs/{request.node.name}"


def lease(url: str, *, seconds_ago: float, **more: object) -> None:
    """Write the lease of a driver elsewhere."""
    holder = {"driver": "d1", "host": "far", "pid": 7, "beat": time.time() - seconds_ago, **more}
    open_directory(url).put("lease.json", json.dumps(holder).encode())


def test_a_run_is_written_and_read_as_on_a_disk(
    url: str, tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    records = [make_record(number) for number in range(4)]
    with Store.open(url, MANIFEST) as store:
        assert str(store.directory) == url
        assert store.commit("a", records[:2])
        assert store.commit("b", records[2:])
        assert not store.commit("a", records[2:])
        assert store.committed() == {"a", "b"}
        store.note(finished="now")
        assert is_driven(url)
    assert not is_driven(url)
    assert read_manifest(url).about["finished"] == "now"
    assert list(read_records(url)) == records
    assert write_report(url) == f"{url}/report.html"
    assert open_directory(url).get("report.html").startswith(b"<!doctype html>")
    assert verify(url).mismatches == ()
    assert url.rpartition("/")[2] in find_runs(url.rpartition("/")[0])
    assert str(find_runs(url)[url.rpartition("/")[2]]) == url
    assert compare(url, url).items == 4
    assert export(url, "jsonl", tmp_path / "out.jsonl").read_text().count("\n") == 4
    assert str(fresh_directory(url)) == f"{url}-2"
    with pytest.raises(ResultsError, match="data = 'data-1', got data = 'data-2'"):
        Store.open(url, Manifest(identity={"data": "data-2"}))


def test_what_is_said_of_a_run_does_not_cost_a_request_each_second(url: str, s3: S3) -> None:
    with Store.open(url, MANIFEST) as store:
        before = s3.count("PUT", "status.json"), s3.count("GET", "/stop")
        ask_to_stop(url)
        assert store.asked_to_stop()
        for state in ("running", "running", "stopping", "stopping"):
            store.say(state=state)
            store.asked_to_stop()
    assert read_status(url) == {"state": "stopping"}
    assert s3.count("PUT", "status.json") - before[0] == 2
    assert s3.count("GET", "/stop") - before[1] == 1


def test_of_two_racing_writers_exactly_one_wins_each_shard(
    url: str, make_record: Callable[..., Record]
) -> None:
    won: dict[str, list[int]] = {str(shard): [] for shard in range(6)}
    with Store.open(url, MANIFEST) as store:
        # The second one lost its lease and doesn't know.
        late = Store(open_directory(url), store.manifest, store._hold)  # type: ignore[arg-type]

        def write(number: int, writer: Store) -> None:
            for shard, winners in won.items():
                if writer.commit(shard, [make_record(number)]):
                    winners.append(number)

        threads = [Thread(target=write, args=pair) for pair in enumerate((store, late))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [len(winners) for winners in won.values()] == [1] * 6
    assert list(read_records(url)) == [make_record(winners[0]) for winners in won.values()]


def test_a_put_whose_answer_got_lost_is_not_taken_for_another_drivers(
    url: str, s3: S3, make_record: Callable[..., Record]
) -> None:
    with Store.open(url, MANIFEST) as store:
        s3.lost.append(("PUT", "part-a"))
        assert store.commit("a", [make_record(0)])
        s3.lost.append(("PUT", "part-a"))
        assert not store.commit("a", [make_record(1)])
    assert list(read_records(url)) == [make_record(0)]


def test_a_second_driver_is_refused_while_the_first_is_alive(url: str) -> None:
    with Store.open(url, MANIFEST), pytest.raises(ResultsError, match=r"in use by process \d+ on"):
        Store.open(url, MANIFEST)
    Store.open(url, MANIFEST).close()


def test_a_lease_is_taken_over_when_it_is_stale_and_not_before(url: str) -> None:
    lease(url, seconds_ago=50)
    assert is_driven(url)
    with pytest.raises(ResultsError, match="process 7 on far, heard of 50 s ago"):
        Store.open(url, MANIFEST)
    lease(url, seconds_ago=70)
    assert not is_driven(url)
    with Store.open(url, MANIFEST):
        assert is_driven(url)


def test_of_many_drivers_at_a_stale_lease_exactly_one_gets_it(url: str) -> None:
    lease(url, seconds_ago=70)
    got: list[Any] = []

    def take() -> None:
        try:
            got.append(open_directory(url).hold())
        except ResultsError as error:
            got.append(str(error))

    threads = [Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [hold for hold in got if not isinstance(hold, str)]
    assert sum("in use by process" in str(refusal) for refusal in got) == 5
    winner.release()


KILLED = """
import os, signal, sys
from results.store import Manifest, Store
store = Store.open(sys.argv[1], Manifest(identity={"data": "data-1"}))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_lease_of_a_process_killed_on_this_machine_is_free_at_once(url: str) -> None:
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", KILLED, url], cwd=root).returncode == -9
    assert open_directory(url).get("lease.json")
    Store.open(url, MANIFEST).close()


def test_a_driver_that_lost_its_lease_harms_nothing_and_ends_once_it_knows(
    url: str, make_record: Callable[..., Record]
) -> None:
    with Store.open(url, MANIFEST) as asleep:
        lease(url, seconds_ago=70)
        with Store.open(url, MANIFEST) as awake:
            assert awake.commit("a", [make_record(0)])
            assert not asleep.commit("a", [make_record(1)])
            asleep._hold.renew()  # type: ignore[union-attr]
            with pytest.raises(ResultsError, match="taken over by process"):
                asleep.commit("b", [make_record(1)])
            with pytest.raises(ResultsError, match="taken over by process"):
                asleep.note(finished="now")
            assert awake.commit("b", [make_record(2)])
        assert not is_driven(url)
    assert list(read_records(url)) == [make_record(0), make_record(2)]


def test_a_renewal_whose_answer_got_lost_keeps_the_lease(url: str, s3: S3) -> None:
    hold: Any = open_directory(url).hold()
    s3.lost.append(("PUT", "lease.json"))
    hold.renew()
    hold.renew()
    hold.check()
    hold.release()
    assert not is_driven(url)


def test_a_damaged_object_is_set_aside_and_its_shard_owed_again(
    url: str, make_record: Callable[..., Record]
) -> None:
    with Store.open(url, MANIFEST) as store:
        store.commit("a", [make_record(0)])
        store.commit("b", [make_record(1)])
    directory = open_directory(url)
    damaged = directory.get(part_name("b"))[:-100]
    directory.put(part_name("b"), damaged)
    with pytest.raises(ResultsError, match="shard b"):
        list(read_records(url))
    with Store.open(url, MANIFEST) as store:
        assert store.committed() == {"a"}
        assert len(store.damaged) == 1
    assert directory.names("records") == ["part-a.arrow", "part-b.arrow.damaged-1"]
    assert directory.get("records/part-b.arrow.damaged-1") == damaged


def test_the_logs_of_every_driver_are_kept(url: str) -> None:
    for text in ("first", "second"):
        with Store.open(url, MANIFEST) as store:
            (store.logs / "small-0.log").write_text(text)
        assert not store.logs.exists()
    directory = open_directory(url)
    assert directory.names("logs") == ["small-0.1.log", "small-0.2.log"]
    assert directory.get("logs/small-0.2.log") == b"second"


def test_a_store_that_ignores_conditions_is_refused(url: str, s3: S3) -> None:
    s3.blind = True
    with pytest.raises(ResultsError, match="ignores If-None-Match"):
        Store.open(url, MANIFEST)


def refused(url: str) -> str:
    """What a user reads when a run is opened there: one line."""
    with pytest.raises(ResultsError) as caught:
        Store.open(url, MANIFEST)
    message = str(caught.value)
    assert "\n" not in message
    assert url in message
    return message


def test_what_keeps_a_store_from_being_used_is_said_in_one_line(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "NoSuchBucket" in refused("s3://absent/run")
    for wrong in ("s3://bucket", "s3:///run", "ftp://host/run"):
        assert "wanted a directory, or s3://BUCKET/PREFIX" in refused(wrong)
    monkeypatch.setattr(cloud, "PATIENCE", timedelta(seconds=0.2))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert "error sending request; check the bucket, the credentials" in refused(url)
    assert "GET http://127.0.0.1:1/lilliput: HTTP error" in refused(url)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    assert "no credentials in the environment; check" in refused(url)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ResultsError, match=r"pip install 'lilliput\[cloud\]'"):
        Store.open(url, MANIFEST)


def test_what_is_too_much_for_one_request_is_sent_in_pieces(
    url: str, s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(objects, "MOST_AT_ONCE", 1 << 20)
    content, directory = bytes(range(256)) * (24 << 10), open_directory(url)
    (tmp_path / "scored.csv").write_bytes(content)
    before = s3.count("POST", "/scored")
    directory.take("scored.csv", tmp_path / "scored.csv")
    assert s3.count("POST", "/scored") - before == 2
    assert directory.get("scored.csv") == content
