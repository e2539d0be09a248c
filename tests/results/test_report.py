import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from results.errors import ResultsError
from results.report import headline, warnings, write_report
from results.schema import OUTCOMES, ErrorRecord, Record, Turn
from results.summary import Summary, summarize_answers

ATTACK = "<script>document.title = 'owned'</script><img src=x onerror=alert(1)>"


def test_the_page_stands_alone(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    run = make_run([make_record(number) for number in range(30)])
    page = Path(write_report(run)).read_text(encoding="utf-8")
    assert len(json.loads((run / "summary.json").read_text())["rows"]) == 14
    assert page.count('class="plotly-graph-div"') == 2
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", page)
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


def test_the_first_twenty_items_are_shown_whole(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    long = "word " * 5000 + "the end"
    records = [make_record(number) for number in range(25)]
    records[0] = replace(records[0], candidates=(replace(records[0].candidates[0], text=long),))
    page = Path(write_report(make_run(records))).read_text(encoding="utf-8")
    assert "The first 20 of 25" in page
    assert long in page


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
