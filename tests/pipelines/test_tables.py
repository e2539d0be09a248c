"""What the terminal says of a run."""

import io
from pathlib import Path

from rich.console import Console

from pipelines.tables import print_run
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
