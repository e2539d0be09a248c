"""What is tried before any program of a model runs: right ones pass, wrong ones don't, and hostile
ones do no harm.

A hostile program tells the tests whether it got away with it: `assert f() == HARM` passes only
where the sandbox leaks. What it may have done unseen is looked for afterwards, from outside.
"""

import asyncio
import contextlib
import os
import platform
import secrets
import socket
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from actors.sandbox.backends import NONE, command
from actors.sandbox.config import SandboxConfig
from actors.sandbox.runs import run
from actors.sandbox.types import Program, Verdict
from actors.types import ConfigError

HARM = "got away with it"
GOT_IT = f"assert f() == {HARM!r}"
AT_ONCE = 4

RIGHT = "def f(x):\n    return sorted(x)[:2]\n"
STUB = "def f(x):\n    pass\n"
TESTS = "assert f([3, 1, 2]) == [1, 2]\nassert f([]) == []"
KNOWN = tuple(Program(source=source, names=("f",), tests=TESTS) for source in (RIGHT, STUB))
"""A right program and a stub."""


@dataclass(frozen=True, slots=True)
class Bait:
    """Things outside that hostile programs try to reach."""

    folder: Path
    """May not change, and holds `secret`."""
    port: int
    """Somebody listens there."""
    secret: str


def hostile(bait: Bait) -> dict[str, Program]:
    """The hostile programs by what they try. Where a sandbox leaks, they still do no damage."""
    bodies = {
        "fork bomb": "os.fork()\nreturn HARM",
        "endless loop": "while True:\n    pass",
        "memory": "held = [bytearray(1 << 24) for _ in range(1 << 14)]\nreturn HARM",
        "the environment": f"""
            seen = dict(os.environ)
            for place in ("/proc/self/environ", f"/proc/{{os.getppid()}}/environ",
                          "/proc/{os.getpid()}/environ", {str(bait.folder / "secret")!r}):
                with contextlib.suppress(OSError):
                    seen[place] = open(place).read()
            return HARM if set(seen) - {{"LC_CTYPE", "PWD"}} else None""",
        "writing outside": f"""
            done = None
            for place in ({str(bait.folder)!r}, "/", "/usr", os.path.dirname(os.__file__),
                          "/etc", "/var/tmp", "/dev/shm", os.path.expanduser("~")):
                with contextlib.suppress(OSError):
                    os.close(os.open(f"{{place}}/{bait.secret}", os.O_CREAT | os.O_WRONLY))
                    done = HARM
                    os.unlink(f"{{place}}/{bait.secret}")
            return done""",
        "a socket": f"""
            import socket
            done = None
            for kind, where in (("AF_INET", ("127.0.0.1", {bait.port})), ("AF_UNIX", "/run/dbus"),
                                ("AF_INET6", ("::1", {bait.port})), ("AF_NETLINK", (0, 0))):
                with contextlib.suppress(OSError):
                    one = socket.socket(getattr(socket, kind))
                    done = HARM
                    one.connect(where)
            return done""",
        "killing the parent": f"""
            done = None
            for who, number in (({os.getpid()}, 0), (-1, 0), (os.getppid(), 9)):
                with contextlib.suppress(OSError):
                    os.kill(who, number)
                    done = HARM
            return done""",
        "flooding": """
            for fd in (1, 2):
                for _ in range(64):
                    os.write(fd, b"x" * (1 << 20))
            for fd in range(3, 64):
                with contextlib.suppress(OSError):
                    while True:
                        os.write(fd, b'{"passed": true}\\n' * 1000)""",
    }
    programs = {name: _program(_function(body), GOT_IT) for name, body in bodies.items()}
    return {**programs, **forgeries(bait)}


def forgeries(bait: Bait) -> dict[str, Program]:
    """Programs that try to pass their tests without an answer."""
    wrong = "assert f() == 41\nassert f() == 42"
    exits = "import atexit, os, sys\natexit.register(print, '{\"passed\": true}')\n"
    same = "__eq__ = lambda *_: True; __ne__ = lambda *_: False; __hash__ = None"
    patched = f"""
import builtins, sys, unittest
class Same(int): {same}
builtins.AssertionError = type("Never", (BaseException,), {{}})
builtins.abs = builtins.__import__ = lambda *_: 0
unittest.TestCase.assertEqual = lambda *_: None
sys.settrace(lambda *_: None)
def f(): return Same()"""
    search = """
        import gc, sys
        seen, frame = [str(one) for one in gc.get_objects()], sys._getframe()
        while frame:
            seen.append(f"{frame.f_locals} {frame.f_globals}")
            frame = frame.f_back
        for place in ("self/mem", "self/cmdline", "1/mem", f"{os.getppid()}/cmdline"):
            with contextlib.suppress(OSError):
                seen.append(open(f"/proc/{place}", errors="replace").read(1 << 20))
        for text in seen:
            if "expected-" in text:
                return text[text.index("expected-"):][:41]"""
    return {
        "sys.exit(0)": _program(f"{exits}sys.exit(0)", wrong),
        "os._exit(0)": _program(f"{exits}def f(): os._exit(0)", wrong),
        "patched assert": _program(patched, wrong),
        "an object that equals all": _program(f"class Same: {same}\ndef f(): return Same()", wrong),
        "reading the tests": _program(_function(search), f"assert f() == 'expected-{bait.secret}'"),
    }


def _program(source: str, tests: str) -> Program:
    return Program(source=source, names=("f",), tests=tests)


def _function(body: str) -> str:
    lines = textwrap.indent(textwrap.dedent(body), "    ")
    return f"import contextlib, os\nHARM = {HARM!r}\ndef f():\n{lines}\n"


@contextlib.contextmanager
def bait() -> Iterator[Bait]:
    """Lay it out; take it away."""
    with tempfile.TemporaryDirectory(prefix="lilliput-bait-") as folder, socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        secret = secrets.token_hex(16)
        (Path(folder) / "secret").write_text(secret)
        os.chmod(folder, 0o777)
        yield Bait(Path(folder), one.getsockname()[1], secret)


def soon(config: SandboxConfig) -> SandboxConfig:
    """With limits that hostile programs reach soon, and time to do so on a busy machine."""
    wall = max(60.0, config.wall_seconds)
    return config.model_copy(update={"memory_mib": 256, "cpu_seconds": 1, "wall_seconds": wall})


async def self_test(config: SandboxConfig, backend: str) -> dict[str, Verdict]:
    """Try everything; unprotected, only what does no harm. Returns the verdicts by name, those of
    KNOWN first. Raises ConfigError that says what got through.
    """
    config = soon(config)
    started = command(backend, config)
    assert started is not None, "a backend that was chosen is installed"
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(program: Program) -> Verdict:
        async with gate:
            return await run(program, started, config.wall_seconds)

    with bait() as laid:
        programs = dict(zip(("a right program", "a stub"), KNOWN, strict=True))
        programs |= forgeries(laid) if backend == NONE else hostile(laid)
        found = await asyncio.gather(*map(one, programs.values()))
        left = {path.name for path in laid.folder.iterdir()}
    verdicts = dict(zip(programs, found, strict=True))
    faults = [
        f"{name} {verdict.outcome}"
        for name, verdict in verdicts.items()
        if (verdict.outcome == "passed") != (programs[name] is KNOWN[0])
    ]
    if left != {"secret"}:
        faults.append("a file outside was written")
    if faults:
        raise ConfigError(
            f"the sandbox ({backend}) on {platform.node()} failed its self-test, so code of models "
            f"is not run there: {', '.join(faults)}"
        )
    return verdicts
