"""Candidates made elsewhere come back unchanged, from every format, or with one clear line."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actors.config import ModelConfig, ReplayConfig, Sampling
from actors.engines.base import EngineRequest
from actors.engines.replay import ReplayEngine, decodings
from actors.types import Completion, ConfigError, ItemError, Message

ROWS: list[dict[str, Any]] = [
    {"item_id": "a", "text": "#### 1", "logprob": -2.5, "scores": {"armo": 0.1}, "tokens": 4},
    {"item_id": "b", "text": "#### 9", "finish_reason": "length"},
    {"item_id": "a", "text": "#### 2", "logprob": -3.5, "scores": {"armo": 0.7}, "tokens": 5},
    {"item_id": "a", "text": "#### 3", "decoding": "greedy"},
]


def write(folder: Path, suffix: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"candidates{suffix}"
    columns = {key: None for row in rows for key in row}
    full = [{**columns, **row} for row in rows]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if suffix == ".jsonl":
        path.write_text(lines, encoding="utf-8")
    elif suffix == ".jsonl.gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(full), path)
    else:
        table = pa.Table.from_pylist(full)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    return path


def draw(
    engine: ReplayEngine, item_id: str, *seeds: int | None, question: str = ""
) -> list[Completion]:
    requests = [
        EngineRequest(
            prompt_ids=(), sampling=Sampling(), seed=seed, item_id=item_id, question=question
        )
        for seed in seeds
    ]
    return asyncio.run(engine.generate(requests))


def replay(path: Path) -> ReplayEngine:
    return ReplayEngine(ModelConfig(engine="replay", path=str(path)))


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet", ".arrow"])
def test_every_format_gives_the_same_candidates_in_file_order(tmp_path: Path, suffix: str) -> None:
    engine = replay(write(tmp_path, suffix, ROWS))
    greedy, first, second = draw(engine, "a", None, 11, 12)
    assert (greedy.text, first.text, second.text) == ("#### 3", "#### 1", "#### 2")
    assert (second.logprob, second.num_tokens) == (-3.5, 5)
    assert second.recorded_scores == (("armo", 0.7),)
    assert draw(engine, "b", 1)[0].finish_reason == "length"


def test_rows_without_item_ids_are_found_by_their_question(tmp_path: Path) -> None:
    rows = [{"prompt": "What is 2 + 3?", "texts": ["5", "six"]}]
    engine = replay(write(tmp_path, ".jsonl", rows))
    texts = [c.text for c in draw(engine, "any", 1, 2, question="What is 2 + 3?")]
    assert texts == ["5", "six"]


def test_too_few_draws_fail_the_item_and_not_the_run(tmp_path: Path) -> None:
    engine = replay(write(tmp_path, ".jsonl", ROWS))
    with pytest.raises(ItemError, match=r"does not hold 3 draws of item 'a'"):
        draw(engine, "a", 1, 2, 3)
    with pytest.raises(ItemError, match=r"a greedy candidate of item 'b'"):
        draw(engine, "b", None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "5"}, r"row 1 .* has no field 'item_id' or 'prompt'; it has: text"),
        ({"item_id": "a"}, r"row 1 .* has no field 'text'"),
        ({"item_id": "a", "text": "5", "finish_reason": "tired"}, r"finish_reason 'tired'; known"),
        ({"item_id": "a", "texts": "57575"}, r"row 1 .* wanted texts as a list"),
        ({"item_id": "a", "text": "5", "decoding": "argmax"}, r"row 1 .* got .* 'argmax'"),
        ({"item_id": "a", "text": "5", "scores": [1.0]}, r"wanted names with numbers"),
        ({"item_id": "a", "text": "5", "scores": {"rm": float("nan")}}, r"row 1 .* wanted finite"),
        ({"item_id": "a", "text": "5", "logprob": "high"}, r"row 1 .* wanted finite"),
    ],
)
def test_a_bad_row_is_refused_with_its_number(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        replay(write(tmp_path, ".jsonl", [row]))


def test_files_that_hold_nothing_readable_are_refused(tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl"
    torn.write_text('{"item_id": "a", "te', encoding="utf-8")
    not_arrow = tmp_path / "not.arrow"
    not_arrow.write_bytes(b"ARROW? no")
    for path, message in (
        (tmp_path / "absent.jsonl", "no such file"),
        (torn, "row 1 isn.t JSON"),
        (not_arrow, "can.t read"),
        (write(tmp_path, ".jsonl", []), "holds no candidates"),
        (tmp_path, "not a run directory"),
    ):
        with pytest.raises(ConfigError, match=message):
            replay(path)


def test_a_replay_can_not_be_asked_for_the_likelihood_of_a_text(tmp_path: Path) -> None:
    engine = ReplayEngine(ModelConfig(engine="replay", path=str(write(tmp_path, ".jsonl", ROWS))))
    with pytest.raises(ConfigError, match="has no weights"):
        engine.prompts.continuations((Message(role="user", content="a"),), ["b"])


STUDY: list[dict[str, Any]] = [
    {"item_id": "a", "text": f"{member} {arm} {index}", "member": member, "arm": arm, **greedy}
    for member in ("small", "base")
    for arm, greedy in (
        ("t=1,p=1,r=1", {}),
        ("t=0.5,p=1,r=1", {}),
        ("t=0,p=1,r=1", {"decoding": "greedy"}),
        ("t=0,p=1,r=1.1", {"decoding": "greedy"}),
    )
    for index in range(1 if greedy else 2)
]


def asked(engine: ReplayEngine, *seeds: int | None, **sampling: float) -> list[str]:
    settings = Sampling(**sampling)
    requests = [
        EngineRequest(prompt_ids=(), sampling=settings, seed=seed, item_id="a") for seed in seeds
    ]
    return [found.text for found in asyncio.run(engine.generate(requests))]


def of(path: Path, member: str = "") -> ModelConfig:
    return ModelConfig(engine="replay", path=str(path), replay=ReplayConfig(member=member))


def test_pools_of_a_study_are_served_to_requests_of_their_decoding(tmp_path: Path) -> None:
    config = of(write(tmp_path, ".jsonl", STUDY), "small")
    engine = ReplayEngine(config)
    plain = ["small t=0,p=1,r=1 0", "small t=1,p=1,r=1 0", "small t=1,p=1,r=1 1"]
    assert asked(engine, None, 1, 2) == plain
    assert asked(engine, 1, temperature=0.5) == ["small t=0.5,p=1,r=1 0"]
    assert asked(engine, None, repetition_penalty=1.1) == ["small t=0,p=1,r=1.1 0"]
    with pytest.raises(ItemError, match="does not hold 1 draws of item 'a'"):
        asked(engine, 1, temperature=0.7)
    held = {(1.0, 1.0, 1.0), (0.5, 1.0, 1.0), (0.0, 1.0, 1.0), (0.0, 1.0, 1.1)}
    assert decodings(config) == held


def test_pools_that_are_not_told_apart_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, ".jsonl", STUDY)
    with pytest.raises(ConfigError, match=r"several members \(base, small\); name one of them"):
        ReplayEngine(of(path))
    with pytest.raises(ConfigError, match="holds no candidates of member 'smol'"):
        ReplayEngine(of(path, "smol"))
    mixed = write(tmp_path, ".jsonl.gz", [STUDY[0], {"item_id": "a", "text": "x"}])
    with pytest.raises(ConfigError, match=r"row 2 of .*: wanted the decoding of every row or of"):
        ReplayEngine(of(mixed))


def test_without_pools_members_are_a_filter(tmp_path: Path) -> None:
    rows = [{"item_id": "a", "text": name, "member": name} for name in ("small", "base")]
    path = write(tmp_path, ".jsonl", rows)
    assert asked(ReplayEngine(of(path)), 1, 2) == ["small", "base"]
    assert asked(ReplayEngine(of(path, "base")), 1, temperature=0.5) == ["base"]
    assert decodings(of(path)) == set()
