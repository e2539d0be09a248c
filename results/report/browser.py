"""Items as the page's browser reads them, and as many of them as a page may hold.

    records --whole--> JSON lines --gzip, up to a limit--> base64 in the page

A page must open from a disk wherever it is sent, so it has a limit; `lilliput view` has none.
"""

import json
import math
import zlib
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from results.outcomes import whose
from results.overlap import chosen
from results.schema import CandidateRecord, Record

MAX_PACKED = 14 << 20
"""Bytes of items in a page, compressed; a third more as text."""
MAX_PLAIN = 64 << 20
"""Bytes of the same before that: what a browser has to keep in memory."""
PREVIEW = 160
"""Characters of a question in a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Items of a run, from its first one on."""

    data: str
    """Base64 of gzip of one JSON object a line."""
    num_items: int
    size: int
    """Characters of `data`."""


def pack(records: Iterable[Record], share: float = 1.0) -> Packed:
    """As many items as fit; no more records are read than that.

    share: of the limits; several runs share a page.
    """
    gzip = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts: list[bytes] = []
    packed = plain = num_items = 0
    for record in records:
        line = json.dumps(whole(record), ensure_ascii=False, allow_nan=False) + "\n"
        content = line.encode(errors="replace")
        plain += len(content)
        if plain > MAX_PLAIN * share and num_items:
            break
        parts.append(gzip.compress(content))
        packed, num_items = packed + len(parts[-1]), num_items + 1
        if packed > MAX_PACKED * share:
            break
    data = b64encode(b"".join([*parts, gzip.flush()])).decode()
    return Packed(data=data, num_items=num_items, size=len(data))


def head(record: Record) -> dict[str, Any]:
    """An item in a list of items."""
    counts = Counter(candidate.outcome for candidate in record.candidates)
    return {
        "id": record.item_id,
        "task": record.task,
        "category": record.category,
        "outcome": record.outcome,
        "preview": _preview(record),
        "counts": dict(counts),
        "split": is_split(record),
        "picks": [
            {"method": p.method, "i": p.candidate, "answer": p.answer, "correct": p.correct}
            for p in chain.from_iterable(chosen(record).values())
        ],
    }


def whole(record: Record) -> dict[str, Any]:
    """An item with its prompt and candidates."""
    return {
        **head(record),
        "messages": [{"role": turn.role, "content": turn.content} for turn in record.messages],
        "choices": record.choices,
        "reference": record.reference,
        "error": record.error and f"{record.error.kind}: {record.error.message}",
        "candidates": [_candidate(candidate) for candidate in record.candidates],
    }


def is_split(record: Record) -> bool:
    """Methods chose different answers from the same draws. The oracle, who knows the right one, is
    no method."""
    return any(
        len({p.answer for p in picks if "oracle" not in p.method}) > 1
        for picks in chosen(record).values()
    )


def _preview(record: Record) -> str:
    """The end of the last question: examples and instructions stand before it."""
    said = next((turn.content for turn in reversed(record.messages) if turn.role == "user"), "")
    text = " ".join(said[-4 * PREVIEW :].split())
    return text if len(text) <= PREVIEW else "… " + text[-PREVIEW:].partition(" ")[2]


def _candidate(candidate: CandidateRecord) -> dict[str, Any]:
    """Without what is not known. Member and decoding are what its outcomes are counted under."""
    member, decoding = whose(candidate)
    scores = {
        score.scorer: None if score.value is None else finite(score.value)
        for score in candidate.scores
    }
    found = {
        "i": candidate.index,
        "member": member,
        "decoding": decoding,
        "outcome": candidate.outcome,
        "text": candidate.text,
        "answer": candidate.answer,
        "finish": candidate.finish_reason,
        "tokens": candidate.tokens,
        "logprob": None if candidate.logprob is None else finite(candidate.logprob),
        "seed": candidate.seed and str(candidate.seed),
        "scores": scores,
        "said": {s.scorer: said for s in candidate.scores if (said := [*filter(None, s.said)])},
        "credit": {grade.metric: finite(grade.value) for grade in candidate.grade},
        "writers": [reply.member for reply in candidate.replies],
    }
    return {name: value for name, value in found.items() if value not in (None, "", {}, [])}


def finite(value: float) -> float | str:
    """JSON has no infinity; five digits are enough to read."""
    return float(f"{value:.5g}") if math.isfinite(value) else str(value)
