"""Candidates made elsewhere, served as if an engine drew them: no model, no tokens, no cost.

Reads one file, JSONL (also .gz), Parquet, CSV or Arrow, or an earlier run directory. One row is one
candidate:

    {"item_id": "gsm8k-17", "text": "... #### 5", "finish_reason": "stop", "logprob": -9.3,
    "tokens": 27,
     "decoding": "sample", "scores": {"armo": 0.71}}

Needed: `text`, and `item_id` or `prompt` (the bare question). The rest is optional; a row without
`decoding` is a draw. A row may also hold all draws of its item: `texts`, a list of strings. Rows of
an item are served in file order. Where rows say how they were decoded (`arm`, as in the run of a
study: "t=0.7,p=0.9,r=1" for temperature, top-p and repetition penalty), a request gets those of its
own decoding.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from actors.config import ModelConfig
from actors.engines.base import EngineRequest, ScoreRequest
from actors.formats import FORMATS, UNREADABLE, suffix
from actors.machine import processor
from actors.types import Completion, ConfigError, ItemError, Message

REASONS = {
    None: "stop",
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
}

ARM = re.compile(r"t=([^,]+),p=([^,]+),r=([^,]+)")

Decoded = tuple[float, ...]
"""Temperature (0: greedy), top-p and repetition penalty; empty where a source doesn't say."""

NO_WEIGHTS = (
    "a replay has no weights: it can't be asked for log-probabilities; bind a model to that role"
)


class NoPrompts:
    """Nothing is rendered: a replay has no tokenizer."""

    def render(self, messages: Sequence[Message]) -> list[int]:
        """No tokens."""
        return []

    def label_ids(self, labels: Sequence[str], messages: Sequence[Message]) -> list[int]:
        """Always refused."""
        raise ConfigError(NO_WEIGHTS)

    def continuations(
        self, messages: Sequence[Message], texts: Sequence[str]
    ) -> list[tuple[ScoreRequest, bool]]:
        """Always refused."""
        raise ConfigError(NO_WEIGHTS)


class ReplayEngine:
    """All candidates of the source in memory, by item id or by question."""

    def __init__(self, config: ModelConfig, *, life: int = 0) -> None:
        self.prompts = NoPrompts()
        self.context = 1 << 30
        self.device = processor()
        self.num_steps = 0
        self._source = Path(config.path)
        self._draws: dict[tuple[str, Decoded], list[Completion]] = {}
        self._greedy: dict[tuple[str, Decoded], Completion] = {}
        self._decoded: set[Decoded] = set()
        self._members: set[str] = set()
        for number, row in read_rows(self._source):
            if config.replay.member in ("", row.get("member")):
                self._add(number, row)
        if not self._draws and not self._greedy:
            whose = f" of member {config.replay.member!r}" if config.replay.member else ""
            raise ConfigError(f"{self._source} holds no candidates{whose}")

    async def generate(self, requests: Sequence[EngineRequest]) -> list[Completion]:
        """The item's recorded draws in order, and its greedy candidate. Raises ItemError when
        there are fewer.
        """
        drawn = [request for request in requests if request.seed is not None]
        draws = iter(self._find(self._draws, drawn[0], []) if drawn else ())
        completions = []
        for request in requests:
            if request.seed is None:
                found = self._find(self._greedy, request, None)
            else:
                found = next(draws, None)
            if found is None:
                kind = "a greedy candidate" if request.seed is None else f"{len(drawn)} draws"
                raise ItemError(
                    "error", f"{self._source} does not hold {kind} of item {request.item_id!r}"
                )
            completions.append(found)
        return completions

    async def label_logprobs(
        self, prompts: Sequence[Sequence[int]], label_ids: Sequence[int]
    ) -> list[tuple[float, ...]]:
        """Never reached: `label_ids` refuses first."""
        raise ConfigError(NO_WEIGHTS)

    async def continuation_logprobs(
        self, requests: Sequence[ScoreRequest]
    ) -> list[tuple[float, ...]]:
        """Never reached: `continuations` refuses first."""
        raise ConfigError(NO_WEIGHTS)

    async def close(self) -> None:
        """Nothing to give back."""

    def _find(
        self, table: Mapping[tuple[str, Decoded], Any], request: EngineRequest, default: Any
    ) -> Any:
        asked = request.sampling
        warm = (0.0, 1.0) if request.seed is None else (asked.temperature, asked.top_p)
        decoded = () if () in self._decoded else (*warm, asked.repetition_penalty)
        keys = ((key, decoded) for key in (f"id:{request.item_id}", f"q:{request.question}"))
        return next((table[key] for key in keys if key in table), default)

    def _add(self, number: int, row: Mapping[str, Any]) -> None:
        if row.get("item_id") is not None:
            key = f"id:{row['item_id']}"
        elif row.get("prompt") is not None:
            key = f"q:{row['prompt']}"
        else:
            raise self._missing(number, row, "item_id' or 'prompt")
        place = (key, self._decoding(number, row))
        texts = row["texts"] if row.get("texts") is not None else [row.get("text")]
        decoding = row.get("decoding", "sample")
        if not isinstance(texts, list) or decoding not in (None, "sample", "greedy"):
            raise ConfigError(
                f"row {number} of {self._source}: wanted texts as a list and decoding 'sample' or "
                f"'greedy', got {texts!r:.60} and {decoding!r}"
            )
        for text in texts:
            if not isinstance(text, str):
                raise self._missing(number, row, "text")
            completion = self._completion(number, row, text)
            if decoding == "greedy":
                if place in self._greedy:
                    raise ConfigError(
                        f"row {number} of {self._source}: a second greedy candidate of its item"
                    )
                self._greedy[place] = completion
            else:
                self._draws.setdefault(place, []).append(completion)

    def _decoding(self, number: int, row: Mapping[str, Any]) -> Decoded:
        """How a row was decoded. Raises ConfigError where only some rows say so, and for pools of
        several members in one.
        """
        found = decoded(row)
        self._decoded.add(found)
        self._members.add(row.get("member") or "")
        if () in self._decoded and len(self._decoded) > 1:
            raise ConfigError(
                f"row {number} of {self._source}: wanted the decoding of every row or of none in "
                f"'arm', got {row.get('arm')!r}"
            )
        if found and len(self._members) > 1:
            raise ConfigError(
                f"{self._source} holds pools of several members ({', '.join(sorted(self._members))}"
                "); name one of them: replay: {member: NAME}"
            )
        return found

    def _completion(self, number: int, row: Mapping[str, Any], text: str) -> Completion:
        reason = row.get("finish_reason")
        if reason not in REASONS:
            raise ConfigError(
                f"row {number} of {self._source}: finish_reason {reason!r}; known: "
                f"{', '.join(filter(None, REASONS))}"
            )
        scores = row.get("scores") or {}
        if not isinstance(scores, dict):
            raise ConfigError(
                f"row {number} of {self._source}: scores: wanted names with numbers, got {scores!r}"
            )
        numbers = [v for v in (*scores.values(), row.get("logprob")) if v is not None]
        if not all(isinstance(v, int | float) and math.isfinite(v) for v in numbers):
            raise ConfigError(
                f"row {number} of {self._source}: scores and logprob: wanted finite numbers or "
                f"nulls, got {numbers}"
            )
        return Completion(
            text=text,
            finish_reason="length" if REASONS[reason] == "length" else "stop",
            prompt_tokens=int(row.get("prompt_tokens") or 0),
            num_tokens=None if row.get("tokens") is None else int(row["tokens"]),
            logprob=None if row.get("logprob") is None else float(row["logprob"]),
            recorded_scores=tuple((str(k), float(v)) for k, v in scores.items() if v is not None),
        )

    def _missing(self, number: int, row: Mapping[str, Any], field: str) -> ConfigError:
        return ConfigError(
            f"row {number} of {self._source} has no field '{field}'; "
            f"it has: {', '.join(sorted(row))}"
        )


