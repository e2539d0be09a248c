"""The page as a browser shows it: headless Chromium opens it from the disk, and clicks."""

import importlib.util
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from results.report import report, write_report
from results.report.view import Viewer
from results.schema import Record, ScoreRecord, Turn

EVIL = (
    "<script>document.title = 'owned'</script></script><!--<script><img src=x onerror=alert(1)>"
    "\u2028\x1b[31mred\x1b[0m \u202ereversed {{ 7 * 7 }} ${7 * 7} </textarea>"
)
LINE = "one line " * 5000


def _load() -> Any:
    spec = importlib.util.spec_from_file_location(
        "chromium", Path(__file__).with_name("chromium.py")
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


chromium = _load()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser for all tests of this file."""
    if chromium.find() is None:
        # A skip is easily overlooked; pytest shows warnings at the end of every session.
        text = "no Chromium here, so no page was opened: apt-get install chromium, or set CHROMIUM"
        warnings.warn(text, stacklevel=1)
        pytest.skip(text)
    with chromium.chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def records(make_record: Callable[..., Record]) -> list[Record]:
    found = [make_record(number) for number in range(45)]
    judged = (ScoreRecord(scorer="judge", value=3.0, said=(f"Fair: {EVIL}", "")),)
    evil = tuple(
        replace(c, text=EVIL if c.index else LINE, answer=EVIL, scores=judged)
        for c in found[3].candidates
    )
    asked = (Turn(role=EVIL, content=EVIL),)
    found[3] = replace(found[3], candidates=evil, messages=asked, reference=EVIL, choices=(EVIL,))
    picked = [
        replace(answer, candidate=number % 3, answer=str(number % 2))
        for number, answer in enumerate(found[5].answers)
    ]
    found[5] = replace(found[5], answers=tuple(picked))
    return found


def items(page: Any) -> list[str]:
    """The ids that are shown."""
    found: list[str] = page.run(
        "[...document.querySelectorAll('.item > summary b')].map(b => b.innerText)"
    )
    return found


WAIT = """
const busy = () => document.getElementById('state').innerText.endsWith('…');
while (turn === before || busy()) await new Promise(done => setTimeout(done, 10));
"""


def turn_page(page: Any, *buttons: str) -> None:
    """Press Back (`back`) or Next (`on`), and wait until the list has followed."""
    for button in buttons:
        click = f"document.getElementById('{button}').click();"
        page.run(f"(async () => {{ const before = turn; {click} {WAIT} }})()")


def choose(page: Any, name: str, value: str | bool) -> None:
    """Set a filter as a user would, and wait until the list has followed."""
    kind = "checked" if isinstance(value, bool) else "value"
    event = "input" if name == "text" else "change"
    page.run(
        f"""(async () => {{
        const box = document.querySelector('#find [name={name}]'), before = turn;
        box.{kind} = {str(value).lower() if kind == "checked" else repr(value)};
        box.dispatchEvent(new Event({event!r}, {{bubbles: true}}));
        {WAIT} }})()"""
    )


def open_item(page: Any, place: int) -> str:
    """Open an item and its candidates; returns all text that is seen."""
    text: str = page.run(
        f"""(async () => {{
        const box = document.querySelectorAll('.item')[{place}];
        box.open = true;
        const wait = () => new Promise(done => setTimeout(done, 10));
        while (!box.querySelector('.candidate')) await wait();
        const candidates = [...box.querySelectorAll('.candidate')];
        for (const one of candidates) one.open = true;
        while (candidates.some(one => one.childElementCount < 3)) await wait();
        for (const one of box.querySelectorAll('.said')) one.open = true;
        return box.innerText; }})()"""
    )
    return text


@pytest.mark.parametrize(("size", "dark"), [(chromium.DESK, False), (chromium.PHONE, True)])
def test_it_loads_without_complaint_and_without_the_network(
    page: Any, make_run: Callable[..., Path], records: list[Record], size: Any, dark: bool
) -> None:
    url = Path(write_report(make_run(records))).as_uri()
    page.open(url, size=size, dark=dark)
    assert page.complaints == []
    assert [request for request in page.requests if not request.startswith("data:")] == [url]
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    share = "chart.getBoundingClientRect().width / chart.parentElement.clientWidth"
    shares = page.run(f"[...document.querySelectorAll('svg.chart')].map(chart => {share})")
    assert all(0.8 < share <= 1 for share in shares)
    seen = page.run("document.body.innerText")
    assert not {"NaN", "None", "undefined", "Infinity"} & set(seen.replace(",", " ").split())
    luminance = page.run(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert (sum(luminance) < 200) is dark


def test_items_are_paged_and_filters_narrow_them(
    page: Any, make_run: Callable[..., Path], records: list[Record]
) -> None:
    page.open(Path(write_report(make_run(records))).as_uri())
    assert len(items(page)) == 20
    turn_page(page, "on")
    assert items(page)[0] == "toy-20"
    turn_page(page, "on", "back")
    assert items(page)[0] == "toy-20"
    choose(page, "text", "(12)")
    assert items(page) == ["toy-12"]
    choose(page, "text", "")
    choose(page, "split", True)
    assert items(page) == ["toy-5"]
    choose(page, "split", False)
    choose(page, "decoding", "greedy")
    choose(page, "outcome", "truncated")
    wanted = [
        r.item_id
        for r in records
        if any((c.decoding, c.outcome) == ("greedy", "truncated") for c in r.candidates)
    ]
    assert items(page) == wanted
    first = open_item(page, 0)
    assert first.count("truncated") == 1
    assert "8 others" in first


def test_what_a_model_wrote_stays_text(
    page: Any, make_run: Callable[..., Path], records: list[Record]
) -> None:
    page.open(Path(write_report(make_run(records[3:4]))).as_uri())
    title = page.run("document.title")
    before = page.run("document.querySelectorAll('script, img').length")
    seen = open_item(page, 0)
    script = "<script>document.title = 'owned'</script></script><!--<script><img src=x"
    assert script in seen
    assert f"Fair: {script}" in seen
    assert "judge wrote a reply" in seen
    for mark in ("U+2028", "U+001B", "U+202E", "{{ 7 * 7 }}", "Show all 45,000 characters"):
        assert mark in seen
    assert page.run("document.title") == title
    assert page.run("document.querySelectorAll('script, img').length") == before
    assert page.complaints == []


def test_a_reply_that_was_given_stands_for_itself(
    page: Any, make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    record = make_record(0)
    reply = replace(record.candidates[1], decoding="given", member="", text="Because.", answer="0")
    run = make_run([replace(record, candidates=(reply,)), make_record(1)])
    page.open(Path(write_report(run)).as_uri())
    seen = open_item(page, 0)
    assert "#0 · Because. · " in seen
    assert "undefined" not in seen
    assert "Answer read from it" not in seen


def test_its_policy_stops_a_script_that_got_in_all_the_same(
    page: Any, make_run: Callable[..., Path], records: list[Record]
) -> None:
    path = Path(write_report(make_run(records[:2])))
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace(
            "<h1>", "<script>document.title = 'owned'</script><img src='https://a.b/c'><h1>"
        ),
        encoding="utf-8",
    )
    page.open(path.as_uri())
    assert page.run("document.title") != "owned"
    assert page.run("fetch('https://a.b/c').then(() => 'through', () => 'stopped')") == "stopped"
    assert any("Content Security Policy" in text for text in page.complaints)


def test_several_runs_share_a_page_and_a_legend_points_at_its_curve(
    page: Any, make_run: Callable[..., Path], records: list[Record], tmp_path: Path
) -> None:
    runs = [make_run(records, "one"), make_run(records, "two")]
    page.open(Path(report(runs, output=str(tmp_path / "both.html"))).as_uri(), size=chromium.PHONE)
    assert page.complaints == []
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    choose(page, "run", "two")
    choose(page, "text", "(12)")
    assert items(page) == ["toy-12"]
    page.run("document.querySelector('.legend button').click()")
    dim = page.run("document.querySelectorAll('.panel')[0].querySelectorAll('g.dim').length")
    assert (
        dim == page.run("document.querySelectorAll('.panel')[0].querySelectorAll('g').length") - 1
    )


def test_a_served_run_is_filtered_and_opened_like_a_page(
    page: Any, make_run: Callable[..., Path], records: list[Record]
) -> None:
    run = make_run(records)
    write_report(run)
    with Viewer(run) as viewer:
        thread = threading.Thread(target=viewer.serve_forever, args=(0.05,))
        thread.start()
        page.open(viewer.url)
        assert page.complaints == []
        turn_page(page, "on")
        assert items(page)[0] == "toy-20"
        choose(page, "text", "(12)")
        assert items(page) == ["toy-12"]
        choose(page, "text", "owned")
        assert items(page) == ["toy-3"]
        assert "U+202E" in open_item(page, 0)
        assert page.run("document.title") != "owned"
        viewer.shutdown()
        thread.join()
