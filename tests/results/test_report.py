import csv
import gzip
import json
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from results.errors import ResultsError
from results.outcomes import OutcomeRow
from results.report import browser, headline, report, warnings, write_report
from results.schema import OUTCOMES, ErrorRecord, Record, Turn
from results.summarize import summarize_answers
from results.summary import Summary, read_summary

ATTACK = "<script>document.title = 'owned'</script><img src=x onerror=alert(1)>"


def test_the_page_stands_alone(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    run = make_run([make_record(number) for number in range(30)])
    page = Path(write_report(run)).read_text(encoding="utf-8")
    assert len(json.loads((run / "summary.json").read_text())["rows"]) == 14
    assert page.count('<svg class="chart"') == 2
    assert not re.search(r"""<(script|link|img|iframe)[^>]+(src|href)="(?!data:,")""", page)
    assert len(page) < 100_000
    assert "prefers-color-scheme" in page
    assert "viewport" in page
    assert '"data": "data-1"'.replace('"', "&#34;") in page


def test_what_models_and_data_wrote_is_escaped_everywhere(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    record = make_record(0)
    bad = replace(
        record,
        item_id=ATTACK,
        task=ATTACK,
        reference=ATTACK,
        messages=(Turn(role=ATTACK, content=ATTACK),),
        candidates=(
            replace(record.candidates[0], text=ATTACK, answer=ATTACK, member=ATTACK),
            *record.candidates[1:],
        ),
        answers=tuple(replace(a, method=ATTACK, metric=ATTACK) for a in record.answers[1:2]),
        error=ErrorRecord(kind=ATTACK, message=ATTACK),
    )
    page = Path(write_report(make_run([bad]))).read_text(encoding="utf-8")
    assert "<script>document.title" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;document.title") >= 8


def held(page: str) -> list[Any]:
    """The items that a page holds."""
    blocks = re.findall(r'<script type="text/plain" class="packed">(.*?)</script>', page)
    return [json.loads(line) for b in blocks for line in gzip.decompress(b64decode(b)).splitlines()]


def test_the_page_holds_items_whole(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    long = "word " * 5000 + "the end"
    records = [make_record(number) for number in range(25)]
    records[0] = replace(records[0], candidates=(replace(records[0].candidates[0], text=long),))
    items = held(Path(write_report(make_run(records))).read_text(encoding="utf-8"))
    assert len(items) == 25
    assert items[0]["candidates"][0]["text"] == long
    assert items[1]["reference"] == "5"
    assert [c["i"] for c in items[1]["candidates"]] == [c.index for c in records[1].candidates]


def test_a_page_holds_no_more_than_fits_and_says_so(
    make_run: Callable[..., Path],
    make_record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(browser, "MAX_PLAIN", 30_000)
    run = make_run([make_record(number) for number in range(25)])
    page = Path(write_report(run)).read_text(encoding="utf-8")
    assert 0 < len(held(page)) < 25
    assert f"the first {len(held(page))} of 25 items" in page
    assert "lilliput view RUN" in page


def test_a_large_item_is_held_rather_than_none(make_record: Callable[..., Record]) -> None:
    record = make_record(0)
    huge = replace(record, candidates=(replace(record.candidates[0], text="x" * 10_000),))
    assert browser.pack([huge, record], 1e-7).num_items == 1


def test_the_same_records_give_the_same_page(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    run = make_run([make_record(number) for number in range(9)])
    first = Path(write_report(run)).read_bytes()
    assert Path(write_report(run, read_summary(run))).read_bytes() == first


def test_a_run_without_a_single_answer_still_has_a_page(
    make_run: Callable[..., Path], make_failed: Callable[[int], Record]
) -> None:
    page = Path(write_report(make_run([make_failed(1), make_failed(2)]))).read_text(
        encoding="utf-8"
    )
    assert "2 of 2 items failed (2 too long)" in page
    assert "No item has an answer" in page


def test_warnings_name_what_spoils_the_figures() -> None:
    counts = dict.fromkeys(("wrong", "judge_failed", "timed_out", "error"), 0)
    clean = {"correct": 100, "truncated": 5, "no_answer": 5, **counts}
    spoiled = {"correct": 80, "truncated": 10, "no_answer": 10, **counts}
    fine = Summary(rows=(), outcomes=clean, usage={}, items={"ok": 10}, limited=False)
    bad = replace(fine, outcomes=spoiled, items={"ok": 9, "too_long": 1}, limited=True)
    assert len(warnings(fine)) == 1
    found = warnings(bad)
    for place, text in enumerate(
        ("Limited", "1 of 10", "10.0% of the candidates: truncated", "no answer")
    ):
        assert text in found[place]


def test_one_pool_that_is_cut_is_not_hidden_among_many() -> None:
    def pool(member: str, truncated: int) -> OutcomeRow:
        counts = {**dict.fromkeys(OUTCOMES, 0), "correct": 100 - truncated, "truncated": truncated}
        return OutcomeRow(member=member, decoding="t=1,p=1,r=1", outcomes=counts)

    outcomes = {**dict.fromkeys(OUTCOMES, 0), "correct": 388, "truncated": 12}
    pools = (pool("a", 0), pool("b", 9), pool("c", 3), pool("d", 0))
    summary = Summary(rows=(), outcomes=outcomes, usage={}, items={"ok": 10}, members=pools)
    assert any(
        text.startswith("9.0% of the candidates of b t=1,p=1,r=1: truncated; raise")
        for text in warnings(summary)
    )
    fine = replace(summary, members=(pool("a", 5), pool("b", 1)))
    assert not any("truncated" in text for text in warnings(fine))


def test_the_summarys_warnings_are_on_the_page_and_none_is_said_twice() -> None:
    outcomes = {**dict.fromkeys(OUTCOMES, 0), "correct": 60, "truncated": 40}
    said = ["40.0% of the candidates were cut before they had an answer: raise max_tokens"]
    summary = Summary(rows=(), outcomes=outcomes, usage={}, items={"ok": 10}, warnings=said)
    assert [text for text in warnings(summary) if "40.0%" in text] == [f"{said[0]}."]


def test_the_headline_has_each_method_at_its_largest_k(make_record: Callable[..., Record]) -> None:
    rows = summarize_answers(make_record(number) for number in range(12)).rows
    found = [(row.method, row.k) for row in headline(rows)]
    assert found == [("greedy", 0), ("first", 1), ("majority", 8), ("best_of:rm", 8), ("oracle", 8)]


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"run\.json"):
        write_report(tmp_path)


def test_wide_intervals_are_said(make_record: Callable[..., Record]) -> None:
    few = summarize_answers(make_record(number) for number in range(8))
    many = summarize_answers(make_record(number) for number in range(300))
    assert any(text.startswith("Wide intervals: up to ") for text in warnings(few))
    assert not any("Wide" in text for text in warnings(many))


def test_several_runs_stand_side_by_side_with_their_differences(
    make_run: Callable[..., Path], make_record: Callable[..., Record], tmp_path: Path
) -> None:
    runs = [
        make_run([make_record(n, skill=skill) for n in range(60)], name)
        for name, skill in (("weak", 0.2), ("strong", 0.8))
    ]
    path = report(runs, output=str(tmp_path / "both.html"))
    page = Path(path).read_text(encoding="utf-8")
    assert "strong minus weak" in page
    assert page.count('<svg class="chart"') == 4
    assert page.count('class="packed"') == 2
    scales = re.findall(r'text-anchor="end">(\d+)<', page)
    assert scales[: len(scales) // 4] == scales[len(scales) // 4 : len(scales) // 2]
    assert ">better</td>" in page


def test_runs_that_cannot_be_compared_are_shown_all_the_same(
    make_run: Callable[..., Path], make_record: Callable[..., Record], tmp_path: Path
) -> None:
    other = [replace(make_record(n), item_id=f"other-{n}", group=f"other-{n}") for n in range(9)]
    runs = [make_run([make_record(n) for n in range(9)]), make_run(other, "other")]
    page = Path(report(runs, output=str(tmp_path / "both.html"))).read_text(encoding="utf-8")
    assert "can&#39;t be compared" in page or "can't be compared" in page
    assert page.count("<caption>accuracy") == 2


def test_csv_and_json_hold_every_row(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    run = make_run([make_record(number) for number in range(9)])
    rows = json.loads((Path(report([run], "json"))).read_text())["runs"][0]["summary"]["rows"]
    with open(report([run], "csv"), encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["run"], line["method"], float(line["value"])) for line in lines] == [
        ("run", row["method"], row["value"]) for row in rows
    ]
    assert lines[0]["versus_greedy"] == ""


def test_markdown_has_figures_with_intervals_and_no_markup_of_others(
    make_run: Callable[..., Path], make_record: Callable[..., Record], tmp_path: Path
) -> None:
    answers = make_record(0).answers
    odd = tuple(replace(a, method=f"{a.method}|<b>*") for a in answers)
    runs = [
        make_run([make_record(n) for n in range(9)]),
        make_run([replace(make_record(n), answers=(*answers, *odd)) for n in range(9)], "two"),
    ]
    text = Path(report(runs, "md", str(tmp_path / "both.md"))).read_text(encoding="utf-8")
    assert re.search(r"\| majority \| accuracy, % \| 8 \| [\d.]+ \| [\d.]+ to [\d.]+ \|", text)
    assert "# two minus run" in text
    assert r"majority\|\<b\>\*" in text
    assert {
        line.replace(r"\|", "").count("|") for line in text.splitlines() if line[:2] == "| "
    } == {
        11,
        4,
    }


def test_a_file_that_is_no_report_is_not_replaced(
    make_run: Callable[..., Path],
    make_record: Callable[..., Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [make_run([make_record(n) for n in range(4)], name) for name in ("a", "b")]
    monkeypatch.chdir(tmp_path)
    assert Path(report(runs)).name == Path(report(runs)).name == "report.html"
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(ResultsError, match="give --output FILE"):
        report(runs)
    assert (tmp_path / "report.html").read_text() == "mine"
    with pytest.raises(ResultsError, match="html, md, csv, json, got 'pdf'"):
        report(runs, "pdf")
