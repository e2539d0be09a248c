"""What a run shows of itself where there is no terminal."""

import io
from collections import Counter
from collections.abc import Sequence

import pytest
from rich.console import Console

from cluster.replica import ReplicaState
from pipelines.progress import Progress, Tally


class Fleet:
    restarts = 0

    def replicas(self) -> Sequence[ReplicaState]:
        return ()


def test_less_than_one_item_a_second_is_some_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=200)
    monkeypatch.setattr(Progress, "seconds", 240.0)
    with Progress(console, 4, Fleet()) as progress:
        progress.opened(4)
        progress.add(Tally(items=2, outcomes=Counter(ok=2), latencies=[0.1] * 2))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0.5 items/min" in said


@pytest.mark.parametrize(
    ("tokens", "unit", "other"), [(70, "tok/s", "items/s"), (0, "items/s", "tok/s")]
)
def test_a_run_that_generates_nothing_shows_items_a_second(
    tokens: int, unit: str, other: str
) -> None:
    console = Console(file=io.StringIO(), width=200)
    with Progress(console, 4, Fleet()) as progress:
        progress.opened(4)
        progress.add(Tally(items=4, tokens=tokens, outcomes=Counter(ok=4), latencies=[0.1] * 4))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.startswith("4/4 items")
    assert unit in said
    assert other not in said
