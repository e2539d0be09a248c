"""What the terminal says of a run."""

import io
from pathlib import Path

from rich.console import Console

from pipelines.tables import print_run
from results.schema import OUTCOMES
from results.summary import Summary


def test_a_warning_is_printed_as_it_is_brackets_and_all() -> None:
    warning = "accuracy 0.26 [0.22, 0.30] of [bold]x[/bold] is within noise of guessing (0.25)"
    summary = Summary(
        rows=(), outcomes=dict.fromkeys(OUTCOMES, 0), usage={}, items={"ok": 1}, warnings=[warning]
    )
    out = Console(file=io.StringIO(), width=60)
    print_run(out, summary, Path("runs/x"))
    assert f"warning: {warning}\n" in out.file.getvalue()  # type: ignore[attr-defined]
