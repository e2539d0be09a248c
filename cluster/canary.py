"""Whether a replica still computes what its pool computes.

A device can go wrong without an error: flipped bits in its memory, wrong weights, a kernel that
returns garbage. So every replica answers fixed prompts, when it starts and again before records
that it had a part in are committed, and each answer's log-probability must be that of the pool's
first replica, within a tolerance. Batches and rounding alone move it: by up to 0.16 nats on
SmolLM2 in bfloat16 on CPU.
"""

import math
from collections.abc import Sequence


class Canary:
    """One pool's reference, and the tolerance in nats."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._reference: tuple[float, ...] = ()

    def verdict(self, probe: Sequence[float]) -> str | None:
        """Why the replica with this probe is not to be trusted; None: it is. The first one that
        holds numbers is the reference. An engine without log-probabilities gives an empty probe.
        """
        if not all(map(math.isfinite, probe)):
            return f"its log-probabilities on fixed prompts are not numbers: {list(probe)}"
        if not self._reference:
            self._reference = tuple(probe)
        pairs = zip(probe, self._reference, strict=True)
        off = max((abs(here - there) for here, there in pairs), default=0.0)
        if off <= self._tolerance:
            return None
        return (
            f"its log-probabilities on fixed prompts are {off:.2f} nats off those of its pool, "
            f"more than canary_tolerance = {self._tolerance:g}"
        )
