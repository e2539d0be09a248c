import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from results.differences import paired_difference
from results.errors import ResultsError
from results.schema import OUTCOMES, AnswerRecord, Record
from results.stats import mean_interval
from results.summarize import summarize_answers
from results.summary import Row, Summary, read_summary, write_summary


@pytest.fixture
def records(
    make_record: Callable[..., Record], make_failed: Callable[[int], Record]
) -> list[Record]:
    return [*(make_record(number) for number in range(60)), make_failed(60), make_failed(61)]


def row_of(summary: Summary, method: str, k: int) -> Row:
    (row,) = (row for row in summary.rows if (row.method, row.k) == (method, k))
    return row


def values(records: list[Record], method: str, k: int) -> np.ndarray:
    answers = [answer for record in records for answer in record.answers]
    return np.array(
        [answer.value for answer in answers if (answer.method, answer.k) == (method, k)]
    )


def test_a_row_is_the_mean_and_its_interval(records: list[Record]) -> None:
    row = row_of(summarize_answers(records), "oracle", 4)
    ids = [record.item_id for record in records if record.outcome == "ok"]
    wanted = mean_interval(values(records, "oracle", 4), groups=ids)
    assert row.value == pytest.approx(values(records, "oracle", 4).mean())
    assert (row.low, row.high, row.stderr) == pytest.approx(
        (wanted.low, wanted.high, wanted.stderr)
    )
    assert (row.task, row.member, row.metric, row.items) == ("toy", "small", "accuracy", 60)


def test_rows_come_by_method_then_k(records: list[Record]) -> None:
    found = [(row.method, row.k) for row in summarize_answers(records).rows]
    methods = [(name, k) for name in ("majority", "best_of:rm", "oracle") for k in (1, 2, 4, 8)]
    assert found == [("greedy", 0), ("first", 1), *methods]


def test_failed_items_are_in_every_count_and_in_no_mean(records: list[Record]) -> None:
    summary = summarize_answers(records)
    assert summary.items == {"ok": 60, "too_long": 2}
    assert summary.items_failed == 2
    assert {row.items for row in summary.rows} == {60}


def test_outcomes_add_up_to_the_candidates(records: list[Record]) -> None:
    summary = summarize_answers(records)
    assert list(summary.outcomes) == list(OUTCOMES)
    assert sum(summary.outcomes.values()) == sum(len(record.candidates) for record in records)


def test_differences_are_paired_on_the_same_items(records: list[Record]) -> None:
    row = row_of(summarize_answers(records), "majority", 8)
    majority, groups = values(records, "majority", 8), [r.item_id for r in records if r.answers]
    greedy = paired_difference(majority, values(records, "greedy", 0), groups=groups)
    first = paired_difference(majority, values(records, "first", 1), groups=groups)
    assert (row.versus_greedy, row.versus_greedy_p) == pytest.approx((greedy.value, greedy.p))
    assert (row.versus_greedy_low, row.versus_greedy_high) == pytest.approx(
        (greedy.low, greedy.high)
    )
    assert (row.versus_first, row.versus_first_p) == pytest.approx((first.value, first.p))


def test_a_baseline_has_no_difference_to_itself(records: list[Record]) -> None:
    summary = summarize_answers(records)
    assert row_of(summary, "greedy", 0).versus_greedy is None
    assert row_of(summary, "greedy", 0).versus_first is not None
    assert row_of(summary, "first", 1).versus_first is None


def test_tokens_are_what_k_draws_and_their_scores_cost(records: list[Record]) -> None:
    summary = summarize_answers(records)
    assert row_of(summary, "greedy", 0).tokens == 60 * 30
    assert row_of(summary, "greedy", 0).prompt_tokens == 60 * 40
    assert row_of(summary, "majority", 2).tokens == 60 * 2 * 30
    assert row_of(summary, "majority", 2).prompt_tokens == 60 * 2 * 40
    assert row_of(summary, "best_of:rm", 2).tokens == 60 * 2 * (30 + 80)
    assert summary.usage["scorer:rm"] == {
        "model": "armo",
        "requests": 480,
        "prompt_tokens": 60 * 8 * 80,
        "tokens": 0,
    }


def test_tokens_that_a_source_does_not_tell_stay_unknown(records: list[Record]) -> None:
    silent = replace(records[0].candidates[1], tokens=None)
    records[0] = replace(records[0], candidates=(records[0].candidates[0], silent))
    summary = summarize_answers(records)
    assert row_of(summary, "majority", 2).tokens is None
    assert row_of(summary, "greedy", 0).tokens == 60 * 30


