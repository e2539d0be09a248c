"""What keeps a program in: the backends by name, what each guarantees and what it doesn't.

All of them start a fresh interpreter for each program, with an empty environment, without a way to
make processes or sockets (`guest.syscalls`), with limits on memory, CPU, files and time, and end
all of it together. They differ in what else there is to be seen. None is a virtual machine: a
program that exploits a fault of the kernel gets out of any of them.
"""

import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, CalledProcessError, check_output
from typing import Any

from actors.sandbox.config import SandboxConfig
from actors.types import ConfigError

GUEST = Path(__file__).parent
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache")
START = "import sys; sys.path.append({!r}); from guest.start import main; sys.path.pop(); main()"
MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One way to keep a program in."""

    command: Callable[[Sequence[str], Sequence[str], SandboxConfig], list[str] | None]
    """Of the interpreter's command line, what it may read and the limits, the command that runs it
    inside; None: not installed."""
    keeps: str
    lacks: str


def _bubblewrap(
    inner: Sequence[str], readable: Sequence[str], config: SandboxConfig
) -> list[str] | None:
    found = shutil.which("bwrap")
    if found is None:
        return None
    command = [found, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    command += ["--cap-drop", "ALL", "--uid", "65534", "--gid", "65534"]
    # First, as an interpreter may be in there.
    command += ["--size", str(config.file_mib * MIB), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    for path in readable:
        if os.path.islink(path) and os.path.dirname(path) == "/":
            command += ["--symlink", os.readlink(path), path]
        elif os.path.exists(path):
            command += ["--ro-bind", path, path]
    for device in ("null", "zero", "random", "urandom"):
        command += ["--dev-bind-try", f"/dev/{device}", f"/dev/{device}"]
    return [*command, "--remount-ro", "/", "--", *inner]


def _itself(
    inner: Sequence[str], readable: Sequence[str], config: SandboxConfig
) -> list[str] | None:
    """The interpreter shuts itself in."""
    return list(inner)


BACKENDS: Mapping[str, Backend] = {
    "bubblewrap": Backend(
        command=_bubblewrap,
        keeps="bwrap: own file system (interpreter and /usr, read-only; an empty /tmp), no other "
        "process, no network; seccomp: no sockets, processes or signals",
        lacks="other programs' use of cores and caches can be felt; a kernel exploit gets out",
    ),
    "namespaces": Backend(
        command=_itself,
        keeps="Linux namespaces: own file system (interpreter and /usr, read-only; an empty /tmp), "
        "no other process, no network; seccomp: no sockets, processes or signals",
        lacks="other programs' use of cores and caches can be felt; a kernel exploit gets out",
    ),
    "landlock": Backend(
        command=_itself,
        keeps="Landlock: of the machine's files the interpreter and /usr can be read and none can "
        "be written, not even in /tmp; seccomp: no sockets, processes or signals",
        lacks="names, sizes and dates of the machine's files can be seen; programs that write "
        "temporary files fail; a kernel exploit gets out",
    ),
}
"""In the order in which they are tried."""

UNPROTECTED = Backend(
    command=_itself,
    keeps="limits on memory, CPU, files and time; a verdict from another process",
    lacks="everything else: programs can read, change and send whatever this user can",
)
NONE = "none"
"""The name of UNPROTECTED in manifests."""


def about(name: str) -> Backend:
    """The backend of that name, `none` included."""
    return BACKENDS.get(name, UNPROTECTED)


def command(name: str, config: SandboxConfig) -> list[str] | None:
    """What starts a sandbox; None: the backend is not installed."""
    python, readable = _interpreter(config.python)
    plan = {
        "backend": name,
        "parent": os.getpid(),
        "readable": readable,
        "limits": {
            "memory": config.memory_mib * MIB,
            "cpu": config.cpu_seconds,
            "file": config.file_mib * MIB,
        },
    }
    inner = [*python, "-c", START.format(str(GUEST)), json.dumps(plan)]
    return about(name).command(inner, readable, config)


def _interpreter(python: str | None) -> tuple[list[str], list[str]]:
    """The command of an interpreter, and what of the machine it must read."""
    if python is None:
        found = {
            os.path.realpath(sys.executable),
            sysconfig.get_path("stdlib"),
            # Of the interpreter itself, not of a virtual environment around it.
            sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix}),
            *(os.path.join(sys.base_prefix, name) for name in ("lib", "lib64")),
        }
        command = [os.path.realpath(sys.executable), "-I", "-S"]
    else:
        found = set(_prefixes(python))
        command = [os.path.abspath(python), "-I"]
    return command, _outermost({*SYSTEM, str(GUEST), *found})


def _prefixes(python: str) -> list[str]:
    code = "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix, sys.executable]))"
    try:
        said: list[str] = json.loads(check_output([python, "-I", "-c", code], stderr=DEVNULL))
    except (OSError, ValueError, CalledProcessError) as error:
        raise ConfigError(f"sandbox.python: {python} is no Python interpreter: {error}") from None
    return [*said, os.path.realpath(said[-1])]


def _outermost(paths: set[str]) -> list[str]:
    """Without those inside others, and without those that aren't there."""
    there = sorted(path for path in paths if os.path.exists(path))
    return [
        path
        for path in there
        if not any(path.startswith(f"{other}/") for other in there if other != path)
    ]


def plain(config: SandboxConfig) -> dict[str, Any]:
    """What a manifest says of the sandbox, whatever backend the replicas find."""
    return {"limits": config.limits, "python": config.python or sys.version.split()[0]}
