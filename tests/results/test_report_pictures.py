"""Charts as numbers: what is drawn where."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from results.lengths import LengthRow
from results.report.figures import by_length, charts, compared
from results.report.svg import (
    Axis,
    Point,
    Series,
    at_axis,
    line_chart,
    log_axis,
    share_axis,
    short,
    value_axis,
)
from results.report.sweeps import greedy_and_draws, pool_rows, sweeps
from results.schema import AnswerRecord, Record
from results.summarize import summarize_answers
from results.summary import Row, Summary

X = Axis("draws", 1, 4, [(1, "1"), (4, "4")], log=True)
GREEDY = [("greedy", 0)]
DRAWN = [("first", 1), ("majority", 1), ("majority", 8), ("oracle", 1), ("oracle", 8)]
NAME = "<b>&\u2028 best"


def point(x: float, y: float) -> Point:
    return Point(x=x, y=y, low=y - 0.1, high=y + 0.1, says=f"{NAME} {y}")


def summary_of(rows: list[Row]) -> Summary:
    return Summary(rows=tuple(rows), outcomes={}, usage={}, items={"ok": 9})


@pytest.fixture(scope="module")
def study(make_record: Callable[..., Record]) -> Summary:
    """Two members, greedy at two penalties and drawn at two temperatures and two top-p."""
    pools = ["t=0,p=1,r=1", "t=0,p=1,r=1.2", "t=1,p=1,r=1", "t=0.5,p=1,r=1", "t=1,p=0.9,r=1"]
    answers = [
        AnswerRecord(
            method=f"{name} of {member} {pool}",
            metric="accuracy",
            k=k,
            value=0.5 if "r=1.2" in pool else value,
        )
        for member, value in (("big", 0.75), ("small", 0.25))
        for pool in pools
        for name, k in (GREEDY if "t=0," in pool else DRAWN)
    ]
    return summarize_answers(replace(make_record(n), answers=tuple(answers)) for n in range(9))


def test_a_chart_is_sound_xml_and_its_names_are_text() -> None:
    series = [Series(name=NAME, points=[point(1, 0.5), point(4, 0.75)], number=0)]
    picture = line_chart(NAME, series, X, share_axis("accuracy", series[0].points))
    root = ElementTree.fromstring(picture)
    assert root.attrib["aria-label"] == NAME
    assert [title.text for title in root.iter("title")] == [f"{NAME} 0.5", f"{NAME} 0.75"]


def test_nothing_is_drawn_outside_of_the_picture() -> None:
    points = [point(x, y) for x, y in ((1, 0.0), (2, 0.5), (4, 1.0))]
    curve = Series(name="a", points=points, number=9, band=False)
    flat = Series(name="b", points=[point(0, 0.95)], number=1, flat=True)
    picture = str(line_chart("t", [curve, flat], X, share_axis("accuracy", points)))
    for x, y in re.findall(r"[ML(](-?[\d.]+),(-?[\d.]+)", picture.replace("translate", "")):
        assert -5 <= float(x) <= 400
        assert -5 <= float(y) <= 262
    assert "nan" not in picture.lower()


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.31, 0.58, ["30", "35", "40", "45", "50", "55", "60"]),
        (0.0, 1.0, ["0", "20", "40", "60", "80", "100"]),
        (0.912, 0.914, ["91.2", "91.25", "91.3", "91.35", "91.4"]),
        (0.5, 0.5, ["50"]),
    ],
)
def test_shares_are_ticked_in_round_steps(low: float, high: float, ticks: list[str]) -> None:
    axis = share_axis("accuracy", [Point(x=1, y=low, low=low, high=high, says="")])
    assert [text for _, text in axis.ticks] == ticks
    assert axis.low <= low <= high <= axis.high


def test_values_are_ticked_with_as_many_digits_as_their_step_has() -> None:
    said = [
        [text for _, text in value_axis("", values).ticks] for values in ([100, 110], [100, 111])
    ]
    assert said[0] == ["100", "102", "104", "106", "108", "110"]
    assert said[1] == ["100", "102.5", "105", "107.5", "110", "112.5"]
    assert value_axis("characters", [1200, 1204]).ticks[1][1] == "1.201k"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (999.4, "999"), (999.9, "1k"), (-999_600, "-1M"), (2e12, "2T")],
)
def test_a_number_on_an_axis_is_short(value: float, text: str) -> None:
    assert short(value) == text


def test_ticks_keep_apart() -> None:
    axis = at_axis("k", [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048])
    places = [axis.at(value, 0, 400) for value, _ in axis.ticks]
    assert len(places) > 5
    assert min(b - a for a, b in pairwise(places)) > 20
    assert [text for _, text in log_axis("tokens", [18, 2100]).ticks][:2] == ["20", "50"]


def test_a_run_has_curves_costs_and_lengths(make_record: Callable[..., Record]) -> None:
    summary = summarize_answers(make_record(number) for number in range(12))
    titles = [chart.title for chart in charts(summary)]
    assert titles == ["accuracy against draws", "accuracy against tokens per item"]
    known = summary_of([replace(row, gpu_seconds=row.k + 1.0) for row in summary.rows])
    assert "accuracy against GPU-seconds per item" in [chart.title for chart in charts(known)]
    assert charts(summary_of([])) == []


def test_a_length_that_few_candidates_have_is_not_drawn() -> None:
    rows = [
        LengthRow(
            member="m", decoding="sample", unit="tokens", shortest=shortest, longest=shortest + 9,
            value=0.5, low=0.1, high=0.9, candidates=candidates,
        )
        for shortest, candidates in ((10, 40), (20, 9), (30, 10))
    ]  # fmt: skip
    chart = by_length(replace(summary_of([]), lengths=tuple(rows)))
    assert chart is not None
    assert [point.x for point in chart.series[0].points] == pytest.approx([13.8, 34.2], rel=0.05)
    assert by_length(replace(summary_of([]), lengths=tuple(rows[:2]))) is None


def test_each_swept_setting_has_a_chart_with_a_line_for_each_member(study: Summary) -> None:
    found = {chart.title: chart for chart in sweeps(study)}
    assert list(found) == [
        "accuracy against temperature",
        "accuracy against top-p",
        "accuracy against repetition penalty",
    ]
    lines = {
        title: {one.name: [p.x for p in one.points] for one in chart.series}
        for title, chart in found.items()
    }
    assert lines["accuracy against temperature"] == {
        "big": [0.0, 0.5, 1.0], "small": [0.0, 0.5, 1.0],
        "big, top p 0.9": [0.0, 1.0], "small, top p 0.9": [0.0, 1.0],
    }  # fmt: skip
    big = found["accuracy against temperature"].series[0]
    assert [point.y for point in big.points] == [0.75, 0.75, 0.75]
    assert lines["accuracy against top-p"] == {"big": [0.9, 1.0], "small": [0.9, 1.0]}
    assert lines["accuracy against repetition penalty"] == {
        "big, greedy": [1.0, 1.2],
        "small, greedy": [1.0, 1.2],
    }


def test_what_a_study_has_for_its_cost_is_greedy_and_curves_of_rankers(study: Summary) -> None:
    rows = compared(pool_rows(study.rows))
    names = list(dict.fromkeys(row.method for row in rows))
    assert names[:2] == ["greedy of big r=1", "greedy of big r=1.2"]
    assert not [name for name in names if name.startswith(("oracle", "prefix"))]
    assert {"t=1,p=1", "t=0.5,p=1", "t=1,p=0.9"} == {
        name.rpartition(" ")[2] for name in names if not name.startswith("greedy")
    }
    known = summary_of(
        [replace(row, cpu_seconds=(row.k or 1) * row.items * 1.0) for row in study.rows]
    )
    (chart,) = [c for c in charts(known) if c.title == "accuracy against CPU-seconds per item"]
    for one in chart.series:
        drawn = sorted({row.k for row in rows if row.method == one.name})
        assert [point.x for point in one.points] == [k or 1 for k in drawn]


def test_draws_stand_beside_the_greedy_decoding_of_their_member(study: Summary) -> None:
    found = {dots.label: dots for dots in greedy_and_draws(study)}
    assert list(found) == [
        f"{member} {pool}"
        for member in ("big", "small")
        for pool in ("t=1,p=1,r=1", "t=0.5,p=1,r=1", "t=1,p=0.9,r=1")
    ]
    greedy = found["big t=1,p=0.9,r=1"].greedy
    assert greedy is not None
    assert greedy.method == "greedy of big t=0,p=1,r=1"


def test_a_study_has_a_curve_for_each_pool_of_draws(study: Summary) -> None:
    titles = [chart.title for chart in charts(study)]
    assert titles.count("accuracy against draws of small t=0.5,p=1,r=1") == 1
    assert sum("against draws of" in title for title in titles) == 6