def test_truncated_shares_are_of_the_candidates_a_method_saw(records: list[Record]) -> None:
    summary = summarize_answers(records)
    for method, k, greedy in (("greedy", 0, True), ("majority", 8, False)):
        seen = [c.outcome for r in records for c in r.candidates if (c.index < 0) == greedy]
        row = row_of(summary, method, k)
        assert row.truncated == pytest.approx(seen.count("truncated") / len(seen))
        assert row.no_answer == pytest.approx(seen.count("no_answer") / len(seen))


def test_items_of_a_group_are_one_cluster(records: list[Record]) -> None:
    copies = [
        replace(record, item_id=f"{record.item_id}-{copy}")
        for record in records[:60]
        for copy in range(4)
    ]
    alone, together = summarize_answers(records), summarize_answers(copies)
    for row, copied in zip(alone.rows, together.rows, strict=True):
        assert copied.stderr == pytest.approx(row.stderr, rel=0.1)
        assert copied.items == 240


def test_an_item_without_an_answer_leaves_the_others(records: list[Record]) -> None:
    lacking = tuple(answer for answer in records[3].answers if answer.method != "majority")
    records[3] = replace(records[3], answers=lacking)
    summary = summarize_answers(records)
    assert row_of(summary, "majority", 8).items == 59
    assert row_of(summary, "majority", 2).tokens == 59 * 2 * 30
    assert row_of(summary, "oracle", 8).items == 60


def test_monte_carlo_error_shrinks_with_the_items(make_record: Callable[..., Record]) -> None:
    noisy = AnswerRecord(method="majority", metric="accuracy", k=3, value=0.5, mc_error=0.02)
    records = [replace(make_record(number), answers=(noisy,)) for number in range(16)]
    assert summarize_answers(records).rows[0].mc_error == pytest.approx(0.02 / 4)


def test_a_run_where_everything_failed_has_counts_and_no_rows(
    make_failed: Callable[[int], Record],
) -> None:
    summary = summarize_answers([make_failed(1)])
    assert summary.rows == ()
    assert summary.items == {"ok": 0, "too_long": 1}


def test_records_are_let_go_as_they_are_read(make_record: Callable[..., Record]) -> None:
    class Noticed(Record):
        """A record that can be watched."""

    watched: list[weakref.ref[Record]] = []

    def stream() -> Iterator[Record]:
        for number in range(5):
            kept = make_record(number)
            record = Noticed(**{f.name: getattr(kept, f.name) for f in fields(kept)})
            watched.append(weakref.ref(record))
            yield record
            del record
            gc.collect()
            assert sum(ref() is not None for ref in watched) <= 1

    assert summarize_answers(stream()).items == {"ok": 5}
    assert len(watched) == 5


def test_an_item_that_comes_twice_and_a_second_task_are_refused(records: list[Record]) -> None:
    with pytest.raises(ResultsError, match="'toy-0' twice"):
        summarize_answers([records[0], records[0]])
    with pytest.raises(ResultsError, match="'toy' and 'other'"):
        summarize_answers([records[0], replace(records[1], task="other")])


def test_duplicates_are_the_share_of_an_items_draws_that_repeat_an_earlier_one(
    make_record: Callable[..., Record],
) -> None:
    def saying(number: int, *texts: str) -> Record:
        record = make_record(number, num_draws=len(texts))
        greedy, *draws = record.candidates
        draws = [replace(c, text=text) for c, text in zip(draws, texts, strict=True)]
        return replace(record, candidates=(replace(greedy, text=texts[0]), *draws))

    records = [saying(0, "a", "b", "a", "a"), saying(1, "a", "b", "c", "d")]
    summary = summarize_answers(records)
    assert row_of(summary, "first", 1).duplicates == pytest.approx((2 / 4 + 0) / 2)
    assert row_of(summary, "greedy", 0).duplicates is None


def test_a_summary_is_kept_whole_with_its_warnings(records: list[Record], tmp_path: Path) -> None:
    summary = summarize_answers(records, limited=True)
    write_summary(tmp_path, summary)
    assert read_summary(tmp_path) == summary
    with pytest.raises(ResultsError, match=r"summary\.json"):
        write_summary(tmp_path / "absent", summary)
