"""Rankings of players from the verdicts that a run keeps."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from results.bradley_terry import rating_at
from results.judges import Judge, Published
from results.published import published
from results.rankings import RankingRow
from results.schema import CandidateRecord, Record, ScoreRecord
from results.summarize import summarize_answers
from results.summary import Row, Summary

NAN = math.nan


def candidate(
    index: int, member: str, parts: Sequence[float], *, text: str = "", decoding: str = "sample"
) -> CandidateRecord:
    return CandidateRecord(
        index=index, member=member, decoding=decoding, text=text or f"{member} {index}",
        answer=None, outcome="ungraded", finish_reason="stop", prompt_tokens=1, tokens=1,
        logprob=None, seed=None, correct=None, grade=(), seconds=0.0,
        scores=(ScoreRecord(scorer="j", value=None, parts=tuple(parts)),),
    )  # fmt: skip


def item(number: int, *candidates: CandidateRecord, group: str = "") -> Record:
    return Record(
        item_id=f"q{number}", task="t", messages=(), choices=(), reference="r",
        group=group or f"q{number}", category="", candidates=candidates, answers=(), outcome="ok",
        error=None, usage=(),
    )  # fmt: skip


def summary(records: Sequence[Record], form: str) -> Summary:
    judge = Judge(form=form, jurors=("x",), repeats=1, low=0.0, high=1.0, min_coverage=0.0)
    return summarize_answers(records, judges={"j": judge})


def ranked(records: Sequence[Record], form: str) -> dict[str, RankingRow]:
    return {row.player: row for row in summary(records, form).rankings}


def versus(number: int, first: float, second: float, *, weight: float = 1.0) -> Record:
    return item(number, candidate(0, "m", (first, weight, second, weight)))


WIN, LOSS, TIE, PLACE = (1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.0, 1.0)


def test_against_a_baseline_the_rating_is_the_log_odds_of_the_win_rate() -> None:
    said = [WIN] * 5 + [LOSS] * 2 + [TIE, PLACE]
    rows = ranked([versus(i, *one) for i, one in enumerate(said)], "versus")
    assert list(rows) == ["m", "baseline"], "the best first"
    assert rows["baseline"].rating == 1000.0
    assert rows["m"].win_rate == pytest.approx(6 / 9)
    assert rows["m"].rating == pytest.approx(1000 + 400 * math.log10(6 / 3))
    assert rows["m"].win_rate_low < 6 / 9 < rows["m"].win_rate_high
    assert (rows["m"].items, rows["m"].bouts) == (9, pytest.approx(9.0))


def test_a_decisive_verdict_counts_for_as_many_bouts_as_it_weighs() -> None:
    records = [versus(0, *WIN, weight=3.0), versus(1, *LOSS)]
    rows = ranked(records, "versus")
    assert rows["m"].win_rate == pytest.approx(3 / 4)
    said = [(1.0, 3.0, 0.0, 1.0), (0.0, 1.0, 1.0, 1.0)]
    either = [item(i, candidate(0, "m", parts)) for i, parts in enumerate(said)]
    assert ranked(either, "versus")["m"].win_rate == pytest.approx(4 / 6), "each order its own"


def test_a_comparison_without_a_verdict_in_one_order_is_no_bout() -> None:
    records = [versus(0, *WIN), versus(1, *LOSS), versus(2, 1.0, NAN)]
    assert ranked(records, "versus")["m"].items == 2


def test_one_who_always_wins_is_said_to_have_no_finite_rating() -> None:
    found = summary([versus(i, *WIN) for i in range(4)], "versus")
    best, baseline = found.rankings
    assert (best.player, best.rating, best.high) == ("m", None, None)
    assert best.win_rate_low == pytest.approx(0.025 ** (1 / 4)), "4 of 4, by Clopper-Pearson"
    assert best.low == pytest.approx(rating_at(best.win_rate_low))
    assert (best.win_rate, baseline.rating) == (1.0, 1000.0)
    assert (
        "ranking by j: m won every bout with baseline and those level with it, so no finite "
        in (found.warnings[-1])
    )


def test_nothing_but_ties_is_no_certainty() -> None:
    row = ranked([versus(i, *TIE) for i in range(6)], "versus")["m"]
    assert row.rating == 1000.0
    assert (row.win_rate_low, row.win_rate_high) == (
        pytest.approx(0.118, abs=1e-3),
        pytest.approx(0.882, abs=1e-3),
    )
    assert row.low < 700 < 1300 < row.high


def pair(number: int, ab: float, ba: float, *, group: str = "") -> Record:
    """One draw of each of two members: what was said with a first, and with b first."""
    a, b = candidate(0, "a", (0.0, 1.0, ab)), candidate(1, "b", (0.0, 0.0, ba))
    return item(number, a, b, group=group)


def test_members_are_ranked_by_their_pairs() -> None:
    said = [WIN] * 3 + [LOSS] + [PLACE] * 2
    rows = ranked([pair(i, *one) for i, one in enumerate(said)], "pair")
    assert rows["a"].anchor == "a", "the first, without a baseline"
    assert rows["b"].win_rate == pytest.approx(2 / 6)


def test_intervals_are_over_clusters_of_items() -> None:
    said = [WIN, LOSS] * 10
    alone = ranked([pair(i, *one) for i, one in enumerate(said)], "pair")["b"]
    copies = [pair(i, *one, group=f"g{i // 4}") for i, one in enumerate(sorted(said))]
    together = ranked(copies, "pair")["b"]
    assert alone.rating == pytest.approx(1000.0)
    assert together.win_rate_high - together.win_rate_low > (
        alone.win_rate_high - alone.win_rate_low
    )
    single = ranked([pair(i, *one, group="g") for i, one in enumerate(said)], "pair")["b"]
    assert (single.low, single.high) == (None, None), "one cluster says nothing of the spread"


def test_several_draws_of_a_member_share_the_bouts_of_their_item() -> None:
    """a has two draws, of which one wins and one loses against b's only one."""
    records = [
        item(
            number,
            candidate(0, "a", (0.0, 1.0, 0.5, 0.0, 2.0, 1.0)),
            candidate(1, "a", (0.0, 0.0, 0.5, 0.0, 2.0, 0.0)),
            candidate(2, "b", (0.0, 0.0, 0.0, 0.0, 1.0, 1.0)),
        )
        for number in range(3)
    ]
    row = ranked(records, "pair")["b"]
    assert (row.win_rate, row.bouts) == (pytest.approx(0.5), pytest.approx(3.0))


