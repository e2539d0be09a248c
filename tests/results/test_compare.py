from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from results.compare import _hypothesis, compare
from results.errors import ResultsError
from results.schema import Record
from results.store import Manifest, Store


def test_a_run_against_itself_shows_no_difference(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    run = make_run([make_record(number) for number in range(40)])
    comparison = compare(run, run)
    assert comparison.items == 40
    assert not comparison.worse
    for row in comparison.rows:
        assert (row.difference, row.p, row.gains, row.losses) == (0, 1, 0, 0)
        assert row.low < 0 < row.high


def test_a_much_weaker_run_is_worse_and_the_other_way_better(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    strong = make_run([make_record(number, skill=0.8) for number in range(80)], "strong")
    weak = make_run([make_record(number, skill=0.3, seed=1) for number in range(80)], "weak")
    down, up = compare(strong, weak), compare(weak, strong)
    (first,) = (row for row in down.rows if row.method == "first")
    assert first.worse
    assert first.difference == pytest.approx(first.b - first.a)
    assert first.p <= first.p_holm
    assert first.losses > first.gains
    assert down.worse
    assert not up.worse


def test_what_all_methods_say_of_one_draw_is_one_hypothesis(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    a = make_run([make_record(number, skill=0.6) for number in range(60)], "a")
    b = make_run([make_record(number, skill=0.4, seed=1) for number in range(60)], "b")
    rows = compare(a, b).rows
    (single,) = (row for row in rows if row.method == "first")
    same = [row for row in rows if (row.k, row.a, row.b) == (1, single.a, single.b)]
    assert {row.p_holm for row in same} == {single.p_holm}
    assert len(same) > 1
    least = min(rows, key=lambda row: row.p)
    num = len(rows) - len(same) + 1
    assert 0 < least.p < 1 / num
    assert least.p_holm == pytest.approx(least.p * num)


def test_sums_in_another_order_are_no_flip_and_no_other_hypothesis(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    def nudged(record: Record, by: float) -> Record:
        """Its draws' credit as another method might add it up."""
        single = [answer for answer in record.answers if answer.k == 1]
        return replace(
            record,
            answers=tuple(
                replace(answer, method=f"{answer.method} {i}", value=0.3 + i * by)
                for i, answer in enumerate(single)
            ),
        )

    a = make_run([nudged(make_record(number), 0.0) for number in range(30)], "a")
    b = make_run([nudged(make_record(number), 1e-16) for number in range(30)], "b")
    rows = [row for row in compare(a, b).rows if row.metric == compare(a, b).rows[0].metric]
    assert len(rows) > 1
    for row in rows:
        assert (row.gains, row.losses, row.gained, row.lost) == (0, 0, (), ())
    assert len({_hypothesis(0, row) for row in rows}) == 1


def test_a_row_says_which_difference_its_items_could_have_shown(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    def between(num: int) -> float:
        a = make_run([make_record(i) for i in range(num)], f"a{num}")
        b = make_run([make_record(i, seed=1) for i in range(num)], f"b{num}")
        (row,) = (row for row in compare(a, b).rows if row.method == "first")
        # 1.96 + 0.84 standard errors; the interval is 1.96 of them to either side.
        assert row.detectable == pytest.approx((row.high - row.low) / 2 * 2.8016 / 1.96, rel=0.1)
        return row.detectable

    assert between(160) == pytest.approx(between(40) / 2, rel=0.3)


def test_only_items_that_both_answered_count(
    make_run: Callable[..., Path],
    make_record: Callable[..., Record],
    make_failed: Callable[[int], Record],
) -> None:
    a = make_run([make_record(number) for number in range(10)], "a")
    b = make_run([*(make_record(n) for n in range(3, 12)), make_failed(0)], "b")
    comparison = compare(a, b)
    assert (comparison.items, comparison.only_a, comparison.only_b) == (7, 3, 2)
    assert {row.items for row in comparison.rows} == {7}


def test_items_are_paired_by_id_whatever_their_order(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    records = [make_record(number) for number in range(20)]
    comparison = compare(make_run(records, "a"), make_run(records[::-1], "b"))
    assert all(row.gains == row.losses == 0 for row in comparison.rows)


def test_a_limited_run_beside_a_full_one_is_flagged(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    full = make_run([make_record(number) for number in range(6)], "full")
    part = make_run([make_record(number) for number in range(4)], "part", limited=True)
    assert (compare(full, part).limited, compare(full, part).mixed) == (True, True)
    assert (compare(part, part).limited, compare(part, part).mixed) == (True, False)
    assert not compare(full, full).limited


def test_runs_that_cannot_be_compared_are_refused(
    make_run: Callable[..., Path], make_record: Callable[..., Record], tmp_path: Path
) -> None:
    records = [make_record(number) for number in range(4)]
    run = make_run(records, "a")
    elsewhere = make_run([make_record(number) for number in range(10, 14)], "b")
    with pytest.raises(ResultsError, match="both runs answered"):
        compare(run, elsewhere)
    other = make_run([replace(record, task="other") for record in records], "c")
    with pytest.raises(ResultsError, match="'toy' and 'other'"):
        compare(run, other)
    greedy = [replace(r, answers=r.answers[:1]) for r in records]
    drawn = [replace(r, answers=r.answers[1:]) for r in records]
    with pytest.raises(ResultsError, match="method, metric and k"):
        compare(make_run(greedy, "d"), make_run(drawn, "e"))
    with Store.open(tmp_path / "f", Manifest(identity={"data": "data-2"})) as store:
        store.commit("a", records)
    with pytest.raises(ResultsError, match="data-1 and data-2"):
        compare(run, tmp_path / "f")


def test_runs_with_other_prompts_over_the_same_rows_are_compared_and_the_setting_is_named(
    make_record: Callable[..., Record], tmp_path: Path
) -> None:
    records = [make_record(i) for i in range(4)]
    for shots in (0, 2):
        identity = {"task": {"name": "toy", "shots": shots}, "data": "d", "fingerprint": shots}
        with Store.open(tmp_path / str(shots), Manifest(identity=identity)) as store:
            store.commit("a", records)
    comparison = compare(tmp_path / "0", tmp_path / "2")
    assert comparison.setting == ("task.shots", 0, 2)
    assert comparison.items > 0
