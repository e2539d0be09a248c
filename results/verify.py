"""Whether a run directory's figures are those of its records: everything is worked out once more.

    parts --whole?--> records --add up?--> summary.json, report.html as written now, into memory
                         |                        | compared with
              answers as chosen now        summary.json, report.html as they are

The page is compared text by text, scripts and their data too, so a figure that was changed is found
wherever the page has it. A page that another version made differs as well: it is to be made anew.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from results.arrow import from_table
from results.consistency import contradictions
from results.directories import Directory, Where, open_directory
from results.errors import ResultsError
from results.manifest import Manifest, read_manifest
from results.mismatches import Mismatch, in_json, in_page, num_figures
from results.parts import DamagedPart, read_part, shard_ids
from results.report import write_report
from results.schema import Record
from results.store import is_driven
from results.summarize import summarize_run
from results.summary import Summary, write_summary

Again = Callable[[list[Record]], Sequence[Record]]
"""From the records of a part to the same with their answers worked out anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify` found in one run."""

    run: str
    items: int
    parts: int
    figures: int
    """Numbers of summary.json that were compared."""
    mismatches: tuple[Mismatch, ...]

    @property
    def ok(self) -> bool:
        return not self.mismatches


def verify(run_dir: Where, again: Again | None = None) -> Verification:
    """Check a finished run. Raises ResultsError where there is none, or it can't be read.

    again: chooses the answers of a part's records once more; without, those that are there count.
    """
    directory = open_directory(run_dir)
    manifest = read_manifest(directory)
    checked = _Parts(directory, again)
    found = [*_identity(manifest), *_standing(directory, manifest)]
    if not found:
        found += checked.read(manifest.about.get("num_items"))
    figures = 0
    if not found:
        # Figures of records that aren't whole would differ everywhere.
        try:
            summary = summarize_run(directory, manifest)
        except ResultsError as error:
            found.append(Mismatch(name="records", wanted="items that add up", got=str(error)))
        else:
            found += _outcomes(summary, checked, manifest)
            rewritten, written = _rewritten(directory, summary)
            found += rewritten
            figures = num_figures(json.loads(written["summary.json"]))
    return Verification(
        run=str(directory),
        items=checked.items,
        parts=checked.parts,
        figures=figures,
        mismatches=tuple(found),
    )


def _identity(manifest: Manifest) -> Iterator[Mismatch]:
    fresh = Manifest(identity=manifest.identity)
    if fresh.digest != manifest.digest:
        yield Mismatch(
            name="run.json: digest of identity", wanted=fresh.digest, got=manifest.digest
        )


def _standing(directory: Directory, manifest: Manifest) -> Iterator[Mismatch]:
    if is_driven(directory):
        yield Mismatch(
            name="run", wanted="a finished run", got="a driver at work; verify it when it has ended"
        )


class _Parts:
    """Reads every part, keeps counts only."""

    def __init__(self, directory: Directory, again: Again | None) -> None:
        self._directory = directory
        self._again = again
        self.items = 0
        self.parts = 0
        self.candidates = 0

    def read(self, num_items: int | None) -> Iterator[Mismatch]:
        """Yield what is wrong with the parts and the records in them."""
        try:
            ids = shard_ids(self._directory)
        except OSError as error:
            raise ResultsError(
                f"wanted to read {self._directory}/records, got {error.strerror or error}; "
                f"{self._directory.advice}"
            ) from error
        whole = True
        for shard_id in ids:
            try:
                records = list(from_table(read_part(self._directory, shard_id)))
            except DamagedPart as error:
                whole = False
                yield Mismatch(
                    name=f"records/part-{shard_id}.arrow", wanted="as committed", got=error.what
                )
                continue
            self.parts += 1
            wrong = [one for record in records for one in self._take(record)]
            yield from wrong
            if self._again is not None and not wrong:
                yield from _answers(self._again(records), records)
        if whole and num_items is not None and self.items != num_items:
            yield self._count(ids, num_items)

    def _take(self, record: Record) -> Iterator[Mismatch]:
        self.items += 1
        self.candidates += len(record.candidates)
        yield from contradictions(record)

    def _count(self, ids: list[str], num_items: int) -> Mismatch:
        numbers = [int(name[:6]) for name in ids if name[:6].isdigit()]
        gaps = sorted({*range(max(numbers, default=-1) + 1)} - {*numbers})
        where = f", no part {', '.join(f'{gap:06d}' for gap in gaps[:5])}" if gaps else ""
        return Mismatch(
            name="items",
            wanted=f"{num_items:,}, as run.json says",
            got=f"{self.items:,} in {len(ids):,} parts{where}; the command that made the run "
            "answers what is missing",
        )


def _answers(wanted: Sequence[Record], got: Sequence[Record]) -> Iterator[Mismatch]:
    for one, other in zip(wanted, got, strict=True):
        name = f"item {other.item_id!r}"
        wanted_answers, got_answers = map(_as_json, (one, other))
        yield from in_json(wanted_answers, got_answers, name, "answers")


def _as_json(record: Record) -> list[dict[str, Any]]:
    return [asdict(answer) for answer in record.answers]


def _outcomes(summary: Summary, parts: _Parts, manifest: Manifest) -> Iterator[Mismatch]:
    """Counts that must add up, and what the manifest says of usage."""
    for name, counts, total in (
        ("items by outcome", summary.items, parts.items),
        ("candidates by outcome", summary.outcomes, parts.candidates),
    ):
        if sum(counts.values()) != total:
            yield Mismatch(name=name, wanted=f"{total:,}", got=f"{sum(counts.values()):,}")
    usage = manifest.about.get("usage")
    if usage is not None:
        yield from in_json(_plain(summary.usage), usage, "run.json: about.usage")


def _rewritten(directory: Directory, summary: Summary) -> tuple[list[Mismatch], dict[str, bytes]]:
    """What differs between the files that are made from records and those that are there."""
    memory = _InMemory(directory)
    # Of what a directory can do, these two only read and put.
    place = cast(Directory, memory)
    write_summary(place, summary)
    write_report(place, summary)
    found: list[Mismatch] = []
    for name, wanted in memory.written.items():
        try:
            got = directory.get(name)
        except FileNotFoundError:
            found.append(
                Mismatch(name=name, wanted="this file", got="none: `lilliput report` writes it")
            )
            continue
        except OSError as error:
            raise ResultsError(
                f"wanted to read {directory}/{name}, got {error.strerror or error}; "
                f"{directory.advice}"
            ) from error
        if wanted != got:
            found += _in_file(name, wanted, got, directory.name)
    return found, memory.written


def _in_file(name: str, wanted: bytes, got: bytes, run: str) -> list[Mismatch]:
    if not name.endswith(".json"):
        return list(in_page(wanted.decode(), got.decode(errors="replace"), name, run))
    try:
        content = json.loads(got)
    except ValueError as error:
        return [Mismatch(name=name, wanted="JSON", got=str(error))]
    return list(in_json(json.loads(wanted), content, name))


def _plain(content: Any) -> Any:
    """As it comes back from JSON."""
    return json.loads(json.dumps(content))


class _InMemory:
    """A run directory to read from, which keeps to itself what is written. It has no other way to
    change anything, so nothing can be written by accident.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.advice = directory.advice
        self.written: dict[str, bytes] = {}

    def __str__(self) -> str:
        return str(self._directory)

    @property
    def name(self) -> str:
        return self._directory.name

    def names(self, folder: str = "") -> list[str]:
        return self._directory.names(folder)

    def get(self, name: str) -> bytes:
        return self.written[name] if name in self.written else self._directory.get(name)

    def put(self, name: str, content: bytes) -> None:
        self.written[name] = content
