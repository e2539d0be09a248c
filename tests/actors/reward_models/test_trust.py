"""The trust check: a sound model passes, and each way to be unsound fails the check made for it."""

import asyncio
from dataclasses import replace

import pytest

from actors.config import ModelConfig
from actors.host import Host
from actors.reward_models.trust import PAIR, examine, trusted
from actors.types import ConfigError, Reward

CONFIG = ModelConfig(engine="reward", path="some/model")
TURNED = (PAIR[0], PAIR[2], PAIR[1])


class Around:
    """An engine with something wrong with it."""

    def __init__(self, engine, *, render=None, change=None):
        self._engine, self._render, self._change = engine, render, change
        self.parts, self.context, self.device = engine.parts, engine.context, engine.device
        self.num_steps, self.close = 0, engine.close
        self.prompts, self.known_pair = self, engine.known_pair

    def __getattr__(self, name):
        return getattr(self._engine.prompts, name)

    def conversation(self, messages):
        ids = self._engine.prompts.conversation(messages)
        return self._render(ids) if self._render else ids

    async def rewards(self, conversations):
        found = await self._engine.rewards(conversations)
        return self._change(found, conversations) if self._change else found


def failing(engine, config=CONFIG):
    return [check.name for check in asyncio.run(examine(engine, config)) if not check.passed]


@pytest.fixture
def sound(seqcls, hosted):
    """Random weights like one of the two replies better: that is the better one here."""
    engine = hosted(seqcls[0])
    pair = TURNED if failing(engine) else PAIR
    return engine, CONFIG.model_copy(update={"known_pair": pair})


def shifted(found, by):
    return [replace(reward, value=reward.value + by(i)) for i, reward in enumerate(found)]


def test_a_sound_model_passes(sound):
    engine, config = sound
    assert failing(Around(engine), config) == []
    asyncio.run(trusted(engine, config))


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        ({"render": lambda ids: [1, *ids]}, "one BOS"),
        ({"render": lambda ids: ids[:-12] + ids[-2:]}, "template round trip"),
        ({"render": lambda ids: ids[:-2]}, "end token kept"),
        (
            {"change": lambda found, asked: shifted(found, lambda i: 0.5 * (len(found) > 1))},
            "batch of one = batch of many",
        ),
        ({"change": lambda found, asked: shifted(found, lambda i: 0.5 * i)}, "order in a batch"),
        (
            # As where the end is looked for in a row padded to the longest.
            {
                "change": lambda found, asked: shifted(
                    found, lambda i: 0.01 * (max(map(len, asked)) - len(asked[i]))
                )
            },
            "padding",
        ),
        ({"change": lambda found, asked: shifted(found, lambda i: 0.5 * i)}, "a prompt twice"),
        (
            # An activation that squeezes every score to 1 leaves nothing to tell apart.
            {"change": lambda found, asked: [Reward(value=1.0) for _ in found]},
            "known pair",
        ),
    ],
)
def test_each_fault_fails_the_check_made_for_it(sound, wrong, check):
    engine, config = sound
    assert check in failing(Around(engine, **wrong), config)


def test_a_failing_check_stops_the_run_before_anything_is_scored(sound, seqcls):
    engine, config = sound
    turned = (config.known_pair[0], config.known_pair[2], config.known_pair[1])
    bad = config.model_copy(update={"known_pair": turned, "path": str(seqcls[0])})
    with pytest.raises(ConfigError, match=r"trust check 'known pair': wanted to .* above .*, got"):
        asyncio.run(trusted(engine, bad))
    with pytest.raises(ConfigError, match="nothing was scored"):
        asyncio.run(Host("reward", bad).start())


def test_a_probe_is_the_same_whatever_the_scores_scale(seqcls, hosted):
    """Rounding moves large scores far; replicas are compared by their probes."""

    def probe(times):
        host = Host("reward", CONFIG)
        host._engine = Around(
            hosted(seqcls[0]),
            change=lambda found, asked: [replace(r, value=r.value * times) for r in found],
        )
        return asyncio.run(host.probe())

    large, larger = probe(1e3), probe(1.02e3)
    assert max(large) - min(large) == pytest.approx(1.0)
    assert larger == pytest.approx(large, abs=1e-6)
