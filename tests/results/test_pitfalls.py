"""What a summary warns of, from made-up runs that have exactly one thing wrong."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from results.schema import AnswerRecord, CandidateRecord, GradeRecord, Record
from results.summarize import summarize_answers

Make = Callable[..., Record]
Change = Callable[[CandidateRecord], CandidateRecord]


def with_candidates(record: Record, change: Change) -> Record:
    return replace(record, candidates=tuple(map(change, record.candidates)))


@pytest.fixture
def sound(make_record: Make) -> Callable[..., list[Record]]:
    """Items whose texts all differ, of moderate difficulty: nothing to warn of."""

    def make(num: int = 60, **how: int) -> list[Record]:
        return [
            with_candidates(
                make_record(number, **how), lambda c: replace(c, text=f"draw {c.index}: {c.text}")
            )
            for number in range(num)
        ]

    return make


def choosing(records: list[Record], num_choices: int, *, right: int) -> list[Record]:
    """The same items with choices, of which greedy gets the first `right` right."""
    choices = tuple(f"option {i}" for i in range(num_choices))
    return [
        replace(
            record,
            choices=choices,
            answers=(
                AnswerRecord(method="greedy", metric="accuracy", k=0, value=float(place < right)),
                AnswerRecord(method="first", metric="accuracy", k=1, value=0.9),
            ),
        )
        for place, record in enumerate(records)
    ]


def test_a_sound_run_has_no_warning(sound: Callable[..., list[Record]]) -> None:
    assert summarize_answers(sound()).warnings == []


@pytest.mark.parametrize("num_draws", [2, 8])
def test_draws_that_are_copies_are_told(sound: Callable[..., list[Record]], num_draws: int) -> None:
    records = sound(num_draws=num_draws)
    copied = [with_candidates(r, lambda c: replace(c, text="the same")) for r in records]
    (warning,) = summarize_answers(copied).warnings
    assert warning.startswith("100.0% of the draws after an item's first repeat")
    assert "seeds" in warning


def test_short_answers_and_half_of_the_draws_may_repeat(
    sound: Callable[..., list[Record]],
) -> None:
    short = [
        with_candidates(record, lambda c: replace(c, text="B", tokens=2)) for record in sound()
    ]
    assert summarize_answers(short).warnings == []
    pairs = [
        with_candidates(record, lambda c: replace(c, text=f"pair {c.index // 2}"))
        for record in sound()
    ]
    # Four of the seven draws that could repeat one do.
    assert summarize_answers(pairs).warnings[0].startswith("57.1%")
    halves = [
        with_candidates(record, lambda c: replace(c, text=f"draw {max(c.index, 3)}"))
        for record in sound()
    ]
    assert summarize_answers(halves).warnings == []


def test_tokens_that_a_replay_does_not_tell_make_no_copies(
    sound: Callable[..., list[Record]],
) -> None:
    silent = [with_candidates(r, lambda c: replace(c, text="x", tokens=None)) for r in sound()]
    assert summarize_answers(silent).warnings == []


def test_greedy_within_noise_of_guessing_is_told_with_its_numbers(
    sound: Callable[..., list[Record]],
) -> None:
    (warning,) = summarize_answers(choosing(sound(100), 4, right=26)).warnings
    assert warning.startswith("accuracy 0.26 [0.1")
    assert "is within noise of guessing (0.25): check the model, its chat template" in warning


def test_a_score_below_guessing_is_told_too(sound: Callable[..., list[Record]]) -> None:
    (warning,) = summarize_answers(choosing(sound(100), 2, right=10)).warnings
    assert "is below guessing (0.50)" in warning


def test_a_score_above_guessing_is_not(sound: Callable[..., list[Record]]) -> None:
    assert summarize_answers(choosing(sound(100), 4, right=60)).warnings == []


def test_chance_is_the_mean_over_items_with_their_own_numbers_of_choices(
    sound: Callable[..., list[Record]],
) -> None:
    records = choosing(sound(100), 2, right=40)
    mixed = [replace(r, choices=("a",) * 10) if i % 2 else r for i, r in enumerate(records)]
    (warning,) = summarize_answers(choosing(sound(100), 2, right=40)).warnings
    assert "guessing (0.50)" in warning
    (warning,) = summarize_answers(
        [
            replace(r, answers=(replace(r.answers[0], value=float(i < 30)),))
            for i, r in enumerate(mixed)
        ]
    ).warnings
    assert "guessing (0.30)" in warning


def test_without_greedy_the_single_draw_is_compared_with_chance(
    sound: Callable[..., list[Record]],
) -> None:
    drawn = [
        replace(r, answers=(replace(r.answers[1], value=0.25),))
        for r in choosing(sound(), 4, right=60)
    ]
    (warning,) = summarize_answers(drawn).warnings
    assert warning.startswith("accuracy 0.25 [")


def test_not_one_correct_candidate_is_told_once_enough_are_graded(
    sound: Callable[..., list[Record]],
) -> None:
    def wrong(candidate: CandidateRecord) -> CandidateRecord:
        return replace(candidate, outcome="wrong", correct=False)

    none = [with_candidates(record, wrong) for record in sound(4, num_draws=4)]
    (warning,) = summarize_answers(none).warnings
    assert warning.startswith("none of 20 candidates is correct")
    assert summarize_answers(none[:3]).warnings == []


def test_more_than_a_third_of_truncated_candidates_is_told(
    sound: Callable[..., list[Record]],
) -> None:
    def cut(last: int) -> list[Record]:
        def change(candidate: CandidateRecord) -> CandidateRecord:
            outcome = "truncated" if candidate.index < last else "correct"
            return replace(candidate, outcome=outcome)

        return [with_candidates(record, change) for record in sound()]

    assert summarize_answers(cut(2)).warnings == []
    (warning,) = summarize_answers(cut(3)).warnings
    assert warning.startswith("44.4% of the candidates were cut")
    assert "raise max_tokens" in warning


def test_candidates_without_a_verdict_are_counted_with_the_items_they_cost(
    sound: Callable[..., list[Record]],
) -> None:
    def late(indices: set[int]) -> Change:
        return lambda c: (
            replace(c, outcome="timed_out", correct=None, grade=()) if (c.index in indices) else c
        )

    records = sound()
    records[0] = with_candidates(records[0], late({-1}))
    records[1] = with_candidates(records[1], late({0, 5}))
    (warning,) = summarize_answers(records).warnings
    assert warning.startswith("3 candidates of 2 items were not graded in time")
    assert "leaves out 1 items for it, those of the other methods 1" in warning


def test_what_could_not_be_graded_is_told_where_others_are(
    sound: Callable[..., list[Record]],
) -> None:
    def lost(c: CandidateRecord) -> CandidateRecord:
        return replace(c, outcome="ungraded", grade=(), correct=None)

    records = sound()
    one = with_candidates(records[0], lambda c: lost(c) if c.index == 0 else c)
    (warning,) = summarize_answers([one, *records[1:]]).warnings
    assert warning == "1 candidates could not be graded: they are in no mean"
    assert summarize_answers(with_candidates(record, lost) for record in records).warnings == []


def test_a_program_that_took_too_long_has_failed_and_lacks_no_verdict(
    sound: Callable[..., list[Record]],
) -> None:
    records = sound()
    zero = (GradeRecord(metric="accuracy", value=0.0),)
    records[0] = with_candidates(
        records[0], lambda c: replace(c, outcome="timed_out", correct=False, grade=zero)
    )
    assert summarize_answers(records).warnings == []


def test_a_scorer_without_a_verdict_on_some_candidates_is_told(
    sound: Callable[..., list[Record]],
) -> None:
    records = sound(10, num_draws=4)

    def silent(candidate: CandidateRecord) -> CandidateRecord:
        return replace(candidate, scores=(replace(candidate.scores[0], value=None),))

    records[0] = with_candidates(records[0], silent)
    summary = summarize_answers(records)
    coverage, bounds = summary.warnings
    assert coverage == "scorer rm gave a verdict on 90.0% of the candidates"
    assert bounds.startswith("accuracy, were all that is missing as bad")
    assert summary.coverage == {"rm": 0.9}
