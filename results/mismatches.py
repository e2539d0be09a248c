"""Where two versions of a file that was made from the same records differ: the first is wanted."""

import contextlib
import gzip
import json
import math
import re
import zlib
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from html.parser import HTMLParser
from itertools import zip_longest
from typing import Any

NAMING = ("task", "category", "judge", "member", "arm", "method", "figure", "metric", "k")
"""Fields that tell the rows of a list apart."""
SHOWN = 60
"""Characters of a text that are shown around the first difference."""
_PACKED = "H4sI"
"""How base64 of gzip begins."""
_NUMBER = re.compile(r"\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One place where the records say something else.

    Mismatch(name="summary.json: rows[majority accuracy 8].value", wanted="0.61", got="0.71")
    """

    name: str
    wanted: str
    """From the records."""
    got: str
    """As it is in the run directory."""


def in_json(wanted: Any, got: Any, name: str, path: str = "") -> Iterator[Mismatch]:
    """Every value that differs. Numbers may differ by what other processors make of the same sum: a
    part in a thousand million.
    """
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key in dict.fromkeys([*wanted, *got]):
            inner = f"{path}.{key}" if path else key
            if key not in got:
                yield _mismatch(name, inner, _shown(wanted[key]), "nothing")
            elif key not in wanted:
                yield _mismatch(name, inner, "nothing", _shown(got[key]))
            else:
                yield from in_json(wanted[key], got[key], name, inner)
    elif isinstance(wanted, list) and isinstance(got, list):
        if len(wanted) != len(got):
            yield _mismatch(name, path, f"{len(wanted)} entries", f"{len(got)}")
        else:
            for place, (one, other) in enumerate(zip(wanted, got, strict=True)):
                yield from in_json(one, other, name, f"{path}[{_label(one, place)}]")
    elif not _equal(wanted, got):
        yield _mismatch(name, path, _shown(wanted), _shown(got))


def in_page(wanted: str, got: str, name: str, run: str = "") -> Iterator[Mismatch]:
    """The texts of two HTML pages, data in scripts included, that differ; where none does, the
    first of their tags and styles that differs: they could hide a text, or show another one.

    run: the directory's name in the wanted page; it may have been another when the page was made.
    """
    (texts, marks), (others, other_marks) = _read(wanted), _read(got)
    if texts == others:
        yield from _in_marks(marks, other_marks, name)
        return
    matcher = SequenceMatcher(None, texts, others, autojunk=False)
    for tag, start, end, from_, to in matcher.get_opcodes():
        if tag == "equal":
            continue
        after = next((text for text in reversed(texts[:start]) if not _NUMBER.search(text)), "")
        where = f"{name}, after {after[:SHOWN]!r}" if after else name
        one, other = " | ".join(texts[start:end]), " | ".join(others[from_:to])
        if _is_renamed(one, other, run):
            continue
        first = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        begin = max(first - SHOWN // 2, 0)
        shown = [text[begin : begin + SHOWN] or "nothing" for text in (one, other)]
        yield Mismatch(name=where, wanted=repr(shown[0]), got=repr(shown[1]))


def num_figures(content: Any) -> int:
    """Numbers in a JSON value."""
    if isinstance(content, dict):
        return sum(map(num_figures, content.values()))
    if isinstance(content, list):
        return sum(map(num_figures, content))
    return isinstance(content, int | float) and not isinstance(content, bool)


def _mismatch(name: str, path: str, wanted: str, got: str) -> Mismatch:
    return Mismatch(name=f"{name}: {path}", wanted=wanted, got=got)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _label(row: Any, place: int) -> str:
    """What tells a row of a list from the others."""
    if not isinstance(row, dict):
        return str(place)
    return " ".join(str(row[key]) for key in NAMING if row.get(key) not in (None, "")) or str(place)


def _equal(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, float) and isinstance(got, float | int) and not isinstance(got, bool):
        return math.isclose(wanted, got, rel_tol=1e-9, abs_tol=1e-12)
    return type(wanted) is type(got) and wanted == got


def _is_renamed(wanted: str, got: str, run: str) -> bool:
    """The texts differ in the name of the run alone."""
    if not re.search("[a-zA-Z]", run):
        return False
    parts = re.split(rf"\b{re.escape(run)}\b", wanted)
    return re.fullmatch(r"[\w.-]+".join(map(re.escape, parts)), got) is not None


def _in_marks(wanted: Sequence[str], got: Sequence[str], name: str) -> Iterator[Mismatch]:
    pairs = zip_longest(wanted, got, fillvalue="nothing")
    for one, other in pairs:
        if one != other:
            shown = [repr(text[:SHOWN]) for text in (one, other)]
            yield Mismatch(name=f"{name}: tags and styles", wanted=shown[0], got=shown[1])
            return


def _read(page: str) -> tuple[list[str], list[str]]:
    """Texts and marks."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    return parser.texts, parser.marks


class _Parser(HTMLParser):
    """Texts: every one, and every attribute with a digit in it, in order. Packed data line by line
    as it is unpacked: another machine may pack it in another way. Marks: tags with their other
    attributes, and styles.
    """

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.marks: list[str] = []
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.texts += [f"{name}={text}" for name, text in attrs if text and _NUMBER.search(text)]
        plain = [(name, text) for name, text in attrs if not text or not _NUMBER.search(text)]
        names = "".join(f" {name}={text}" if text else f" {name}" for name, text in plain)
        self.marks.append(f"<{tag}{names}>")

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""
        self.marks.append(f"</{tag}>")

    def handle_comment(self, data: str) -> None:
        self.marks.append(f"<!--{data}-->")

    def handle_data(self, data: str) -> None:
        text = data.strip()
        if text.startswith(_PACKED):
            # Whoever damaged it can't have it unpacked; then it differs as it is.
            with contextlib.suppress(ValueError, OSError, EOFError, zlib.error):
                self.texts += gzip.decompress(b64decode(text)).decode().splitlines()
                return
        if text:
            (self.marks if self._tag == "style" else self.texts).append(text)
