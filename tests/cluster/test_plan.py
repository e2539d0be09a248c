"""What fits where, and what is said when it doesn't."""

from itertools import chain, islice

import pytest

from actors.config import ModelConfig, Replicas, parse
from actors.types import ConfigError
from cluster.plan import Node, Share, bundles, check_shares, fits, largest_first, place
from cluster.scaling import IDLE, Scaling

GIB = 2**30


def node(name: str, cpus: float = 8, gpus: float = 0, gib: float = 64, **more: float) -> Node:
    return Node(name=name, free={"CPU": cpus, "GPU": gpus, "memory": gib * GIB, **more})


def model(**settings: object) -> ModelConfig:
    return parse(ModelConfig, {"engine": "fake", **settings})


@pytest.mark.parametrize(
    ("written", "least", "most"),
    [(3, 3, 3), ("auto", 1, None), ({"min": 2, "max": 5}, 2, 5), ({"max": 4}, 1, 4)],
)
def test_replicas_are_a_number_a_range_or_auto(
    written: object, least: int, most: int | None
) -> None:
    replicas = model(replicas=written).replicas
    assert (replicas.min, replicas.max) == (least, most)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (0, "replicas: input should be greater than or equal to 1, got 0"),
        (True, "replicas: wanted a number, auto, or {min, max}, got True"),
        ("many", "replicas: wanted a number, auto, or {min, max}, got 'many'"),
        ({"min": 3, "max": 2}, "replicas: wanted max of at least min = 3, got 2"),
        ({"most": 2}, "replicas.most: unknown key"),
    ],
)
def test_other_replicas_are_refused(written: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        model(replicas=written)
    assert message in str(error.value)


def test_auto_gets_what_the_others_leave() -> None:
    models = {"judge": model(cpus=2), "small": model(replicas="auto"), "tiny": model(cpus=0.5)}
    assert place(models, [node("a", cpus=4), node("b", cpus=3)], "here") == {
        "judge": 1,
        "small": 4,
        "tiny": 1,
    }


def test_several_autos_take_turns() -> None:
    models = {"a": model(replicas="auto"), "b": model(replicas="auto")}
    assert place(models, [node("n", cpus=7)], "here") == {"a": 4, "b": 3}


def test_a_replica_needs_one_node_that_holds_it_whole() -> None:
    models = {"big": model(gpus=4, cpus=4)}
    place(models, [node("a", gpus=3), node("b", gpus=4)], "here")
    with pytest.raises(ConfigError) as error:
        place(models, [node("a", gpus=3), node("b", gpus=3, cpus=2)], "ray://head:10001")
    assert str(error.value) == (
        "models.big: replica 1 of 1 wants 4 CPU, 4 GPU on one node, and ray://head:10001 has free: "
        "a 8 CPU, 3 GPU; b 2 CPU, 3 GPU; lower models.big.replicas, or give the cluster more"
    )


def test_the_large_are_placed_before_the_small() -> None:
    models = {"small": model(gpus=1, replicas=4), "big": model(gpus=4)}
    assert largest_first(models) == ["big", "small"]
    assert place(models, [node("a", gpus=4), node("b", gpus=4)], "here") == {"small": 4, "big": 1}


def test_small_models_share_a_device_by_fractions() -> None:
    models = {"a": model(gpus=0.4, replicas=2), "b": model(gpus=0.2)}
    place(models, [node("n", gpus=1)], "here")
    with pytest.raises(ConfigError, match=r"models.b: replica 1 of 1 wants 1 CPU, 0.21 GPU"):
        place(models | {"b": model(gpus=0.21)}, [node("n", gpus=1)], "here")


def test_a_replica_over_two_nodes_reserves_a_bundle_for_each_device() -> None:
    config = model(gpus=4, nodes=2, cpus=8)
    assert bundles(config) == ({"CPU": 2.0, "GPU": 1.0},) * 4
    assert fits(config, [node("a", gpus=2), node("b", gpus=2)])
    assert not fits(config, [node("a", gpus=2), node("b", gpus=1)])


def test_memory_labels_and_custom_resources_say_where() -> None:
    here = [Node(name="a", free={"CPU": 8, "memory": 9 * GIB, "fast": 1}, labels={"zone": "x"})]
    assert fits(model(memory_gib=9, labels={"zone": "x"}, resources={"fast": 1}), here)
    assert not fits(model(memory_gib=9.1), here)
    assert not fits(model(labels={"zone": "y"}), here)
    assert not fits(model(resources={"fast": 2}), here)
    with pytest.raises(ConfigError, match=r"on one node labelled zone=y, .* free: no such node"):
        place({"m": model(labels={"zone": "y"})}, here, "here")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gpus": 1.5}, "wanted whole devices above 1, got 1.5"),
        ({"gpus": 4, "nodes": 3}, "wanted a divisor of gpus = 4, got 3"),
    ],
)
def test_devices_that_cannot_be_split_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model(**settings)


def test_a_pool_grows_only_while_calls_keep_waiting_and_there_is_room() -> None:
    room = True
    scaling = Scaling(Replicas(min=1, max=3), lambda: room)
    assert not scaling.grows(num=1, num_starting=0, waiting=True), "a burst is no reason"
    assert scaling.grows(num=1, num_starting=0, waiting=True)
    assert not scaling.grows(num=2, num_starting=1, waiting=True), "one is on its way"
    assert scaling.grows(num=2, num_starting=0, waiting=True)
    assert not scaling.grows(num=3, num_starting=0, waiting=True), "that is its most"
    assert not scaling.grows(num=2, num_starting=0, waiting=False)
    assert not scaling.grows(num=2, num_starting=0, waiting=True), "it has not waited before"
    room = False
    assert not scaling.grows(num=2, num_starting=0, waiting=True)


def test_a_pool_shrinks_to_its_least_when_it_is_idle() -> None:
    scaling = Scaling(Replicas(min=2, max=None), lambda: True)
    assert scaling.shrinks(num=3, waiting=False, longest_idle=IDLE + 1)
    assert not scaling.shrinks(num=3, waiting=False, longest_idle=IDLE - 1)
    assert not scaling.shrinks(num=3, waiting=True, longest_idle=IDLE + 1)
    assert not scaling.shrinks(num=2, waiting=False, longest_idle=IDLE + 1)


@pytest.mark.parametrize("num", [1, 2, 3, 5])
def test_shares_part_a_pool_without_a_rest(num: int) -> None:
    shares = [Share(index, num) for index in range(num)]
    numbers = [list(islice(share.numbers(), share.of(5))) for share in shares]
    assert sorted(chain(*numbers)) == [0, 1, 2, 3, 4]
    assert max(map(len, numbers)) - min(map(len, numbers)) <= 1


def test_a_share_of_a_pool_that_grows_grows_by_its_share() -> None:
    bounds = [Share(index, 2).bounds(Replicas(min=2, max=5)) for index in range(2)]
    assert [(each.min, each.max) for each in bounds] == [(1, 3), (1, 2)]
    assert Share(1, 2).bounds(Replicas()).max is None


def test_a_model_with_fewer_replicas_than_runners_is_refused() -> None:
    check_shares({"small": 2, "judge": 2}, 2)
    with pytest.raises(ConfigError, match=r"each of 2 runners .* models\.judge gets 1"):
        check_shares({"small": 2, "judge": 1}, 2)
