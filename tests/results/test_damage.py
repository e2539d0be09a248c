"""Parts that are not as they were committed: seen by every reader, set aside by the next driver."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from results.arrow import to_table
from results.compare import compare
from results.errors import ResultsError
from results.export import export
from results.parts import (
    DamagedPart,
    check_part,
    content_hash,
    encode_part,
    read_columns,
    read_part,
    read_records,
    read_tables,
)
from results.report import write_report
from results.schema import Record
from results.store import Manifest, Store

MANIFEST = Manifest(identity={"data": "data-1"}, about={"limited": False})


def part(run: Path) -> Path:
    return run / "records" / "part-b.arrow"


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_by_one(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def turned_into_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def swapped(path: Path) -> None:
    shutil.copy(path.with_name("part-a.arrow"), path)


DAMAGES = [halved, cut_by_one, emptied, flipped, turned_into_a_directory, swapped]


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_reader_names_the_damaged_shard_and_what_to_do(
    make_run: Callable[..., Path],
    make_record: Callable[..., Record],
    tmp_path: Path,
    damage: Callable[[Path], None],
) -> None:
    run = make_run([make_record(number) for number in range(4)])
    damage(part(run))
    readers: list[Callable[[], object]] = [
        lambda: list(read_records(run)),
        lambda: write_report(run),
        lambda: compare(run, run),
        lambda: export(run, "parquet", tmp_path / "out.parquet"),
    ]
    for reader in readers:
        with pytest.raises(ResultsError, match=r"shard b .*part-b\.arrow.*run the same command"):
            reader()
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_next_driver_sets_a_damaged_part_aside_and_owes_its_shard_again(
    make_run: Callable[..., Path],
    make_record: Callable[..., Record],
    damage: Callable[[Path], None],
) -> None:
    records = [make_record(number) for number in range(4)]
    run = make_run(records)
    for number in (1, 2):
        damage(part(run))
        with Store.open(run, MANIFEST) as store:
            assert store.committed() == {"a"}
            (line,) = store.damaged
            assert "shard b was damaged" in line
            assert f"kept as records/part-b.arrow.damaged-{number}, to be drawn anew" in line
            assert store.commit("b", records[2:])
    assert list(read_records(run)) == records
    kept = [path.name for path in sorted((run / "records").iterdir())]
    assert kept[2:] == ["part-b.arrow.damaged-1", "part-b.arrow.damaged-2"]
    with Store.open(run, MANIFEST) as store:
        assert store.damaged == ()


def test_no_flipped_byte_goes_unnoticed_wherever_it_is(make_record: Callable[..., Record]) -> None:
    content = encode_part("b", to_table([make_record(0, num_draws=2)]))
    check_part(content, "b", "here")
    # Beginning and end hold the metadata twice; what is between is read by larger steps.
    places = {*range(0, 600), *range(0, len(content), 37), *range(len(content) - 600, len(content))}
    hash_at = content.find(b"sha256")
    places |= set(range(hash_at - 200, hash_at + 400))
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        with pytest.raises(DamagedPart):
            check_part(bytes(damaged), "b", "here")


def test_texts_that_look_like_a_seal_do_not_harm_one(make_record: Callable[..., Record]) -> None:
    table = to_table([make_record(0)])
    position = table.schema.get_field_index("reference")
    texts = pa.array(["0" * 64 + " seal sha256 " + content_hash(table)])
    table = table.set_column(position, table.schema.field(position), texts)
    content = encode_part("b", table)
    check_part(content, "b", "here")
    assert pa.ipc.open_file(pa.py_buffer(content)).read_all().equals(table)


def rewritten(path: Path, table: pa.Table, metadata: dict[bytes, bytes]) -> None:
    """The file that another program would write of a table under the metadata of a part."""
    table = table.replace_schema_metadata(metadata)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def test_a_part_from_before_seals_is_checked_by_its_values(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    run = make_run([make_record(number) for number in range(4)])
    table = read_part(run, "b")
    unsealed = {k: v for k, v in table.schema.metadata.items() if k != b"seal"}
    rewritten(part(run), table, unsealed)
    assert read_part(run, "b").equals(table)
    with Store.open(run, MANIFEST) as store:
        assert store.damaged == ()
    changed = to_table([make_record(8), make_record(9)])
    for rows, message in ((table.slice(0, 1), "1 rows where 2"), (changed, "match its hash")):
        rewritten(part(run), rows, unsealed)
        with pytest.raises(ResultsError, match=message):
            read_columns(run, ["item_id"])


def test_metadata_of_another_kind_and_another_layout_are_told_apart(
    make_run: Callable[..., Path], make_record: Callable[..., Record]
) -> None:
    run = make_run([make_record(number) for number in range(4)])
    table = read_part(run, "b")
    kept = {k: v for k, v in table.schema.metadata.items() if k != b"seal"}
    rewritten(part(run), table, {**kept, b"version": b"99"})
    with pytest.raises(ResultsError, match="layout 99"):
        Store.open(run, MANIFEST)
    assert part(run).exists()
    rewritten(part(run), table, {**kept, b"more": b"x"})
    with pytest.raises(DamagedPart, match="other metadata"):
        list(read_tables(run))
