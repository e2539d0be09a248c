"""Kills while work is under way, and what comes of each.

    plan --due, and items are open--> a victim that lives --SIGKILL, TERM--> Made --status--> effect
          `--no victim yet: tried again at the next look; never one: missed

A kill counts as made only if its process lived and there was work to lose: what came too late to
matter is made again under the next driver, or missed.
"""

import platform
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.config import ClusterConfig
from pipelines.drill.driver import Driver, actor, kill
from pipelines.drill.nodes import LocalNodes
from pipelines.drill.plan import Kill, Kind
from results.directories import open_directory
from results.parts import shard_ids

Place = tuple[str, int]
"""Model and number of a replica."""


@dataclass(kw_only=True)
class Made:
    """A kill that was made: `Made(planned=Kill(...), seconds=8.2, start=1, victim="small-2",
    pid=4711, node="gpu-7", effect="noticed within 0.9 s; its calls went elsewhere")`."""

    planned: Kill
    seconds: float
    """Since the disturbed run began."""
    start: int
    """Which start of the driver was at work, from 1."""
    victim: str
    pid: int
    node: str
    effect: str = ""
    deaths: dict[Place, int] = field(default_factory=dict, repr=False)
    """Of the replicas that went, before they did."""
    noticed: bool = False

    def about(self) -> dict[str, Any]:
        """For drill.json."""
        names = ("seconds", "start", "victim", "pid", "node", "effect")
        rest = {name: getattr(self, name) for name in names}
        return {"kind": self.kind, "share": self.planned.share, **rest}

    @property
    def kind(self) -> Kind:
        """Of the kill."""
        return self.planned.kind


