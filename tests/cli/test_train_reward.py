"""A head fitted on a real model's features, written as a model, and hosted like any other."""

import asyncio
import json

import numpy as np
import pytest

from actors.config import ModelConfig
from actors.host import Host
from actors.types import Message
from pipelines.reward_fit import pairs


def row(i):
    """Polite replies are better here, whatever they say and however long they are."""
    kind, rude = f"Thank you for asking. It is {i}.", f"Go away, I won't tell you about {i}."
    return {"prompt": f"What comes after {i - 1}?", "chosen": kind, "rejected": rude}


@pytest.fixture(scope="module")
def trained(ray, tmp_path_factory, tools):
    folder = tmp_path_factory.mktemp("head")
    rows = "".join(json.dumps(row(i)) + "\n" for i in range(60))
    (folder / "polite.jsonl").write_text(rows)
    base = ("--base", "bundled:smollm2-135m-instruct", "models.model.cpus=1", "cluster.cpus=1")
    ended = tools.called(
        folder, "train-reward", "polite.jsonl", *base, "--output", "out", "--steps", "50"
    )
    return folder, ended


def test_the_head_tells_held_out_pairs_apart(trained):
    folder, ended = trained
    assert (ended.returncode, ended.stderr) == (0, "")
    about = json.loads((folder / "out" / "model" / "config.json").read_text())["lilliput"]
    head, more, fewer = about["accuracy"].values()
    assert head == 1.0
    assert more + fewer == pytest.approx(1.0)
    assert about["held_out_pairs"] > 3
    (line,) = (line for line in ended.stdout.splitlines() if "score of the head" in line)
    assert "100.0%" in line
    assert line.split()[-1] == str(about["held_out_pairs"])


def test_the_directory_is_a_reward_model_like_any_other(trained):
    model = trained[0] / "out" / "model"
    host = Host("polite", ModelConfig(engine="reward", path=str(model), known_pair=(
        "What comes after 99?", row(100)["chosen"], row(100)["rejected"]
    )))  # fmt: skip

    async def score():
        info = await host.start()
        asked = Message(role="user", content="What comes after 200?")
        replies = (row(201)["rejected"], row(201)["chosen"])
        found = await host.rewards(
            [(asked, Message(role="assistant", content=reply)) for reply in replies]
        )
        await host.stop()
        return info, found

    info, (rude, polite) = asyncio.run(score())
    assert info.parts == ("preference", "verbosity", "gate:preference", "gate:verbosity")
    assert polite.value > rude.value
    # The raw objectives, before verbosity is taken out.
    assert polite.parts[0] > rude.parts[0]


def test_a_second_model_in_the_same_place_is_refused(trained, tools):
    base = ("--base", "bundled:smollm2-135m-instruct")
    ended = tools.called(trained[0], "train-reward", "polite.jsonl", *base, "--output", "out")
    assert ended.returncode == 2
    assert "out/model exists: give another --output" in ended.stderr


def test_pairs_are_within_a_group_and_never_of_equals():
    better, worse = pairs(np.array([0, 1, 0, 1, 0]), np.array([1.0, 5.0, 0.0, 5.0, 0.0]))
    assert sorted(zip(better.tolist(), worse.tolist(), strict=True)) == [(0, 2), (0, 4)]