def test_greedy_replies_are_a_player_of_their_own_and_the_same_text_is_a_tie() -> None:
    records = [
        item(
            number,
            candidate(-1, "a", (), text="same", decoding="greedy"),
            candidate(0, "a", (), text="same"),
        )
        for number in range(3)
    ]
    assert ranked(records, "pair") == {}, "the judge has not been heard"
    greedy = candidate(-1, "a", (0.0, 1.0, 0.5), decoding="greedy")
    rows = ranked([*records, item(3, greedy, candidate(0, "a", (0.0, 0.0, 0.5)))], "pair")
    assert rows["a greedy"].rating == rows["a"].rating == 1000.0
    assert rows["a"].items == 4


def test_every_pool_of_a_study_is_a_player_and_pools_meet_by_way_of_the_baseline() -> None:
    def drawn(index: int, member: str, arm: str, parts: Sequence[float]) -> CandidateRecord:
        greedy = "greedy" if arm.startswith("t=0,") else "sample"
        return replace(candidate(index, member, parts, decoding=greedy), arm=arm)

    arms = ("t=0,p=1,r=1", "t=1,p=1,r=1")
    wins = (1.0, 1.0, 0.0, 1.0)
    losses = (0.0, 1.0, 1.0, 1.0)
    records = [
        item(
            number,
            *(drawn(-1, "big", arms[0], wins), drawn(0, "big", arms[1], wins)),
            *(drawn(-1, "small", arms[0], losses), drawn(0, "small", arms[1], (*PLACE, *PLACE))),
        )
        for number in range(6)
    ]
    rows = ranked(records, "versus")
    assert {row.player: row.win_rate for row in rows.values() if row.player != "baseline"} == {
        "big t=0,p=1,r=1": 1.0,
        "big t=1,p=1,r=1": 1.0,
        "small t=1,p=1,r=1": pytest.approx(0.5),
        "small t=0,p=1,r=1": 0.0,
    }
    # Two draws of one pool were compared with each other: the places are those in the pool.
    pools = [
        item(
            number,
            *(drawn(0, "big", arms[1], (0.0, 1.0, 1.0)), drawn(1, "big", arms[1], (0.0, 0.0, 0.0))),
            *(drawn(0, "small", arms[1], (0, 1, 1.0)), drawn(1, "small", arms[1], (0, 0, 0.0))),
        )
        for number in range(3)
    ]
    assert ranked(pools, "pair") == {}


def test_players_that_never_met_are_said_to_have_no_rating() -> None:
    apart = [
        item(9, candidate(0, "c", (0.0, 1.0, 1.0)), candidate(1, "d", (0.0, 0.0, 1.0))),
    ]
    found = summary([pair(0, *WIN), pair(1, *LOSS), *apart], "pair")
    assert [row.player for row in found.rankings if row.win_rate is None] == ["c", "d"]
    assert "no chain of bouts tells c, d from a" in found.warnings[-1]


def test_judges_on_a_scale_rank_nobody() -> None:
    record = item(0, candidate(0, "a", (3.0,)))
    assert summary([record], "scale").rankings == ()


def test_a_mark_is_also_given_on_its_published_scale() -> None:
    """WB-Score is 20 times the mark above 5: of marks 1, 6.4 and 10."""
    judge = Judge(
        form="scale", jurors=("x",), repeats=1, low=1.0, high=10.0, min_coverage=0.0,
        published=Published(name="WB-Score", low=-80.0, high=100.0),
    )  # fmt: skip
    row = Row(
        task="t", member="m", method="greedy", metric="mark", k=0, value=(6.4 - 1) / 9, low=0.0,
        high=1.0, stderr=0.1, items=3,
    )  # fmt: skip
    (found,) = published([row], {"mark": judge})
    assert (found.figure, found.method) == ("WB-Score", "greedy")
    assert (found.value, found.low, found.high) == (pytest.approx(28.0), -80.0, 100.0)
    assert published([row], {}) == ()