class Attack:
    """Works off a plan. `seconds`: of work in the undisturbed run; `nodes`: those that the drill
    started, which are the only ones it kills.
    """

    def __init__(
        self,
        plan: Sequence[Kill],
        seconds: float,
        cluster: ClusterConfig,
        nodes: LocalNodes | None = None,
    ) -> None:
        self.made: list[Made] = []
        self.missed: list[tuple[Kill, str]] = []
        self._pending = list(plan)
        self._seconds = max(seconds, 1e-3)
        self._cluster = cluster
        self._nodes = nodes
        self._begin = self._seen = time.monotonic()
        self._worked = 0.0

    def look(self, driver: Driver, status: dict[str, Any]) -> Made | None:
        """Make a kill, if one is due and can be made; to be called several times a second."""
        now = time.monotonic()
        passed, self._seen = now - self._seen, now
        self._follow(driver, status)
        if status.get("state") not in ("running", "stopping") or not status["open"]:
            return None
        self._worked += passed
        share = max(self._worked / self._seconds, status["done"] / max(status["items"], 1))
        for planned in [one for one in self._pending if one.share <= share]:
            made = self._make(planned, driver, status)
            if made is not None:
                self._pending.remove(planned)
                self.made.append(made)
                return made
        return None

    def ended(self, driver: Driver, code: int) -> None:
        """A driver has ended: say what became of the kills of its time, and of the rest if the run
        is over.
        """
        self._follow(driver, driver.look())
        finished = code in (0, 3)
        for made in [one for one in self.made if one.start == driver.number]:
            if made.kind == "stop" and code == 130:
                waited = time.monotonic() - self._begin - made.seconds
                made.effect = f"ended {waited:.1f} s later with its open shards finished"
            elif made.kind == "stop" and finished:
                self._too_late(made, "nothing was left to begin")
            elif made.kind == "stop":
                made.effect = "it was killed before its open shards were finished"
            elif made.deaths and not made.noticed and finished:
                self._too_late(made, "the run was over before anybody noticed")
            elif made.deaths and not made.noticed and code == 130:
                # The last open item was done by then. There is a next time.
                self.made.remove(made)
                self._pending.insert(0, made.planned)
            elif made.deaths and not made.noticed:
                made.effect = "its driver ended before it said so"
        if finished:
            said = "the run was over before it could be made"
            self.missed += [(planned, said) for planned in self._pending]
            self._pending = []

    def _too_late(self, made: Made, why: str) -> None:
        self.made.remove(made)
        self.missed.append((made.planned, why))

    def _make(self, planned: Kill, driver: Driver, status: dict[str, Any]) -> Made | None:
        if planned.kind == "driver":
            return self._kill_driver(planned, driver)
        if planned.kind == "stop":
            return self._stop_driver(planned, driver, status)
        # The death of an idle one would prove nothing.
        up = [r for r in status["replicas"] if r["state"] == "up" and r["load"]]
        if planned.kind == "node":
            return self._kill_node(planned, driver, up)
        up = [r for r in up if (r["model"] == "runner") == (planned.kind == "runner")]
        first = int(planned.pick * len(up))
        for replica in up[first:] + up[:first]:
            if self._kill_replica(replica):
                victim = f"{replica['model']}-{replica['number']}"
                about = {"victim": victim, "pid": replica["pid"], "node": replica["node"]}
                deaths = {_place(replica): replica["deaths"]}
                return self._note(planned, driver, deaths=deaths, **about)
        return None

    def _kill_replica(self, replica: dict[str, Any]) -> bool:
        if replica["node"] == platform.node():
            process = actor(replica["pid"])
            return process is not None and kill(process)
        from cluster.rays import kill_process

        return kill_process(self._cluster, replica["node"], replica["pid"])

    def _kill_driver(self, planned: Kill, driver: Driver) -> Made | None:
        driver.family.note(driver.process.pid, {}, now=True)
        if driver.process.poll() is not None:
            return None
        kept = len(shard_ids(open_directory(driver.run)))
        made = self._note(planned, driver, **_itself(driver))
        driver.process.kill()
        made.effect = f"{kept} shards were committed; the next start goes on"
        return made

    def _stop_driver(self, planned: Kill, driver: Driver, status: dict[str, Any]) -> Made | None:
        # A second TERM means something else; the next stop is for the next driver.
        if status["state"] == "stopping" or driver.process.poll() is not None:
            return None
        if any(one.kind == "stop" and one.start == driver.number for one in self.made):
            return None
        driver.process.send_signal(signal.SIGTERM)
        return self._note(planned, driver, **_itself(driver))

    def _kill_node(
        self, planned: Kill, driver: Driver, up: Sequence[dict[str, Any]]
    ) -> Made | None:
        assert self._nodes is not None, "a plan with nodes needs nodes of one's own"
        by_pid = {replica["pid"]: replica for replica in up}
        hosting = [
            (number, raylet, [by_pid[pid] for pid in pids])
            for number, raylet, pids in self._nodes.hosting(by_pid)
        ]
        if not hosting:
            return None
        number, raylet, replicas = hosting[int(planned.pick * len(hosting))]
        if not kill(raylet):
            return None
        self._nodes.replace(number)
        names = ", ".join(f"{r['model']}-{r['number']}" for r in replicas)
        about = {"victim": f"node {number} with {names}", "pid": raylet.pid}
        deaths = {_place(r): r["deaths"] for r in replicas}
        return self._note(planned, driver, node=platform.node(), deaths=deaths, **about)

    def _note(self, planned: Kill, driver: Driver, **about: Any) -> Made:
        seconds = round(time.monotonic() - self._begin, 1)
        return Made(planned=planned, seconds=seconds, start=driver.number, **about)

    def _follow(self, driver: Driver, status: dict[str, Any]) -> None:
        """See whether the driver has noticed the deaths of its replicas."""
        now = {_place(r): r["deaths"] for r in status.get("replicas", [])}
        if not now:
            return
        for made in self.made:
            open_ended = made.start == driver.number and made.deaths and not made.noticed
            # A place that is gone was let go of: somebody noticed.
            if open_ended and all(now.get(p, n + 1) > n for p, n in made.deaths.items()):
                made.noticed = True
                waited = time.monotonic() - self._begin - made.seconds
                made.effect = f"noticed within {waited:.1f} s; its calls went elsewhere"


def _place(replica: dict[str, Any]) -> Place:
    return replica["model"], replica["number"]


def _itself(driver: Driver) -> dict[str, Any]:
    return {"victim": "the driver", "pid": driver.process.pid, "node": platform.node()}
