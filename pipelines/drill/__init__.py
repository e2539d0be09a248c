"""`lilliput drill`: does a run on this cluster survive what will happen to it?

    lilliput run --> DIR/undisturbed ---------------------------.
                         | its seconds of work, a seed          v
                         v                                   compare --> verdict, DIR/drill.json
    lilliput run --> DIR/disturbed <-- replicas, the driver,    ^
      again and again until it is done     nodes are killed ----'

Both runs are processes of their own, started as a user starts them, and the second is started again
by the same command whenever its driver is gone.
"""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from actors.types import ConfigError
from pipelines.config import RunConfig, load
from pipelines.drill.attack import Attack
from pipelines.drill.compare import Losses, compare
from pipelines.drill.course import Course
from pipelines.drill.nodes import LocalNodes
from pipelines.drill.plan import Kill, plan_kills
from results.directories import LocalDirectory
from results.parts import read_records
from results.store import fresh_directory, read_manifest, write_json

EXACT = {"fake", "replay"}
"""Engines whose answers don't depend on what else is in a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is drilled: a config as `lilliput run` takes it, and how hard."""

    config: str
    overrides: tuple[str, ...] = ()
    kills: int = 8
    seed: int = 0
    nodes: int = 0
    """Of a cluster that the drill starts on this machine, besides its head; 0: the config's."""
    output: str | None = None


def drill(request: Request, console: Console) -> int:
    """Run twice, kill, compare, print and keep the verdict. Returns 0, or 1 when something was
    lost, doubled or changed, when the run did not recover, or when no kill could be made.

    Raises ConfigError, and EngineError when the undisturbed run fails.
    """
    config = load(request.config, request.overrides)
    folder = _folder(request, config)
    # What a drill started must be ended however the drill ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _say(console, f"drill directory: {folder}")
    if not request.nodes:
        return _drill(request, config, folder, console, None)
    cpus = config.cluster.cpus or os.cpu_count() or 1
    with LocalNodes(request.nodes, cpus, folder / "logs" / "nodes.txt") as nodes:
        _say(console, f"{request.nodes} Ray nodes and a head at {nodes.config.address}")
        return _drill(request, config, folder, console, nodes)


def judge(folder: Path, *, exact: bool) -> Losses:
    """Compare the two runs of a drill's directory. Raises ResultsError."""
    undisturbed, disturbed = (read_records(folder / n) for n in ("undisturbed", "disturbed"))
    return compare(undisturbed, disturbed, exact=exact)


def _drill(
    request: Request,
    config: RunConfig,
    folder: Path,
    console: Console,
    nodes: LocalNodes | None,
) -> int:
    cluster = nodes.config if nodes else config.cluster
    address = [f"cluster.address={cluster.address}"] if nodes else []
    with Course([request.config, *request.overrides, *address], folder) as course:
        begin = time.monotonic()
        course.undisturbed()
        alone = time.monotonic() - begin
        about = read_manifest(folder / "undisturbed").about
        work = float(about["timing"][-1]["run_seconds"])
        _say(console, f"undisturbed: {about['num_items']} items in {work:.1f} s, {alone:.1f} s "
             "with its start and end")  # fmt: skip
        runners = config.cluster.runners > 0
        plan = plan_kills(request.kills, request.seed, nodes=bool(nodes), runners=runners)
        _print_plan(console, plan, request.seed, work)
        attack = Attack(plan, work, cluster, nodes)
        patience = max(m.start_timeout + m.stall_timeout for m in config.models.values())
        course.disturbed(attack, 2 * alone + patience, partial(_say, console))
        course.clear_away()
    losses = judge(folder, exact={m.engine for m in config.models.values()} <= EXACT)
    kept = {
        "request": asdict(request),
        "plan": [asdict(planned) for planned in plan],
        "seconds": {"undisturbed": round(alone, 1), "disturbed": round(course.seconds, 1)},
    }
    return _conclude(console, folder, kept, attack, course, losses)


