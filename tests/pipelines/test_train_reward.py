"""A head fitted on a real model's features, written as a model, and hosted like any other."""

import asyncio
import json

import numpy as np
import pytest
from rich.console import Console

from actors.bundled import bundled_path
from actors.config import ModelConfig
from actors.host import Host
from actors.types import ConfigError, Message
from pipelines.train_reward import Request, pairs, train

FILL = ("models.model.cpus=1", "cluster.cpus=1")


def row(i):
    """Polite replies are better here, whatever they say and however long they are."""
    kind, rude = f"Thank you for asking. It is {i}.", f"Go away, I won't tell you about {i}."
    return {"prompt": f"What comes after {i - 1}?", "chosen": kind, "rejected": rude}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("head")
    data = folder / "polite.jsonl"
    data.write_text("".join(json.dumps(row(i)) + "\n" for i in range(60)))
    base = bundled_path("smollm2-135m-instruct")
    request = Request(
        data=str(data), base=str(base), output=str(folder / "out"), steps=50, overrides=FILL
    )
    return request, train(request, Console(quiet=True)), folder / "out" / "model"


def test_the_head_tells_held_out_pairs_apart(trained):
    _, (head, longer, shorter), _ = trained
    assert head.value == 1.0
    assert head.interval.low > 0.5
    assert longer.value + shorter.value == pytest.approx(1.0)
    assert head.pairs == longer.pairs > 3


def test_the_directory_is_a_reward_model_like_any_other(trained):
    _, _, model = trained
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


def test_a_second_model_in_the_same_place_is_refused(trained):
    request, _, _ = trained
    with pytest.raises(ConfigError, match="model exists: give another --output"):
        train(request, Console(quiet=True))


def test_pairs_are_within_a_group_and_never_of_equals():
    better, worse = pairs(np.array([0, 1, 0, 1, 0]), np.array([1.0, 5.0, 0.0, 5.0, 0.0]))
    assert sorted(zip(better.tolist(), worse.tolist(), strict=True)) == [(0, 2), (0, 4)]
