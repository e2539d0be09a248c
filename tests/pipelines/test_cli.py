"""What an interrupted run is told: the command that goes on with it. No cluster is started."""

from pathlib import Path
from typing import Any

import pytest

from pipelines import cli, execute

CONFIG = """
task: {name: arithmetic, num_items: 4}
pipeline: {name: rank, n: 2}
models: {small: {engine: fake}}
roles: {generator: small}
"""


@pytest.fixture
def interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Run the command line in a folder where `runs/sums` exists and Ctrl-C comes at once; returns
    the directory of the run, what was said, and the exit code."""
    (tmp_path / "sums.yaml").write_text(CONFIG)
    (tmp_path / "runs" / "sums" / "records").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    asked: list[Path] = []

    def stopped(runs: list[tuple[object, Path]], **_: object) -> None:
        asked.append(runs[0][1])
        raise KeyboardInterrupt

    monkeypatch.setattr(execute, "execute", stopped)

    def run(*arguments: str) -> tuple[str, str, object]:
        monkeypatch.setattr("sys.argv", ["lilliput", "run", "sums.yaml", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return str(asked[-1]), capsys.readouterr().err, ended.value.code

    return run


def test_an_interrupted_run_goes_on_by_the_same_command(interrupted: Any) -> None:
    said = "interrupted; the same command goes on with what is not committed\n"
    assert interrupted("pipeline.n=3") == ("runs/sums", said, 130)


def test_an_interrupted_fresh_run_names_the_command_that_goes_on_in_its_directory(
    interrupted: Any,
) -> None:
    again = "lilliput run sums.yaml pipeline.n=3 --output runs/sums-2"
    said = f"interrupted; `{again}` goes on with what is not committed\n"
    assert interrupted("pipeline.n=3", "--fresh") == ("runs/sums-2", said, 130)
    again = "lilliput run sums.yaml --output 'runs/my run'"
    said = f"interrupted; `{again}` goes on with what is not committed\n"
    assert interrupted("--fresh", "--output", "runs/my run") == ("runs/my run", said, 130)
