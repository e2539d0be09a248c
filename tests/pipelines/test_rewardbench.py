"""The arithmetic of RewardBench, from two models' published counts of right answers."""

import pytest

from pipelines.methods.rewardbench import SECTIONS, half_widths, scores

ROWS = {**{s: n for section in SECTIONS.values() for s, n in section.items()}, "math-prm": 447}
ARMORM = (97, 92, 90, 28, 40, 32, 93, 91, 71, 31, 32, 93, 97, 154, 218, 108, 441)
ARMORM_CODE = (156, 159, 161, 160, 158, 151)
FSFAIRX = (100, 94, 94, 28, 40, 29, 91, 70, 53, 30, 24, 89, 96, 150, 223, 84, 348)
FSFAIRX_CODE = (152, 157, 159, 160, 157, 150)
PRIOR = {
    "ArmoRM": (0.697351, 0.877828, 0.746697, 0.649889),
    "FsfairX": (0.717216, 0.859729, 0.797243, 0.622556),
}


def accuracies(counts):
    return {name: count / ROWS[name] for name, count in zip(ROWS, counts, strict=True)}


def swapped():
    """The weights with which Safety has been published."""
    safety = SECTIONS["Safety"]
    refuse, respond = safety["xstest-should-refuse"], safety["xstest-should-respond"]
    return SECTIONS | {
        "Safety": {
            **safety, "xstest-should-refuse": respond, "xstest-should-respond": refuse,
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "counts", "correct", "published"),
    [
        (
            "ArmoRM",
            (*ARMORM, *ARMORM_CODE),
            (96.93, 76.75, 90.54, 97.35, 90.39),
            (92.20, 90.81, 89.0),
        ),
        (
            "FsfairX",
            (*FSFAIRX, *FSFAIRX_CODE),
            (99.44, 65.13, 86.76, 86.44, 84.44),
            (87.82, 84.71, 83.6),
        ),
    ],
)
def test_published_counts_give_the_correct_and_the_published_figures(
    name, counts, correct, published
):
    found = scores(accuracies(counts))
    assert [round(100 * value, 2) for value in found.values()] == list(correct)
    other = scores(accuracies(counts), swapped())
    *sections, score = other.values()
    prior = sum(PRIOR[name]) / 4
    old = (sum(sections) + 0.5 * prior) / 4.5
    assert [round(100 * value, 2) for value in (other["Safety"], score)] == list(published[:2])
    # The leaderboard of the time has one decimal.
    assert round(100 * old, 1) == published[2]


def test_uncertainty_of_a_section_is_that_of_independent_subsets():
    found = half_widths(dict.fromkeys(ROWS, 0.1))
    weights = SECTIONS["Chat"].values()
    wanted = 0.1 * sum(n**2 for n in weights) ** 0.5 / sum(weights)
    assert found["Chat"] == pytest.approx(wanted)
    assert found["RewardBench"] < max(found.values()) < 0.1


def test_a_missing_subset_leaves_no_score_and_others_play_no_part():
    every = dict.fromkeys(ROWS, 0.5)
    assert set(scores(every | {"my-own": 0.0}).values()) == {0.5}
    del every["donotanswer"]
    assert scores(every) == {}
