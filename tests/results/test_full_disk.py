"""A disk that fills up while a run is written, in a process of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from results.schema import Record
from results.store import Manifest, Store, read_manifest

FULL_DISK = """
import resource
import sys
from pathlib import Path
from results.errors import ResultsError
from results.parts import read_records
from results.store import Manifest, Store
from results.summarize import summarize_answers
from results.summary import write_summary
run, manifest = Path(sys.argv[1]), Manifest(identity={"seed": 0})
with Store.open(run, manifest) as store:
    records = list(read_records(sys.argv[2]))
    # No file may grow beyond this. Python ignores SIGXFSZ, so a write fails as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (32, 32))
    attempts = {
        "note": lambda: store.note(finished="now"),
        "commit": lambda: store.commit("a", records),
        "summary": lambda: write_summary(run, summarize_answers(records)),
        "open": lambda: Store.open(run.parent / "other", manifest),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
        except ResultsError as error:
            print(name, error)
    assert store.manifest == manifest
"""


def test_a_full_disk_is_an_error_for_the_user_and_leaves_what_there_was(
    tmp_path: Path, make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    run, source = tmp_path / "full", make_run([make_record(number) for number in range(2)])
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(run), str(source)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stderr) == (0, "")
    other = tmp_path / "other"
    paths = {
        "note": run / "run.json",
        "commit": run / "records" / "part-a.arrow",
        "summary": run / "summary.json",
        "open": other / "run.json",
    }
    assert done.stdout.splitlines() == [
        f"{name} wanted to write {path}, got File too large; "
        "check access, free space and hard links there, or give another --output"
        for name, path in paths.items()
    ]
    assert read_manifest(run).identity == {"seed": 0}
    assert [path for path in tmp_path.rglob("*.tmp") if source not in path.parents] == []
    assert not list(run.glob("records/*"))
    # The same command goes on once there is room.
    Store.open(other, Manifest(identity={"seed": 0})).close()
