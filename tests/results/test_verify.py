"""A run is verified as it was written; no changed figure, record, part or page goes unnoticed."""

import gzip
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from results.arrow import from_table, to_table
from results.errors import ResultsError
from results.mismatches import in_json, in_page
from results.parts import encode_part, part_name, read_part
from results.report import write_report
from results.schema import Record
from results.store import Manifest, Store
from results.verify import Verification, verify

Change = Callable[[Record], Record]


@pytest.fixture
def run(tmp_path: Path, make_record: Callable[..., Record]) -> Path:
    """Twelve items in three parts, with summary and page."""
    manifest = Manifest(identity={"data": "data-1"}, about={"limited": False, "num_items": 12})
    with Store.open(tmp_path / "run", manifest) as store:
        for shard in range(3):
            records = [make_record(4 * shard + number, num_draws=4) for number in range(4)]
            store.commit(f"{shard:06d}-abc", records)
    write_report(tmp_path / "run")
    return tmp_path / "run"


def edited(run: Path, shard: str, change: Change) -> None:
    """A record is changed, and the part sealed anew, as a careful hand would."""
    first, *others = from_table(read_part(run, shard))
    content = encode_part(shard, to_table([change(first), *others]))
    (run / part_name(shard)).write_bytes(content)


def lines(found: Verification) -> list[str]:
    return [f"{one.name}: wanted {one.wanted}, got {one.got}" for one in found.mismatches]


def test_a_run_as_it_was_written_is_verified_and_left_as_it_was(run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    found = verify(run)
    assert lines(found) == []
    assert (found.items, found.parts) == (12, 3)
    assert found.figures > 200
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("field", ["value", "low", "versus_greedy_p", "items", "if_highest"])
def test_every_changed_figure_of_the_summary_is_named(run: Path, field: str) -> None:
    path = run / "summary.json"
    summary = json.loads(path.read_text())
    row = next(row for row in summary["rows"] if (row["method"], row["k"]) == ("majority", 4))
    was, row[field] = row[field], row[field] + 1
    path.write_text(json.dumps(summary))
    (line,) = lines(verify(run))
    name = f"summary.json: rows[toy small majority accuracy 4].{field}"
    assert line == f"{name}: wanted {json.dumps(was)}, got {json.dumps(was + 1)}"


def test_a_run_directory_may_have_been_renamed(run: Path) -> None:
    moved = run.rename(run.with_name("other-name"))
    assert lines(verify(moved)) == []


def test_rows_that_were_removed_or_added_are_seen(run: Path) -> None:
    path = run / "summary.json"
    summary = json.loads(path.read_text())
    del summary["rows"][0], summary["outcomes"]["wrong"]
    summary["cost"] = 5
    path.write_text(json.dumps(summary))
    first, second, third = lines(verify(run))
    assert "rows: wanted" in first
    assert "outcomes.wrong" in second
    assert third == "summary.json: cost: wanted nothing, got 5"
    path.write_text("{")
    assert "wanted JSON" in lines(verify(run))[0]


def test_a_figure_that_was_changed_on_the_page_is_shown_as_it_should_be(run: Path) -> None:
    rows = json.loads((run / "summary.json").read_text())["rows"]
    (value,) = (r["value"] for r in rows if (r["method"], r["k"]) == ("majority", 4))
    path = run / "report.html"
    path.write_text(path.read_text().replace(f">{100 * value:.1f}", ">99.9"))
    found = lines(verify(run))
    assert found
    for line in found:
        assert line.startswith("report.html, after ")
        assert f"{100 * value:.1f}" in line.partition(", got ")[0]
        assert "99.9" in line.partition(", got ")[2]


def test_a_record_edited_and_sealed_anew_changes_the_figures_it_is_in(run: Path) -> None:
    def better(record: Record) -> Record:
        answers = (
            replace(a, value=min(a.value + 0.4, 1.0)) if (a.method, a.k) == ("majority", 2) else a
            for a in record.answers
        )
        return replace(record, answers=tuple(answers))

    edited(run, "000001-abc", better)
    found = lines(verify(run))
    assert any("rows[toy small majority accuracy 2].value" in line for line in found)
    assert not any("majority accuracy 4].value" in line for line in found)
    assert any(line.startswith("report.html") for line in found)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: replace(c, correct=True), "candidate 0 (sample) correct: wanted False"),
        (lambda c: replace(c, outcome="fine"), "outcome: wanted one of correct, wrong"),
        (lambda c: replace(c, grade=()), "candidate 0 (sample) correct: wanted None"),
        (
            lambda c: replace(c, grade=(replace(c.grade[0], value=7.0),)),
            "accuracy: wanted a credit from 0 to 1, got 7.0",
        ),
    ],
)
def test_a_candidate_that_contradicts_itself_is_named_with_its_item(
    run: Path, change: Callable[[Any], Any], told: str
) -> None:
    def changed(record: Record) -> Record:
        greedy, first, *others = record.candidates
        wrong = replace(first, outcome="wrong", correct=False)
        return replace(record, candidates=(greedy, change(wrong), *others))

    edited(run, "000000-abc", changed)
    (line,) = lines(verify(run))
    assert line.startswith("item 'toy-0': ")
    assert told in line