def _conclude(
    console: Console,
    folder: Path,
    kept: dict[str, Any],
    attack: Attack,
    course: Course,
    losses: Losses,
) -> int:
    """Print what happened and what it means, and keep both. Returns the exit code."""
    verdict = _verdict(attack, course, losses)
    code = 0 if losses.none and len(verdict) == 1 else 1
    _print_kills(console, attack)
    alone, disturbed = kept["seconds"].values()
    _say(console, f"{disturbed:.1f} s instead of {alone:.1f} s, {disturbed / alone:.2f} times as "
         f"long; the driver was started {course.starts} times")  # fmt: skip
    if course.agents:
        _say(console, f"{course.agents} agents of Ray outlived a killed driver, as they do for a "
             "minute; the drill ended them")  # fmt: skip
    found = {
        "kills": [made.about() for made in attack.made],
        "missed": [{"kind": planned.kind, "why": why} for planned, why in attack.missed],
        "starts": course.starts,
        "orphans": course.orphans,
        "agents": course.agents,
        "losses": asdict(losses),
        "verdict": verdict,
        "exit": code,
    }
    write_json(folder, "drill.json", {**kept, **found})
    for line in [*verdict, f"kept: {folder / 'drill.json'}"]:
        _say(console, line)
    return code


def _verdict(attack: Attack, course: Course, losses: Losses) -> list[str]:
    """One line when all is well."""
    lines = [f"not recovered: {course.failure}"] if course.failure else []
    lines += losses.lines()
    lines += [f"outlived its driver: {orphan}" for orphan in course.orphans]
    if not attack.made:
        lines.append("no kill could be made, so nothing is proved: give it more items")
    return lines


def _folder(request: Request, config: RunConfig) -> Path:
    """A new folder for both runs. Raises ConfigError for one that can't be used."""
    where = request.output or f"{config.output.rstrip('/')}/{config.name}-drill"
    if "://" in where:
        raise ConfigError(f"drill: wanted a folder of this machine, got {where}; give an --output")
    if request.nodes and config.cluster.address is not None:
        raise ConfigError(
            f"--nodes: wanted a config without cluster.address, got {config.cluster.address}; "
            "a drill kills nodes only of a cluster that it started itself"
        )
    if request.nodes and any(model.gpus for model in config.models.values()):
        raise ConfigError("--nodes: wanted models without GPUs, which nodes of one machine share")
    found = fresh_directory(where)
    assert isinstance(found, LocalDirectory)
    if request.output and found.path != Path(request.output):
        raise ConfigError(f"--output: wanted an empty folder, got {request.output}; give another")
    (found.path / "logs").mkdir(parents=True)
    return found.path


def _print_plan(console: Console, plan: Sequence[Kill], seed: int, seconds: float) -> None:
    table = Table(title=f"plan, seed {seed}", title_justify="left", box=None, pad_edge=False)
    table.add_column("when", justify="right")
    table.add_column("kill")
    for planned in plan:
        when = f"at {planned.share:.0%} of the run, {planned.share * seconds:.1f} s of work"
        table.add_row(when, planned.kind)
    console.print(table, highlight=False)


def _print_kills(console: Console, attack: Attack) -> None:
    table = Table(title=f"{len(attack.made)} kills", title_justify="left", box=None, pad_edge=False)
    for name in ("after", "start"):
        table.add_column(name, justify="right")
    for name in ("kill", "who", "process", "effect"):
        table.add_column(name, overflow="fold")
    for made in attack.made:
        when = f"{made.seconds:.1f} s"
        table.add_row(when, str(made.start), made.kind, made.victim, f"{made.pid}", made.effect)
    console.print(table, highlight=False)
    for planned, why in attack.missed:
        _say(console, f"missed: {planned.kind} at {planned.share:.0%} of the run: {why}")


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
