import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from results.arrow import from_table, to_table
from results.errors import ResultsError
from results.export import export
from results.schema import Record


def test_parquet_holds_the_records_exactly(
    make_run: Callable[..., Path],
    make_record: Callable[..., Record],
    make_failed: Callable[[int], Record],
) -> None:
    records = [*(make_record(number) for number in range(9)), make_failed(9)]
    run = make_run(records)
    path = export(run, "parquet", run / "records.parquet")
    assert list(from_table(pq.read_table(path))) == records


def test_jsonl_has_one_object_for_each_item(
    make_run: Callable[..., Path], make_record: Callable[..., Record], tmp_path: Path
) -> None:
    records = [make_record(number) for number in range(9)]
    odd = replace(records[0].candidates[0], text="数学\n\u2028", logprob=float("-inf"))
    records[0] = replace(records[0], candidates=(odd,))
    path = export(make_run(records), "jsonl", tmp_path / "run.jsonl")
    rows = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    wanted = to_table(records).to_pylist()
    wanted[0]["candidates"][0]["logprob"] = None
    assert rows == wanted


def test_an_export_that_fails_leaves_no_file(
    make_run: Callable[..., Path], make_record: Callable[..., Record], tmp_path: Path
) -> None:
    run = make_run([make_record(number) for number in range(4)])
    taken = tmp_path / "taken.jsonl"
    taken.write_text("mine")
    with pytest.raises(ResultsError, match="which exists"):
        export(run, "jsonl", taken)
    assert taken.read_text() == "mine"
    with pytest.raises(ResultsError, match="parquet, jsonl, got 'csv'"):
        export(run, "csv", tmp_path / "run.csv")
    with pytest.raises(ResultsError, match="wanted to write"):
        export(run, "parquet", tmp_path / "absent" / "run.parquet")
    (run / "records" / "part-b.arrow").write_bytes(b"torn")
    with pytest.raises(ResultsError, match=r"part-b\.arrow"):
        export(run, "parquet", tmp_path / "run.parquet")
    assert {path.name for path in tmp_path.iterdir()} == {"run", "taken.jsonl"}
