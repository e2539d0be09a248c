"""What the terminal says of comparisons."""

import io

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
    assert f"{start} 4.2 points (found with 80 % power" in compared(row(0.042))
    assert f"{start} 4.2 to 11.0, by row, points" in compared(row(0.11), row(0.042))
    assert "smallest" not in compared()
