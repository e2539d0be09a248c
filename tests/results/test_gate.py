"""What a gate rules: margins, Holm over many cases, missing items, and what would decide."""

import numpy as np
import pytest

from results.gate import Case, Ruling, rule
from results.power import about

NAN = float("nan")


def case(gains: int, losses: int, same: int, threshold: float, *, lacking: int = 0) -> Case:
    """Right-or-wrong items; B lacks the last ones."""
    a = [0.0] * gains + [1.0] * losses + [1.0] * same + [1.0] * lacking
    b = [1.0] * gains + [0.0] * losses + [1.0] * same + [NAN] * lacking
    groups = [str(number) for number in range(len(a))]
    return Case(a_Q=np.array(a), b_Q=np.array(b), groups=groups, threshold=threshold)


def ruled(*cases: Case, holm: bool = True, min_coverage: float = 0.0) -> list[Ruling]:
    return rule(cases, confidence=0.95, holm=holm, min_coverage=min_coverage)


@pytest.mark.parametrize(
    ("gains", "losses", "threshold", "verdict"),
    [
        (20, 20, -0.05, "pass"),
        (20, 20, -0.005, "inconclusive"),
        (5, 60, -0.02, "fail"),
        (60, 5, 0.02, "pass"),
        (24, 20, 0.0, "inconclusive"),
        (5, 60, 0.0, "fail"),
    ],
)
def test_a_case_passes_above_its_threshold_fails_below_and_is_else_open(
    gains: int, losses: int, threshold: float, verdict: str
) -> None:
    (found,) = ruled(case(gains, losses, 1000 - gains - losses, threshold))
    assert found.verdict == verdict
    assert found.difference is not None
    assert found.difference.value == pytest.approx((gains - losses) / 1000)
    assert (found.items_needed is None) == (verdict != "inconclusive")


def test_the_items_that_are_said_to_decide_do() -> None:
    small = case(30, 26, 144, -0.05)
    (found,) = ruled(small)
    assert found.verdict == "inconclusive"
    assert found.items_needed is not None
    assert f"{about(found.items_needed)} items would decide, not 200" in found.reason
    rng = np.random.default_rng(1)
    verdicts = []
    for _ in range(8):
        kinds = rng.choice(3, found.items_needed, p=[30 / 200, 26 / 200, 144 / 200])
        gains, losses, same = np.bincount(kinds, minlength=3).tolist()
        verdicts.append(ruled(case(gains, losses, same, -0.05))[0].verdict)
    # 80 % of the time, by the normal approximation.
    assert verdicts.count("pass") >= 4
    assert "fail" not in verdicts


def test_few_differences_need_more_items_than_the_standard_error_says() -> None:
    (found,) = ruled(case(0, 0, 50, -0.01))
    assert found.verdict == "inconclusive"
    assert found.items_needed is not None
    assert found.items_needed > 50


def test_at_the_threshold_itself_no_number_of_items_decides() -> None:
    (found,) = ruled(case(20, 30, 150, -0.05))
    assert (found.verdict, found.items_needed) == ("inconclusive", None)
    assert "no number of items" in found.reason
    # A mean of credits that no float has exactly lies beside it.
    a = np.random.default_rng(1).random(100).round(1) / 2 + 0.3
    b = np.append(a[:30] - 0.1, a[30:])
    groups = [str(number) for number in range(100)]
    (beside,) = ruled(Case(a_Q=a, b_Q=b, groups=groups, threshold=-0.03))
    assert beside.difference is not None
    assert beside.difference.value != -0.03
    assert (beside.reason, beside.items_needed) == (found.reason, None)


def test_missing_items_that_could_change_a_verdict_leave_it_open() -> None:
    for lacking, verdict in ((0, "pass"), (4, "pass"), (60, "inconclusive")):
        (found,) = ruled(case(10, 10, 480, -0.03, lacking=lacking))
        assert (found.verdict, found.missing) == (verdict, lacking)
    assert "the 60 items that lack a value in A or B could change it" in found.reason
    for lacking, verdict in ((0, "fail"), (2, "fail"), (900, "inconclusive")):
        # In the best case B has all of them right.
        (found,) = ruled(case(2, 40, 458, -0.03, lacking=lacking))
        assert found.verdict == verdict
    assert found.reason.startswith("fails on the 500 answered, but")


def test_too_little_coverage_cannot_pass_but_can_fail() -> None:
    (passing,) = ruled(case(20, 20, 960, -0.04, lacking=5), min_coverage=0.999)
    assert passing.verdict == "inconclusive"
    assert "1,000 of 1,005 items" in passing.reason
    (failing,) = ruled(case(0, 300, 700, -0.03, lacking=5), min_coverage=0.999)
    assert failing.verdict == "fail"


def test_a_case_without_any_common_item_is_open() -> None:
    empty = Case(
        a_Q=np.array([1.0, NAN]), b_Q=np.array([NAN, 0.0]), groups=["a", "b"], threshold=0.0
    )
    (found,) = ruled(empty)
    assert (found.verdict, found.difference) == ("inconclusive", None)
    assert found.missing == 2


def test_holm_steps_down_once_a_clear_case_has_failed() -> None:
    # Alone at 95 % it fails, among two open ones at 97.5 % it does not.
    edge = next(
        found
        for losses in range(22, 60)
        if ruled(found := case(10, losses, 990 - losses, 0.0))[0].verdict == "fail"
    )
    clear, fine = case(0, 200, 800, 0.0), case(200, 0, 800, 0.0)
    assert [r.verdict for r in ruled(edge, clear)] == ["fail", "fail"]
    assert [r.verdict for r in ruled(edge, fine)] == ["inconclusive", "pass"]
    assert [r.verdict for r in ruled(edge, fine, holm=False)] == ["fail", "pass"]


def test_a_case_that_only_holm_leaves_open_needs_more_items_than_there_are() -> None:
    edge = case(150, 205, 645, 0.0)
    assert ruled(edge)[0].verdict == "fail"
    found = ruled(edge, *[case(200, 0, 800, 0.0)] * 49)[0]
    assert found.verdict == "inconclusive"
    assert found.items_needed is not None
    assert found.items_needed > 1000
