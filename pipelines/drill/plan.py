"""Which kills a drill makes, and when: a pure function of a seed."""

import random
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal

Kind = Literal["replica", "driver", "stop", "node", "runner"]
"""`replica`, `runner`, `driver`: SIGKILL; `stop`: TERM to the driver, which finishes its open
shards; `node`: SIGKILL of a Ray node, with everything on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One planned kill: `Kill(kind="replica", share=0.37, pick=0.81)`."""

    kind: Kind
    share: float
    """Of the run, in [0, 1): it is due when that share of the items is done, or that share of the
    undisturbed run's seconds has been worked."""
    pick: float
    """Whose turn it is, in [0, 1), as a share of those that are up at that moment."""


def plan_kills(
    num: int, seed: int, *, nodes: bool = False, runners: bool = False
) -> tuple[Kill, ...]:
    """`num` kills at moments drawn uniformly over a run, in order of time. Of every four two are
    replicas, one the driver, one a stop; nodes and runners, where there are any, come on top.
    """
    rng = random.Random(seed)
    kinds: list[Kind] = ["replica", "driver", "replica", "stop"]
    if nodes:
        kinds.append("node")
    if runners:
        kinds.append("runner")
    chosen = list(islice(cycle(kinds), num))
    rng.shuffle(chosen)
    shares = sorted(rng.random() for _ in chosen)
    return tuple(
        Kill(kind=kind, share=share, pick=rng.random())
        for kind, share in zip(chosen, shares, strict=True)
    )
