"""What the terminal says of comparisons."""

import io
from dataclasses import replace

from rich.console import Console

from pipelines.result_tables import print_comparison
from results.compare import Comparison, ComparisonRow


def row(detectable: float) -> ComparisonRow:
    return ComparisonRow(
        method="majority",
        metric="accuracy",
        k=8,
        a=0.57,
        b=0.61,
        difference=0.04,
        low=0.01,
        high=0.07,
        p=0.004,
        p_holm=0.03,
        gains=30,
        losses=14,
        items=400,
        detectable=detectable,
        detectable_unpaired=2 * detectable,
        items_needed=440,
    )


def compared(*rows: ComparisonRow) -> str:
    out = Console(file=io.StringIO(), width=160)
    print_comparison(
        out,
        Comparison(
            task="toy",
            rows=rows,
            paired=True,
            items=400,
            only_a=0,
            only_b=0,
            limited=False,
            mixed=False,
        ),
    )
    return out.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_comparison_says_which_difference_it_could_have_shown() -> None:
    start = "smallest difference that 400 items could show:"
    said = compared(row(0.042))
    assert f"{start} 4.2 points (found with 80 % power" in said
    assert "were they different items in A and B: 8.4 points\n" in said
    assert f"{start} 4.2 to 11.0 points by row" in compared(row(0.11), row(0.042))
    assert "smallest" not in compared()


def test_a_row_that_is_not_told_apart_says_how_many_items_would() -> None:
    assert "not told apart (about 440 items would)" in compared(replace(row(0.042), p_holm=0.2))
    enough = replace(row(0.042), p_holm=0.2, items_needed=390)
    assert "not told apart" in compared(enough)
    assert "items would)" not in compared(enough)
    assert "better" in compared(row(0.042))