def decoded(row: Mapping[str, Any]) -> Decoded:
    """How a candidate was decoded, as its row says."""
    arm = ARM.fullmatch(row.get("arm") or "")
    return tuple(map(float, arm.groups())) if arm else ()


def decodings(config: ModelConfig) -> set[Decoded]:
    """Of the first item's candidates in a source; none where it doesn't say. Raises ConfigError."""
    found: set[Decoded] = set()
    first = None
    for _, row in read_rows(Path(config.path)):
        name = (row.get("item_id"), row.get("prompt"))
        first = first or name
        if name != first:
            break
        if config.replay.member in ("", row.get("member")):
            found.add(decoded(row))
    return found - {()}


def source_fingerprint(source: Path) -> str:
    """sha256 of a candidate file, or of the names and bytes of a run's records.

    Raises ConfigError when there is nothing to read.
    """
    files = sorted((source / "records").glob("part-*.arrow")) if source.is_dir() else [source]
    if not files or not all(file.is_file() for file in files):
        raise ConfigError(f"no candidate file or run directory with records: {source}")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def read_rows(source: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Numbered rows of a candidate file or of a run directory, in order.

    Raises ConfigError for what can't be read.
    """
    if not source.is_dir() and not suffix(source):
        raise ConfigError(f"{source}: wanted a run directory, or a file in {', '.join(FORMATS)}")
    if not source.exists():
        raise ConfigError(f"no such file or run directory: {source}")
    try:
        yield from (
            _run_directory(source) if source.is_dir() else FORMATS[suffix(source)].read(source)
        )
    except UNREADABLE as error:
        raise ConfigError(f"can't read {source}: {error}") from None


def _run_directory(run: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    parts = sorted((run / "records").glob("part-*.arrow"))
    if not parts:
        raise ConfigError(f"{run} is not a run directory: it has no records/part-*.arrow")
    for part in parts:
        for number, row in FORMATS[".arrow"].read(part):
            for candidate in row["candidates"]:
                scores = {s["scorer"]: s["value"] for s in candidate["scores"]}
                yield number, {**candidate, "item_id": row["item_id"], "scores": scores}
