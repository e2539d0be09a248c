"""What the terminal says of a run."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.plain import plain_table
from pipelines.tables import console, print_run
from results.schema import OUTCOMES
from results.summary import Row, Summary


def test_a_warning_is_printed_as_it_is_brackets_and_all() -> None:
    warning = "accuracy 0.26 [0.22, 0.30] of [bold]x[/bold] is within noise of guessing (0.25)"
    summary = Summary(
        rows=(), outcomes=dict.fromkeys(OUTCOMES, 0), usage={}, items={"ok": 1}, warnings=[warning]
    )
    out = Console(file=io.StringIO(), width=60)
    print_run(out, summary, Path("runs/x"))
    assert f"warning: {warning}\n" in out.file.getvalue()  # type: ignore[attr-defined]


def test_figures_that_something_missing_could_move_have_their_bounds_beside_them() -> None:
    def printed(highest: float) -> str:
        row = Row(
            **{"task": "toy", "member": "small", "method": "majority", "metric": "accuracy"},
            **{"k": 8, "value": 0.61, "low": 0.58, "high": 0.64, "stderr": 0.015, "items": 990},
            **{"missing": 10, "if_lowest": 0.6039, "if_highest": highest},
        )
        outcomes = dict.fromkeys(OUTCOMES, 0)
        summary = Summary(rows=(row,), outcomes=outcomes, usage={}, items={"ok": 990})
        out = Console(file=io.StringIO(), width=160)
        print_run(out, summary, Path("runs/x"))
        return out.file.getvalue()  # type: ignore[attr-defined, no-any-return]

    assert "60.4% to 61.4%" in printed(0.6139)
    assert "if missing" not in printed(0.6039)


@pytest.mark.parametrize("name", ["[cs] AI", "[/b]", "a[b]c", "x:b: y"])
def test_names_with_brackets_are_printed_as_they_are(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = plain_table(f"about {name}")
    table.add_column("category")
    table.add_row(name)
    console().print(table)
    assert capsys.readouterr().out.count(name) == 2


def test_what_a_score_cost_stands_beside_the_score_itself() -> None:
    row = Row(
        **{"task": "toy", "member": "", "method": "armo", "metric": "score", "k": 0},
        **{"value": -12.25, "low": -13.0, "high": -11.0, "stderr": 0.5, "items": 10},
        money=0.2,
    )
    outcomes = dict.fromkeys(OUTCOMES, 0)
    summary = Summary(rows=(row,), outcomes=outcomes, usage={}, items={"ok": 10})
    out = Console(file=io.StringIO(), width=160)
    print_run(out, summary, Path("runs/x"))
    page = out.file.getvalue()  # type: ignore[attr-defined]
    assert page.count("-12.25") == 2
    assert "%" not in page.partition("what it took")[2].partition("candidates:")[0]
