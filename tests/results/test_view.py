"""A run of any size served to this machine: by page, by filter, by token."""

import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from results.directories import open_directory
from results.errors import ResultsError
from results.report import scan
from results.report.scan import Query, Reader
from results.report.view import Viewer
from results.schema import Record, Turn
from results.summarize import summarize_answers


@pytest.fixture
def run(make_run: Callable[..., Path], make_record: Callable[..., Record]) -> Path:
    records = [make_record(number) for number in range(50)]
    records[7] = replace(records[7], messages=(Turn(role="user", content="A Żebra?"),))
    return make_run(records)


@pytest.fixture
def viewer(run: Path) -> Iterator[Viewer]:
    with Viewer(run) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def found(run: Path, query: Query, limit: int = 100) -> list[str]:
    page = Reader(open_directory(run)).find(query, limit=limit)
    return [item["id"] for item in page.items]


def test_pages_follow_each_other_without_a_gap(run: Path) -> None:
    reader, start, ids, seen = Reader(open_directory(run)), "", [], 0
    while True:
        page = reader.find(Query(), start, limit=7)
        ids += [item["id"] for item in page.items]
        seen += page.seen
        if page.next is None:
            break
        start = page.next
    assert ids == [f"toy-{number}" for number in range(50)]
    assert seen == 50


def test_filters_find_what_a_look_at_every_record_finds(
    run: Path, make_record: Callable[..., Record]
) -> None:
    records = [make_record(number) for number in range(50)]
    cut = [
        r.item_id
        for r in records
        if any((c.outcome, c.decoding) == ("truncated", "greedy") for c in r.candidates)
    ]
    assert 0 < len(cut) < 50
    assert found(run, Query(outcome="truncated", decoding="greedy")) == cut
    assert found(run, Query(member="nobody")) == []
    assert found(run, Query(text="ŻEBRA")) == ["toy-7"]
    assert found(run, Query(text="(12)")) == ["toy-12"]
    assert found(run, Query(text="TOY-31")) == ["toy-31"]
    assert found(run, Query(failed=True)) == []


def test_items_on_which_methods_disagree_are_found(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    def picks(record: Record, *answers: str) -> Record:
        names = ("majority", "best_of:rm", "oracle")
        chosen = [
            replace(record.answers[0], method=name, k=8, candidate=0, answer=answer)
            for name, answer in zip(names, answers, strict=True)
        ]
        return replace(record, answers=tuple(chosen))

    same, apart, oracle = (make_record(number) for number in range(3))
    records = [
        picks(same, "5", "5", "5"),
        picks(apart, "5", "7", "5"),
        picks(oracle, "5", "5", "7"),
    ]
    assert found(make_run(records), Query(split=True)) == ["toy-1"]


def test_a_pool_of_a_study_is_found_by_its_decoding(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    arms = ("t=1,p=1,r=1", "t=0.5,p=1,r=1")
    records = [
        replace(r, candidates=tuple(replace(c, arm=arms[n % 2]) for c in r.candidates))
        for n, r in enumerate(make_record(number) for number in range(6))
    ]
    run = make_run(records)
    labels = [row.decoding for row in summarize_answers(records).members]
    assert set(labels) == set(arms)
    assert found(run, Query(decoding=arms[1])) == ["toy-1", "toy-3", "toy-5"]
    item = Reader(open_directory(run)).item("a:0")
    assert {c["decoding"] for c in item["candidates"]} == {arms[0]}


def test_a_search_that_takes_long_says_how_far_it_has_come(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "PATIENCE", 0.0)
    reader = Reader(open_directory(run))
    page = reader.find(Query(text="no such text"))
    assert (page.items, page.seen) == ([], 25)
    assert page.next is not None
    rest = reader.find(Query(text="no such text"), page.next)
    assert (rest.items, rest.next, rest.seen) == ([], None, 25)


def test_an_item_is_shown_whole(run: Path, make_record: Callable[..., Record]) -> None:
    reader = Reader(open_directory(run))
    at = reader.find(Query(text="(12)")).items[0]["at"]
    item = reader.item(at)
    record = make_record(12)
    assert [c["text"] for c in item["candidates"]] == [c.text for c in record.candidates]
    assert item["candidates"][3]["scores"] == {
        "rm": float(f"{record.candidates[3].scores[0].value:.5g}")
    }
    for wrong in ("", "a", "../b:0", "zz:0", "a:999"):
        with pytest.raises(ResultsError, match="wanted a place"):
            reader.item(wrong)


def test_only_who_has_the_token_is_served(viewer: Viewer) -> None:
    status, page = get(viewer.url)
    assert status == 200
    assert page.startswith("<!doctype html>")
    assert 'id="setup"' in page
    assert "No summary yet" in page
    root = f"http://127.0.0.1:{viewer.server_port}/"
    for url in (root, f"{root}items", f"{root}{'x' * 32}/items", f"{root}{viewer.token[:-1]}/"):
        status, answer = get(url)
        assert (status, viewer.token in answer) == (403, False)


def test_a_name_that_somebody_points_here_is_refused(viewer: Viewer) -> None:
    assert get(viewer.url, Host="evil.example")[0] == 403
    assert get(viewer.url, Host=f"localhost:{viewer.server_port}")[0] == 200


def test_only_this_machine_can_connect(viewer: Viewer) -> None:
    assert viewer.socket.getsockname()[0] == "127.0.0.1"


def test_items_come_as_json_and_a_bad_place_is_an_answer(viewer: Viewer) -> None:
    status, text = get(f"{viewer.url}items?outcome=no_answer&limit=3")
    page: dict[str, Any] = json.loads(text)
    assert (status, len(page["items"])) == (200, 3)
    status, text = get(f"{viewer.url}item?at={page['items'][0]['at']}")
    assert (status, len(json.loads(text)["candidates"])) == (200, 9)
    assert get(f"{viewer.url}item?at=nowhere")[0] == 400
    assert get(f"{viewer.url}items?start=nowhere")[0] == 400
    assert get(f"{viewer.url}items?start=a:{'9' * 5000}")[0] == 400
    assert get(f"{viewer.url}item?at={page['items'][0]['at']}{'9' * 16}")[0] == 400
    assert get(f"{viewer.url}items?limit={'9' * 5000}")[0] == 200
    assert get(f"{viewer.url}else")[0] == 404


def test_a_taken_port_and_a_place_without_a_run_are_refused(viewer: Viewer, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="give another --port"):
        Viewer(tmp_path / "run", viewer.server_port)
    with pytest.raises(ResultsError, match=r"run\.json"):
        Viewer(tmp_path)


def test_the_command_serves_until_ctrl_c_and_ends_well(run: Path) -> None:
    command = [str(Path(sys.executable).parent / "lilliput"), "view", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        assert get(f"{url}items")[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
