"""Who may import whom: the rooms, the pages, and the files that own one heavy library each.

Every import counts, those inside functions and under TYPE_CHECKING too.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("actors", "cluster", "pipelines", "results")
OURS = (*ROOMS, "configs", "tests")

MAY_IMPORT = {
    "actors": ("actors",),
    "cluster": (
        "cluster",
        "actors.types",
        "actors.roles",
        "actors.config",
        "actors.role_config",
        "actors.host",
        "actors.engines",
        "actors.sandbox",
    ),
    "results": ("results",),
    "pipelines.methods": ("pipelines.methods",),
    "pipelines.tasks": (
        "pipelines.tasks",
        "actors.types",
        "actors.config",
        "actors.role_config",
        "actors.formats",
        "actors.sandbox.types",
        "results.ids",
    ),
    "pipelines.agreement": ("pipelines.methods", "results.schema"),
    "pipelines.members": ("results.schema",),
    "pipelines.chat": (
        "actors.types",
        "actors.roles",
        "actors.config",
        "actors.role_config",
        "actors.blend",
        "actors.conversation",
        "pipelines.base",
        "pipelines.methods",
        "pipelines.tasks.replies",
        "results.schema",
    ),
    "pipelines.rankers": ("pipelines.methods",),
    "pipelines.rank": (
        "pipelines.agreement",
        "pipelines.members",
        "pipelines.rankers",
        "actors.types",
        "actors.roles",
        "actors.config",
        "actors.role_config",
        "pipelines.base",
        "pipelines.methods",
        "results.schema",
        "results.stats",
    ),
    "pipelines.decoding": (
        "pipelines.agreement",
        "pipelines.rank",
        "actors.types",
        "actors.roles",
        "actors.config",
        "pipelines.base",
        "pipelines.methods",
        "results.pools",
        "results.schema",
    ),
    "pipelines.given": (
        "actors.types",
        "actors.roles",
        "actors.config",
        "actors.role_config",
        "pipelines.base",
        "pipelines.methods",
        "results.schema",
    ),
    "pipelines.choice": (
        "actors.types",
        "actors.roles",
        "actors.config",
        "actors.role_config",
        "actors.consensus",
        "pipelines.base",
        "pipelines.methods",
        "results.schema",
    ),
    **{
        f"pipelines.{name}": ROOMS
        for name in (
            "base",
            "batch",
            "batch_commands",
            "cli",
            "config",
            "crew",
            "doctor",
            "drill",
            "execute",
            "exits",
            "gates",
            "graders",
            "inspect",
            "job",
            "length_control",
            "live",
            "plain",
            "pools",
            "probe",
            "progress",
            "ranking",
            "records",
            "references",
            "remote",
            "report_commands",
            "rescore",
            "roles",
            "result_commands",
            "result_tables",
            "reward_check",
            "reward_fit",
            "runner",
            "sandbox_check",
            "scored",
            "sharded",
            "standings",
            "start",
            "study_tables",
            "tables",
            "tested",
            "train_reward",
            "watch",
            "writers",
        )
    },
}
"""What a module may import of ours: the longest prefix of its name counts."""

ONLY_IN = {
    "ray": ("cluster.rays", "cluster.jobs"),
    "vllm": ("actors.engines.vllm_core",),
    "datasets": ("pipelines.tasks.sources",),
    "lm_eval": ("pipelines.tasks.lm_eval",),
    "torch": ("actors.engines", "actors.reward_models", "actors.gguf_model"),
    "transformers": ("actors.engines", "actors.gguf_model", "actors.rendering"),
    "jinja2": ("results.report", "actors.rendering"),
}
"""The modules, or packages of modules, that may import a heavy library."""


def imports(source: str, module: str, *, package: bool = False) -> Iterator[str]:
    """Full dotted names of everything that the source imports, `from a import b` as `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = module.split(".")
            up = node.level - package
            start = base[: len(base) - up] if node.level else []
            head = ".".join([*start, *filter(None, [node.module])])
            yield from (f"{head}.{alias.name}" for alias in node.names)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def broken_rules(source: str, module: str, *, package: bool = False) -> list[str]:
    """One line for each import that the two tables forbid, or for a module in neither."""
    homes = [home for home in MAY_IMPORT if within(module, (home,))]
    if not homes and module not in ROOMS:
        return [f"{module} has no line in MAY_IMPORT"]
    allowed = MAY_IMPORT[max(homes, key=len)] if homes else ()
    broken = []
    for name in imports(source, module, package=package):
        library = name.partition(".")[0]
        ours = library in OURS and not within(name, allowed)
        foreign = library in ONLY_IN and not within(module, ONLY_IN[library])
        if ours or foreign:
            broken.append(f"{module} imports {name}")
    return broken


def modules() -> list[tuple[str, Path]]:
    """Dotted name and file of every module of the four packages."""
    files = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    return [(n.removesuffix(".__init__"), p) for n, p in zip(names, files, strict=True)]


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: str(value)[-40:])
def test_every_module_keeps_to_the_import_table(module: str, path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert broken_rules(source, module, package=path.name == "__init__.py") == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_every_one_file_rule_still_has_its_file(library: str) -> None:
    users = {
        module
        for module, path in modules()
        if any(within(name, (library,)) for name in imports(path.read_text(), module))
    }
    assert users, f"nobody imports {library}: take it out of ONLY_IN"


def test_the_top_level_folders_are_the_rooms() -> None:
    ignored = {line.strip().rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    passed_over = {name for name in folders if name[0] == "." or name.endswith(".egg-info")}
    assert folders - ignored - passed_over - {"__pycache__"} == {
        *ROOMS,
        "configs",
        "tests",
        "docs",
    }


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("actors.types", "import ray"),
        ("actors.host", "import vllm.entrypoints"),
        ("actors.generator", "def f():\n    from torch import nn"),
        ("actors.roles", "from pipelines.base import Solution"),
        ("cluster.pool", "import ray"),
        ("pipelines.remote", "from ray.job_submission import JobSubmissionClient"),
        ("cluster.plan", "from actors.scorers import SCORERS"),
        ("cluster.plan", "import results.store"),
        ("results.stats", "from actors.types import Item"),
        ("results.summary", "import jinja2"),
        ("pipelines.methods.votes", "from results.schema import Record"),
        ("pipelines.tasks.gsm8k", "from results.schema import Record"),
        ("pipelines.tasks.gsm8k", "import datasets"),
        ("pipelines.rank", "from cluster import launch"),
        ("pipelines.rank", "import actors"),
        ("pipelines.rank", "from results import store"),
        ("pipelines.rank", "from . import runner"),
        ("pipelines.runner", "if TYPE_CHECKING:\n    import torch"),
        ("pipelines.runner", "from tests.fakes import Fake"),
        ("pipelines.unheard_of", "import json"),
    ],
)
def test_the_checker_finds_a_forbidden_import(module: str, line: str) -> None:
    assert len(broken_rules(line, module)) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("pipelines.rank", "from results import stats"),
        ("pipelines.rank", "from pipelines.methods import votes, estimators"),
        ("pipelines.methods.votes", "import numpy\nfrom . import estimators"),
        ("pipelines.runner", "from cluster import Fleet\nfrom results.store import Store"),
        ("cluster.rays", "import ray.exceptions"),
        ("actors.rendering", "from transformers import AutoTokenizer"),
        ("actors.generator", "import rayleigh"),
    ],
)
def test_the_checker_lets_an_allowed_import_pass(module: str, line: str) -> None:
    assert broken_rules(line, module) == []


def test_a_relative_import_in_a_package_is_resolved_from_the_package() -> None:
    assert list(imports("from . import rays", "cluster", package=True)) == ["cluster.rays"]
    assert list(imports("from ..types import Item", "actors.engines", package=True)) == [
        "actors.types.Item"
    ]
