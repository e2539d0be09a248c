"""The trust check of an encoder: a sound one passes, each fault fails the check made for it."""

import asyncio
import json

import pytest

from actors import engines
from actors.config import ModelConfig
from actors.engines.base import PairEngine
from actors.host import Host
from actors.reward_models.trust import PAIR, examine, trusted
from actors.types import ConfigError
from pipelines.reward_check import check_model


class Around:
    """An engine with something wrong with it."""

    def __init__(self, engine, *, render=None, change=None):
        self._engine, self._render, self._change = engine, render, change
        self.context, self.device, self.head = engine.context, engine.device, engine.head
        self.num_steps, self.close, self.prompts = 0, engine.close, self

    def __getattr__(self, name):
        return getattr(self._engine.prompts, name)

    def comparisons(self, messages, texts, pairs):
        found = self._engine.prompts.comparisons(messages, texts, pairs)
        return [self._render(ids) for ids in found] if self._render else found

    async def preferences(self, asked):
        found = await self._engine.preferences(asked)
        return self._change(found, asked) if self._change else found


def climbing(found):
    return [logit + 0.5 * i for i, logit in enumerate(found)]


def failing(engine, config):
    return [check.name for check in asyncio.run(examine(engine, config)) if not check.passed]


@pytest.fixture(scope="module")
def sound(comparing, paired):
    """Random weights like one of the two replies better: that is the better one here."""
    turned = (PAIR[0], PAIR[2], PAIR[1])
    config = ModelConfig(engine="pairrm", path=str(paired[0]))
    pair = turned if failing(comparing, config) else PAIR
    return config.model_copy(update={"known_pair": pair})


def test_a_sound_encoder_passes(comparing, sound):
    assert isinstance(Around(comparing), PairEngine)
    assert failing(Around(comparing), sound) == []
    asyncio.run(trusted(comparing, sound))
    info = asyncio.run(Host("m", sound).start())
    assert len(info.probe) == 3
    assert info.context == 2048


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        # A tokenizer that doesn't know the prefix, one that writes it twice, an end cut off.
        ({"render": lambda ids: [i for i in ids if i != ids[1]]}, "prefix tokens"),
        ({"render": lambda ids: [*ids[:2], *ids[1:]]}, "prefix tokens"),
        ({"render": lambda ids: ids[:-1]}, "prefix tokens"),
        ({"render": lambda ids: [*ids[:2], *ids[8:]]}, "text round trip"),
        (
            {"change": lambda found, asked: [x + 0.5 * (len(found) > 1) for x in found]},
            "batch of one = batch of many",
        ),
        ({"change": lambda found, asked: climbing(found)}, "order in a batch"),
        (
            {
                "change": lambda found, asked: [
                    x + 0.01 * (max(map(len, asked)) - len(ids))
                    for x, ids in zip(found, asked, strict=True)
                ]
            },
            "padding",
        ),
        ({"change": lambda found, asked: climbing(found)}, "a prompt twice"),
        # Both replies read off one place; a first place that is never looked at.
        ({"change": lambda found, asked: [0.0 for _ in found]}, "both orders"),
        ({"change": lambda found, asked: [abs(x) for x in found]}, "known pair"),
        ({"change": lambda found, asked: [-x for x in found]}, "known pair"),
    ],
)
def test_each_fault_fails_the_check_made_for_it(comparing, sound, wrong, check):
    assert check in failing(Around(comparing, **wrong), sound)


def test_a_failing_check_stops_the_run_before_anything_is_scored(sound):
    question, better, worse = sound.known_pair
    bad = sound.model_copy(update={"known_pair": (question, worse, better)})
    with pytest.raises(ConfigError, match=r"check 'known pair': .* above .* nothing was scored"):
        asyncio.run(Host("m", bad).start())
    path, override = sound.path, f"known_pair={json.dumps(sound.known_pair)}"
    lines = list(check_model(path, engines.suited(path, "reward"), [override]))
    assert [line.name for line in lines][-2:] == ["both orders", "known pair"]
    assert all(line.ok for line in lines)
