"""What a fleet wants against what there is, before anything starts.

    models --bundles--> first fit on the nodes' free resources, the largest first --> replicas each
                                                          | one doesn't fit
                                                          v
                                             refused: model, wanted, free, where

A replica lives on one node, or with `nodes: k` on k of them. `auto` gets what is left when every
model has its least, one replica each in turn.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from actors.config import Placement, Replicas
from actors.types import ConfigError

GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine, and what is free on it.

    Node(name="gpu-7", free={"CPU": 64.0, "GPU": 8.0, "memory": 5.1e11}, labels={"zone": "a"})
    """

    name: str
    free: Mapping[str, float]
    """Under Ray's names; memory in bytes."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Share:
    """One of `num` equal parts of every pool: the replicas whose number leaves `index` as the
    remainder.
    """

    index: int = 0
    num: int = 1

    def of(self, count: int) -> int:
        """How many of that many replicas are in this share."""
        return len(range(self.index, count, self.num))

    def numbers(self) -> Iterator[int]:
        """Of its replicas, without end."""
        return count(self.index, self.num)

    def bounds(self, replicas: Replicas) -> Replicas:
        """Between which numbers this part of a pool may change."""
        most = None if replicas.max is None else max(1, self.of(replicas.max))
        return Replicas(min=max(1, self.of(replicas.min)), max=most)


def bundles(config: Placement) -> tuple[dict[str, float], ...]:
    """What one replica reserves, node by node, under Ray's names.

    Over several nodes every GPU is a bundle of its own, as vLLM's Ray executor wants them.
    """
    one = {"CPU": config.cpus, "GPU": config.gpus, **config.resources}
    if config.memory_gib is not None:
        one["memory"] = config.memory_gib * GIB
    if config.nodes == 1:
        return (one,)
    num = int(config.gpus)
    return tuple({name: amount / num for name, amount in one.items()} for _ in range(num))


def place(models: Mapping[str, Placement], nodes: Sequence[Node], where: str) -> dict[str, int]:
    """How many replicas each pool starts with.

    Raises ConfigError naming the model, what its replica wants, what is free and where.
    """
    free = [dict(node.free) for node in nodes]
    counts = dict.fromkeys(models, 0)
    for name in largest_first(models):
        for _ in range(models[name].replicas.min):
            if not _take(models[name], nodes, free):
                raise ConfigError(_short(name, models[name], nodes, free, where, counts[name]))
            counts[name] += 1
    growing = [name for name, model in models.items() if model.replicas.max is None]
    while growing:
        growing = [name for name in growing if _take(models[name], nodes, free)]
        for name in growing:
            counts[name] += 1
    return counts


def check_shares(counts: Mapping[str, int], num: int) -> None:
    """Refuse more shares than a pool has replicas. Raises ConfigError."""
    for name, replicas in counts.items():
        if replicas < num:
            raise ConfigError(
                f"cluster.runners: each of {num} runners needs a replica of every model, and "
                f"models.{name} gets {replicas}; lower cluster.runners, or raise "
                f"models.{name}.replicas"
            )


def largest_first(models: Mapping[str, Placement]) -> list[str]:
    """Names in the order in which replicas find room best: the small fill what the large leave."""

    def size(name: str) -> tuple[float, ...]:
        model = models[name]
        return (-model.gpus, -(model.memory_gib or 0.0), -model.cpus)

    return sorted(models, key=size)


def fits(config: Placement, nodes: Sequence[Node]) -> bool:
    """There is room for one more replica."""
    return _take(config, nodes, [dict(node.free) for node in nodes])


def _take(config: Placement, nodes: Sequence[Node], free: list[dict[str, float]]) -> bool:
    """Take a replica's bundles off `free`, all or none of them."""
    left = [dict(amounts) for amounts in free]
    for bundle in bundles(config):
        for node, amounts in zip(nodes, left, strict=True):
            if _suits(config, node) and not _missing(bundle, amounts):
                for resource, amount in bundle.items():
                    amounts[resource] = amounts.get(resource, 0.0) - amount
                break
        else:
            return False
    free[:] = left
    return True


def _suits(config: Placement, node: Node) -> bool:
    return all(node.labels.get(key) == value for key, value in config.labels.items())


def _missing(bundle: Mapping[str, float], amounts: Mapping[str, float]) -> list[str]:
    return [name for name, amount in bundle.items() if amount > amounts.get(name, 0.0) + 1e-9]


def _short(
    name: str,
    config: Placement,
    nodes: Sequence[Node],
    free: Sequence[Mapping[str, float]],
    where: str,
    placed: int,
) -> str:
    (bundle, *others) = bundles(config)
    label = "".join(f" labelled {key}={value}" for key, value in config.labels.items())
    on = f"on each of {1 + len(others)} bundles" if others else f"on one node{label}"
    suited = [
        (node, amounts) for node, amounts in zip(nodes, free, strict=True) if _suits(config, node)
    ]
    there = "; ".join(f"{node.name} {_words(amounts, bundle)}" for node, amounts in suited[:4])
    more = f"; {len(suited) - 4} more nodes" if len(suited) > 4 else ""
    wanted = _words(bundle, bundle)
    return (
        f"{config.section}{name}: replica {placed + 1} of {config.replicas.min} wants {wanted} "
        f"{on}, and {where} has free: {there or 'no such node'}{more}; "
        f"lower {config.section}{name}.replicas, or give the cluster more"
    )


def _words(amounts: Mapping[str, float], names: Mapping[str, float]) -> str:
    """`2 CPU, 0.5 GPU, 16 GiB memory`."""
    said = []
    for name, wanted in names.items():
        amount = amounts.get(name, 0.0)
        if wanted:
            is_memory = name == "memory"
            said.append(f"{amount / GIB:.3g} GiB memory" if is_memory else f"{amount:g} {name}")
    return ", ".join(said) or "nothing"
