"""What `prepare` lets a blend do, what it refuses, and which roles it binds."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from actors.blend import Blend
from actors.generator import ModelGenerator
from actors.types import ConfigError, Item, Preview
from pipelines import execute, live
from pipelines.config import override
from pipelines.job import Job, prepare
from pipelines.roles import bind
from results.costs import Member
from results.directories import open_directory
from results.store import Manifest, Store

FAKE = {"engine": "fake"}
PLAIN: dict[str, Any] = {
    "name": "tiny",
    "task": {"name": "arithmetic", "num_items": 4},
    "pipeline": {"name": "rank", "n": 4},
    "models": {"a": FAKE, "b": FAKE},
    "roles": {"generator": {"blend": ["a", "b"], "weights": [3, 1]}},
}


class Hosted:
    def __init__(self, name: str) -> None:
        self.name = name


def bound(job: Job) -> dict[str, Any]:
    return bind(job.config, job.method, {name: Hosted(name) for name in "ab"})  # type: ignore[misc]


@pytest.fixture
def turns(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "turns.jsonl"
    path.write_text(json.dumps({"turns": ["Hi.", "Again."]}) + "\n")
    return {**PLAIN, "task": {"name": "chat", "source": str(path)}, "pipeline": {"name": "chat"}}


def test_rank_gets_the_blend_as_its_generator() -> None:
    generator = bound(prepare(override(PLAIN, [])))["generator"]
    assert isinstance(generator, Blend)
    assert generator.shares == {"a": 0.75, "b": 0.25}
    alone = bound(prepare(override(PLAIN, ["roles={generator: b}"])))["generator"]
    assert isinstance(alone, ModelGenerator)


def test_chat_gets_a_blend_whatever_the_generator_is(turns: dict[str, Any]) -> None:
    assert list(bound(prepare(override(turns, [])))["blend"].members) == ["a", "b"]
    assert list(bound(prepare(override(turns, ["roles={generator: b}"])))["blend"].members) == ["b"]


def test_another_blend_is_another_run() -> None:
    changes = ["roles.generator=a", "roles.generator.weights=[1,1]", "roles.generator.blend=[b,a]"]
    digests = {prepare(override(PLAIN, [change])).digest for change in [*changes, "seed=0"]}
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("roles.generator.blend=[a,c]", "roles.generator: no model 'c' under models; there are: a"),
        ("roles.generator.blend=[a,a]", "roles.generator: blend: wanted each model once"),
        ("pipeline={name: chat, arms: []}", "pipeline.arms: tuple should have at least 1 item"),
        ("pipeline={name: chat, arms: [blend, solo]}", "pipeline.arms.1: input should be 'alone'"),
        ("pipeline={name: chat, arms: [blend, blend]}", "pipeline: arms: wanted each one once"),
        ("models.b={engine: replay, path: x.jsonl}", "model 'b' is a replay, without weights to"),
    ],
)
def test_what_a_blend_cannot_do_is_refused_in_one_line(
    change: str, message: str, turns: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as error:
        prepare(override(turns, [change]))
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_task_without_right_and_wrong_is_not_ranked(turns: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="nothing tells right from wrong there"):
        prepare(override({**turns, "pipeline": {"name": "rank"}}, []))


def test_likelihoods_are_asked_of_one_model() -> None:
    choosing = {**PLAIN, "task": {"name": "truthfulqa_mc1"}, "pipeline": {"name": "choice"}}
    with pytest.raises(ConfigError, match="got a blend of a, b; name one of them"):
        prepare(override(choosing, []))
    assert prepare(override(choosing, ["roles.generator=a"]))


class Crew:
    """Shows a prompt that is the model's name; `b` refuses."""

    async def preview(self, model: str, item: Item) -> Preview:
        if model == "b":
            raise ConfigError("refuses roles")
        return Preview(
            template="chat", template_hash="3f2a9c01", text=model, ids=(1, 2), num_bos=1,
            first_ids=((1, "<s>"),),
        )  # fmt: skip


def test_each_members_prompt_is_shown_and_kept(tmp_path: Path) -> None:
    models = dict.fromkeys("abc", FAKE)
    job = prepare(
        override(
            {**PLAIN, "models": models}, ["roles.generator={blend: [a,b,c], weights: [1,1,1]}"]
        )
    )
    page = io.StringIO()
    with Store.open(tmp_path / "run", Manifest(identity={})) as store:
        asyncio.run(live._note_prompt(job, store, Crew(), Console(file=page)))  # type: ignore[arg-type]
        assert list(store.manifest.about["prompts"]) == ["a", "c"]
    said = page.getvalue().splitlines()
    assert [line.partition(":")[0] for line in said] == [f"prompt of {name}" for name in "abc"]
    assert said[1] == "prompt of b: not shown: refuses roles"


def test_the_manifest_says_who_may_be_drawn_and_how_large_they_are(tmp_path: Path) -> None:
    small = {"engine": "hf", "path": "bundled:smollm2-135m-instruct"}
    job = prepare(override({**PLAIN, "models": {"a": small, "b": FAKE}}, []))
    assert execute._manifest(job, open_directory(tmp_path / "run")).members == {
        "a": Member(share=0.75, parameters=134_515_008),
        "b": Member(share=0.25, parameters=None),
    }
