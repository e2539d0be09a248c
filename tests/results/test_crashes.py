"""What a run directory survives: a driver killed at the worst moment, a directory that goes away or
turns read-only under it. (A full disk: test_full_disk.py.)
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from results.errors import ResultsError
from results.parts import read_records
from results.schema import Record
from results.store import Manifest, Store, ask_to_stop, read_manifest

MANIFEST = Manifest(identity={"seed": 0})
ROOT = Path(__file__).parents[2]

KILLED = """
import os, signal, sys
from results.parts import read_records
from results.store import Manifest, Store
run, source, moment = sys.argv[1:]
records = list(read_records(source))
with Store.open(run, Manifest(identity={"seed": 0})) as store:
    store.commit("a", records[:2])

    def die(event, arguments):
        # Hooks are told of these calls before they are made.
        if event == moment and "part-b" in str(arguments[0]):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    store.commit("b", records[2:])
"""


@pytest.mark.parametrize(
    ("moment", "num_temporary", "committed"),
    [("open", 0, {"a"}), ("os.link", 1, {"a"}), ("os.remove", 1, {"a", "b"})],
    ids=["before it is written", "between writing and linking", "between linking and cleaning"],
)
def test_a_driver_killed_within_a_commit_leaves_the_whole_shard_or_nothing_of_it(
    tmp_path: Path,
    make_run: Callable[..., Path],
    make_record: Callable[..., Record],
    moment: str,
    num_temporary: int,
    committed: set[str],
) -> None:
    records, run = [make_record(number) for number in range(4)], tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(run), str(make_run(records)), moment]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (child.returncode, child.stderr) == (-signal.SIGKILL, "")
    temporary = list(run.rglob("*.tmp"))
    assert len(temporary) == num_temporary
    # It was stopped after the last byte, where the final name alone is missing.
    assert all(path.stat().st_size > 1000 for path in temporary)
    with Store.open(run, MANIFEST) as store:
        assert store.committed() == committed
        assert store.damaged == ()
        assert store.commit("b", records[2:]) is ("b" not in committed)
    assert list(read_records(run)) == records
    assert not list(run.rglob("*.tmp"))


def test_a_directory_removed_under_a_run_is_an_error_and_is_not_made_anew(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    run = tmp_path / "run"
    with Store.open(run, MANIFEST) as store:
        store.commit("a", [make_record(0)])
        shutil.rmtree(run)
        for attempt in (
            lambda: store.commit("b", [make_record(1)]),
            lambda: store.note(finished="now"),
            lambda: store.say(state="running"),
            store.committed,
        ):
            with pytest.raises(ResultsError, match=r"wanted to write .*/run/.*No such file"):
                attempt()
        assert not store.asked_to_stop()
    assert not run.exists()


def test_a_run_does_not_write_into_another_one_that_took_its_directory(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    run, other = tmp_path / "run", Manifest(identity={"seed": 1})
    with Store.open(run, MANIFEST) as store:
        store.commit("a", [make_record(0)])
        shutil.rmtree(run)
        with Store.open(run, other) as second:
            second.say(state="starting")
            for attempt in (
                lambda: store.commit("b", [make_record(1)]),
                lambda: store.note(finished="now"),
                lambda: store.say(state="running"),
            ):
                with pytest.raises(ResultsError, match="another directory of that name"):
                    attempt()
            assert second.committed() == set()
    assert read_manifest(run).identity == other.identity
    assert "starting" in (run / "status.json").read_text()


READ_ONLY = """
import os, sys
from results.errors import ResultsError
from results.parts import read_records
from results.store import Manifest, Store
from results.report import write_report
manifest, records = Manifest(identity={"seed": 0}), list(read_records("run"))
with Store.open("run", manifest) as store:
    for folder in ("run", "run/records"):
        os.chmod(folder, 0o555)
    if os.geteuid() == 0:
        os.setuid(65534)  # Nobody: a superuser may write anywhere.
    for attempt in (
        lambda: store.commit("b", records),
        lambda: store.note(finished="now"),
        lambda: write_report("run"),
        lambda: Store.open("run", manifest),
        lambda: Store.open("other", manifest),
    ):
        try:
            attempt()
            print("done")
        except ResultsError as error:
            print(error)
"""


def test_a_directory_that_turns_read_only_is_an_error_and_stays_as_it_was(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    run = tmp_path / "run"
    with Store.open(run, MANIFEST) as store:
        store.commit("a", [make_record(0)])
    tmp_path.chmod(0o555)
    # The path of the child's own modules: nobody may not look for them where root has them.
    child = subprocess.run(
        [sys.executable, "-c", READ_ONLY],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    tmp_path.chmod(0o755)
    assert (child.returncode, child.stderr) == (0, "")
    names = ["run/records/part-b.arrow", "run/run.json", "run/summary.json"]
    lines = child.stdout.splitlines()
    for name, line in zip(names, lines, strict=False):
        assert line.startswith(f"wanted to write {name}, got Permission denied; check access")
    assert "in use by process" in lines[3] or "Permission denied" in lines[3]
    assert lines[4].startswith("wanted to write other, got Permission denied")
    assert len(lines) == 5
    assert list(read_records(run)) == [make_record(0)]
    assert not list(run.rglob("*.tmp"))
    for folder in (run, run / "records"):
        folder.chmod(0o755)


def test_a_wish_to_stop_where_nothing_is_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="absent/stop, got No such file"):
        ask_to_stop(tmp_path / "absent")