def test_answers_twice_or_beyond_all_credit_or_of_another_verdict_are_told(run: Path) -> None:
    def changed(record: Record) -> Record:
        greedy, first, *others = record.answers
        other = not record.candidates[0].correct
        answers = (replace(greedy, candidate=-1, correct=other), first, first, *others)
        return replace(record, answers=(*answers, replace(first, method="x", value=1.5)))

    edited(run, "000002-abc", changed)
    found = lines(verify(run))
    assert len(found) == 3
    assert "answers of first accuracy k=1: wanted 1, got 2" in found[0]
    assert "greedy accuracy k=0 correct" in found[1]
    assert "x accuracy k=1: wanted a credit from 0 to 1, got 1.5" in found[2]


def test_damaged_and_missing_parts_are_named(run: Path) -> None:
    part = run / part_name("000001-abc")
    content = part.read_bytes()
    part.write_bytes(content[:-9])
    (line,) = lines(verify(run))
    assert line.startswith("records/part-000001-abc.arrow: wanted as committed, got ")
    part.unlink()
    (line,) = lines(verify(run))
    assert "items: wanted 12, as run.json says, got 8 in 2 parts, no part 000001" in line
    assert "the command that made the run" in line


def test_an_item_that_is_there_twice_is_named(run: Path) -> None:
    records = [*from_table(read_part(run, "000000-abc"))]
    twice = [*records[:3], records[0]]
    (run / part_name("000000-abc")).write_bytes(encode_part("000000-abc", to_table(twice)))
    (line,) = lines(verify(run))
    assert "wanted each item once, got 'toy-0' twice" in line


def test_files_that_are_not_there_are_told_with_what_writes_them(run: Path) -> None:
    (run / "report.html").unlink()
    (run / "summary.json").unlink()
    found = lines(verify(run))
    assert [line.split(":")[0] for line in found] == ["summary.json", "report.html"]
    assert "`lilliput report` writes it" in found[0]


def test_a_manifest_that_was_edited_is_seen(run: Path) -> None:
    path = run / "run.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "identity": {"data": "data-2"}}))
    (line,) = lines(verify(run))
    assert line.startswith("run.json: digest of identity")
    usage = {"generator:greedy": {"model": "small", "requests": 12}}
    path.write_text(json.dumps({**kept, "about": {**kept["about"], "usage": usage}}))
    assert any(line.startswith("run.json: about.usage: scorer:rm") for line in lines(verify(run)))


def test_a_run_with_a_driver_at_work_is_not_verified_yet(run: Path) -> None:
    manifest = Manifest(identity={"data": "data-1"})
    with Store.open(run, manifest):
        (line,) = lines(verify(run))
    assert "a driver at work" in line
    with pytest.raises(ResultsError, match=r"run\.json"):
        verify(run / "records")


def test_numbers_may_differ_by_rounding_and_by_no_more() -> None:
    wanted = {"rows": [{"method": "m", "value": 0.61}], "items": 5, "done": True}
    rounded = {**wanted, "rows": [{"method": "m", "value": 0.61 + 1e-14}]}
    assert not list(in_json(wanted, rounded, "f"))
    for other in (
        {**wanted, "rows": [{"method": "m", "value": 0.6100001}]},
        {**wanted, "items": True},
        {**wanted, "done": 1},
        {**wanted, "rows": {}},
    ):
        assert len(list(in_json(wanted, other, "f"))) == 1


def test_texts_of_pages_are_told_apart_wherever_they_stand() -> None:
    page = (
        "<style>a{b:1}</style><h2>Results</h2><p title='12 %'>five <b>6</b></p><script>[7]</script>"
    )
    for was, now in (("12 %", "13 %"), ("five", "four"), (">6<", ">8<"), ("[7]", "[9]")):
        (found,) = in_page(page, page.replace(was, now), "page")
        assert "Results" in found.name or "five" in found.name


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("h1 {", "h1::after { content: '99.9 %' } h1 {"),
        ("<table>", "<table hidden>"),
        ("<p>a", "<p style='display:none'>a"),
        ("<p>a", "<p onload='x()'>a"),
        ("</table>", "</table><script src='x.js'></script>"),
        ("<p>a", "<!-- b --><p>a"),
    ],
)
def test_what_hides_or_adds_without_a_text_is_told(was: str, becomes: str) -> None:
    page = "<style>h1 { color: red }</style><table><td>1</td></table><p>a</p>"
    (found,) = in_page(page, page.replace(was, becomes, 1), "p")
    assert found.name == "p: tags and styles"
    assert [*in_page(page, page, "p")] == []


def test_packed_data_of_a_page_is_compared_unpacked() -> None:
    def page(level: int, *texts: str) -> str:
        packed = gzip.compress("\n".join(texts).encode(), level, mtime=level)
        return f"<p>Items</p><script type='text/plain'>{b64encode(packed).decode()}</script>"

    wanted = page(1, "one 1", "two 2", "three 3")
    assert not list(in_page(wanted, page(9, "one 1", "two 2", "three 3"), "page"))
    (found,) = in_page(wanted, page(9, "one 1", "two 7", "three 3"), "page")
    assert (found.wanted, found.got) == ("'two 2'", "'two 7'")
    damaged = wanted.replace("</script>", "AAAA</script>")
    assert list(in_page(wanted, damaged[:60] + "x" + damaged[61:], "page"))
