"""Real programs in real sandboxes, on every backend that works on this machine."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from actors.sandbox import checks
from actors.sandbox.backends import BACKENDS, NONE, command
from actors.sandbox.config import SandboxConfig
from actors.sandbox.guest.start import SETUP_FAILED
from actors.sandbox.host import SandboxHost, choose
from actors.sandbox.runs import run
from actors.sandbox.types import Program, Verdict
from actors.types import ConfigError, EngineError

TIGHT = SandboxConfig(memory_mib=256, cpu_seconds=1, wall_seconds=60.0, file_mib=1)


def works(backend: str) -> bool:
    try:
        asyncio.run(choose(SandboxConfig(backend=backend)))  # type: ignore[arg-type]
    except ConfigError:
        return False
    return True


THERE = [name for name in BACKENDS if works(name)]
each = pytest.mark.parametrize("backend", THERE)
needs_any = pytest.mark.skipif(not THERE, reason="no sandbox works on this machine")


def verdict(program: Program, backend: str = "", config: SandboxConfig = TIGHT) -> Verdict:
    started = command(backend or THERE[0], config)
    assert started is not None
    return asyncio.run(run(program, started, config.wall_seconds))


def judged(source: str, tests: str, *names: str, backend: str = "", context: str = "") -> Verdict:
    names = names or ("f",)
    return verdict(Program(source=source, names=names, tests=tests, context=context), backend)


@each
def test_the_self_test_passes_on_every_backend_that_works(backend: str) -> None:
    found = asyncio.run(checks.self_test(SandboxConfig(), backend))
    assert len(found) == 15
    assert [name for name, one in found.items() if one.outcome == "passed"] == ["a right program"]
    assert found["endless loop"].outcome == "timed_out"
    assert found["memory"].why.startswith("MemoryError")
    assert found["memory"].memory < 300 << 20


@needs_any
def test_a_hostile_program_that_gets_through_is_found_and_refuses_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leaky = {
        "a leak": Program(source=f"f = lambda: {checks.HARM!r}", names=("f",), tests=checks.GOT_IT)
    }
    monkeypatch.setattr(checks, "hostile", lambda bait: leaky)
    with pytest.raises(ConfigError, match=r"failed its self-test.*a leak passed"):
        asyncio.run(checks.self_test(TIGHT, THERE[0]))


@pytest.mark.parametrize("attempt", ["the environment", "writing outside", "a socket", "fork bomb"])
def test_unprotected_these_hostile_programs_get_away_with_it(attempt: str) -> None:
    """So what the self-test calls contained was an attempt that works elsewhere."""
    with checks.bait() as bait:
        assert verdict(checks.hostile(bait)[attempt], NONE).outcome == "passed"


def test_unprotected_a_verdict_still_can_not_be_faked() -> None:
    with checks.bait() as bait:
        found = {name: verdict(p, NONE).outcome for name, p in checks.forgeries(bait).items()}
    assert set(found.values()) == {"failed"}


@each
def test_a_fork_bomb_and_a_thread_bomb_leave_the_machine_as_it_was(backend: str) -> None:
    before = len(psutil.pids())
    # Bounded, lest a sandbox that leaks take the machine along.
    forks = (
        "import os, time\ndef f():\n    for _ in range(500):\n"
        "        if os.fork() == 0:\n            time.sleep(100)\n"
    )
    threads = (
        "import threading, time\ndef f():\n    while True:\n"
        "        threading.Thread(target=time.sleep, args=(100,)).start()\n"
    )
    assert judged(forks, "f()", backend=backend).outcome == "failed"
    assert judged(threads, "f()", backend=backend).outcome == "failed"
    assert len(psutil.pids()) < before + 100


@each
def test_a_program_that_waits_for_ever_is_ended_with_all_its_processes(backend: str) -> None:
    config = SandboxConfig(wall_seconds=1.0)
    mine = psutil.Process()
    # Such as Ray's, of other tests.
    before = set(mine.children())
    found = verdict(
        Program(source="import time\ntime.sleep(1e6)", names=("f",), tests=""), backend, config
    )
    assert found.outcome == "timed_out"
    new = [child for child in mine.children() if child not in before]
    assert not [child for child in new if child.is_running()]


@each
def test_what_runs_in_it_ends_with_the_process_that_started_it(backend: str) -> None:
    code = (
        "import asyncio\nfrom actors.sandbox.backends import command\n"
        "from actors.sandbox.config import SandboxConfig\nfrom actors.sandbox.runs import run\n"
        "from actors.sandbox.types import Program\n"
        "sleeper = Program(source='import time\\ntime.sleep(1e6)', names=('f',), tests='')\n"
        f"asyncio.run(run(sleeper, command({backend!r}, SandboxConfig()), 600.0))\n"
    )
    host = subprocess.Popen([sys.executable, "-c", code])
    try:
        deadline = time.monotonic() + 60
        inside: list[psutil.Process] = []
        while len(inside) < 3 and time.monotonic() < deadline:
            inside = psutil.Process(host.pid).children(recursive=True)
            time.sleep(0.02)
        assert len(inside) >= 3
    finally:
        host.send_signal(signal.SIGKILL)
        host.wait()
    _, alive = psutil.wait_procs(inside, timeout=30)
    for process in alive:
        process.kill()
    assert not alive


@each
def test_it_is_nobody_among_no_others_with_nothing_to_see(backend: str) -> None:
    """Of the environment, of processes, of files outside the interpreter's."""
    source = (
        "import os\ndef f():\n"
        "    seen = [p for p in ('/root', '/home', '/etc/passwd', '/proc/1', '/sys/kernel')\n"
        "            if os.path.isfile(p) and open(p).read() or os.path.isdir(p) and ls(p)]\n"
        "    return seen, sorted(os.environ), os.listdir('/usr') != []\n"
        "def ls(path):\n    try:\n        return [n for n in os.listdir(path) if n[0] != '.']\n"
        "    except OSError:\n        return []\n"
    )
    tests = "seen, names, usr = f()\nassert not seen, seen\nassert usr\nassert len(names) <= 2"
    found = judged(source, tests, backend=backend)
    assert found.outcome == "passed" or "PermissionError" in found.why, found.why


@each
def test_files_can_be_written_to_a_private_tmp_of_bounded_size_or_not_at_all(backend: str) -> None:
    source = (
        "def f(size):\n    with open('/tmp/x', 'wb') as file:\n        file.write(b'x' * size)\n"
        "    return size\n"
    )
    small = judged(source, "assert f(1000) == 1000", backend=backend)
    large = judged(source, "f(2 << 20)", backend=backend)
    assert small.outcome == ("failed" if backend == "landlock" else "passed")
    assert large.outcome == "failed"
    assert not Path("/tmp/x").exists()


@each
def test_no_two_programs_share_anything(backend: str) -> None:
    source = (
        "import os\ndef f():\n    there = os.path.exists('/tmp/left')\n    try:\n"
        "        open('/tmp/left', 'w').close()\n    except OSError:\n        pass\n"
        "    return there\n"
    )
    for _ in range(2):
        assert judged(source, "assert f() is False", backend=backend).outcome == "passed"


@each
def test_threads_event_loops_and_big_numbers_work(backend: str) -> None:
    source = (
        "import asyncio, threading, decimal, fractions, collections, random, tempfile\n"
        "def f(n):\n    found = []\n"
        "    ts = [threading.Thread(target=found.append, args=(i,)) for i in range(4)]\n"
        "    [t.start() for t in ts]; [t.join() for t in ts]\n"
        "    async def g():\n        await asyncio.sleep(0)\n        return n ** 5000\n"
        "    return sorted(found), asyncio.run(g()), fractions.Fraction(1, 3)\n"
    )
    tests = "import fractions\nassert f(7) == ([0, 1, 2, 3], 7 ** 5000, fractions.Fraction(1, 3))"
    found = judged(source, tests, backend=backend)
    assert found.outcome == "passed", found.why


@needs_any
@pytest.mark.parametrize(
    ("source", "tests"),
    [
        (
            "def f(x): return x",
            "for v in (None, True, 2, 1.5, 'a\\ud800', b'\\xff', 3j, (1, [2]), "
            "{1: {2}}, frozenset({(1,)}), range(3), float('inf')): assert f(v) == v",
        ),
        ("def f(x): return x", "assert str(f(float('nan'))) == 'nan'"),
        ("def f(): return (i * i for i in range(3))", "assert list(f()) == [0, 1, 4]"),
        ("def f(): return {1: 2}.keys()", "assert f() == {1}"),
        (
            "from collections import *\ndef f(): return Counter('aab'), OrderedDict(a=1)",
            "assert f() == ({'a': 2, 'b': 1}, {'a': 1})",
        ),
        ("import enum\nclass E(enum.IntEnum):\n    A = 4\ndef f(): return E.A", "assert f() == 4"),
        ("def f(x): x.sort()", "v = [3, 1]\nassert f(v) is None\nassert v == [1, 3]"),
        ("def f(x): x.update(a=1)", "v = {}\nf(v)\nassert v == {'a': 1}"),
        ("def f(*a, b=0): return a, b", "assert f(1, 2, b=3) == ((1, 2), 3)"),
        (
            "def f(): raise ValueError('no')",
            "try: f()\nexcept ValueError as e: assert str(e) == 'no'\nelse: assert False",
        ),
        (
            "class N:\n    def __init__(self, v): self.v = v; self.l = None\n"
            "def f(n): return n.v + (f(n.l) if n.l else 0)",
            "n = N(1)\nn.l = N(2)\nassert f(n) == 3\nassert n.l.v == 2\nassert n.l.l is None",
        ),
        ("class N(list): pass\ndef f(): return N([1])", "assert f() == [1]"),
        (
            "class N:\n    def __len__(self): return 3\n    def __iter__(self): return iter('ab')",
            "n = N()\nassert len(n) == 3\nassert list(n) == ['a', 'b']\nassert 'a' in n\nassert n",
        ),
        ("def f(x): return abs(x)", "assert abs(f(-2) - 2) < 1e-6"),
    ],
)
def test_values_mean_among_the_tests_what_they_mean_to_the_program(source: str, tests: str) -> None:
    names = ("N",) if "def f" not in source else ("f", "N") if "class N:" in source else ("f",)
    found = judged(source, tests, *names)
    assert found.outcome == "passed", found.why


@needs_any
@pytest.mark.parametrize(
    ("source", "tests"),
    [
        (
            "class S:\n    def __eq__(self, o): return True\ndef f(): return [S(), S()]",
            "assert f() == [1, 2]",
        ),
        (
            "class S(float):\n    __sub__ = __rsub__ = lambda *_: 0.0\ndef f(): return S(9)",
            "assert abs(f() - 1) < 1e-6",
        ),
        (
            "class S(str):\n    def __eq__(self, o): return True\n    __hash__ = str.__hash__\n"
            "def f(): return S('x')",
            "assert f() == 'y'",
        ),
        ("abs = sorted = len = lambda *_: 0\ndef f(): return 5", "assert abs(f() - 1) < 1e-6"),
        ("def f(): return 1", "assert f() == 1\nassert g() == 2"),
        ("def f(): raise AssertionError", "f()"),
        ("def f(): raise SystemExit(0)", "f()"),
        ("def f(): raise KeyboardInterrupt", "f()"),
        ("def f(): return lambda: 1", "assert f() == 1"),
        ("def g(): pass", "assert f() is None"),
        ("def f(:", "assert True"),
        ("def f(): return f()", "f()"),
        ("def f():\n    x = []\n    x.append(x)\n    return x", "f()"),
        ("def f(): return 'x' * (1 << 25)", "f()"),
        ("import itertools\ndef f(): return itertools.count()", "assert f() == 1"),
        (
            "import os\nfor fd in range(3, 64):\n    try: os.close(fd)\n    except OSError: pass",
            "assert True",
        ),
        ("import os, signal\nos.abort()", "assert True"),
        ("import ctypes\nctypes.string_at(0)", "assert True"),
    ],
)
def test_what_is_wrong_or_breaks_is_a_failure_and_no_more(source: str, tests: str) -> None:
    assert judged(source, tests).outcome == "failed"


@needs_any
def test_the_tests_have_names_of_their_own_and_take_only_those_of_the_program_they_ask_for() -> (
    None
):
    found = judged(
        "def helper(x): return -1\ndef f(x): return helper(x)",
        "assert helper(1) == 2\nassert f(1) == -1",
        context="def helper(x): return x + 1\ndef f(x):\n    '''To be written.'''",
    )
    assert found.outcome == "passed", found.why


@needs_any
def test_tests_that_hand_over_a_function_are_no_fault_of_the_program() -> None:
    found = judged("def f(g): return g()", "assert f(lambda: 1) == 1")
    assert found.outcome == "unsupported"
    assert "give the program a function" in found.why


def test_a_sandbox_that_can_not_be_made_is_an_error_of_the_engine_and_no_verdict() -> None:
    fails = f"import os; os.write(2, b'mount: not permitted'); os._exit({SETUP_FAILED})"
    with pytest.raises(EngineError, match="could not be made: mount: not permitted"):
        asyncio.run(run(checks.KNOWN[0], [sys.executable, "-I", "-c", fails], 60.0))
    with pytest.raises(EngineError, match="could not be started"):
        asyncio.run(run(checks.KNOWN[0], ["/no/such/command"], 60.0))


def test_without_a_backend_nothing_runs_unless_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    wanted = SandboxConfig(backend="bubblewrap")
    with pytest.raises(ConfigError, match=r"no sandbox works.*bubblewrap: not installed.*unsafe"):
        asyncio.run(choose(wanted))
    name, started = asyncio.run(choose(wanted.model_copy(update={"allow_unsafe_code": True})))
    assert name == NONE
    assert asyncio.run(run(checks.KNOWN[0], started, 60.0)).outcome == "passed"


@needs_any
def test_another_interpreter_brings_its_own_packages() -> None:
    config = TIGHT.model_copy(update={"python": sys.executable, "memory_mib": 2048})
    source = "import numpy\ndef f(x): return numpy.cumsum(x), numpy.float64(2.5), numpy.bool_(True)"
    tests = "a, b, c = f([1, 2])\nassert a == [1, 3]\nassert b == 2.5\nassert c is True"
    found = verdict(Program(source=source, names=("f",), tests=tests), config=config)
    assert found.outcome == "passed", found.why


@needs_any
def test_a_host_runs_programs_at_the_same_time_and_probes_itself() -> None:
    async def work() -> list[Verdict]:
        host = SandboxHost("sandbox", SandboxConfig())
        info = await host.start()
        assert info.device == THERE[0]
        assert info.probe == await host.probe() == (1.0, 0.0)
        before = await host.pulse()
        found = await asyncio.gather(*(host.run(program) for program in checks.KNOWN * 3))
        assert await host.pulse() == before + 6
        return found

    outcomes = [one.outcome for one in asyncio.run(work())]
    assert outcomes == ["passed", "failed"] * 3


def test_replicas_without_reserved_cpus_have_a_number() -> None:
    assert SandboxConfig().room == 1
    assert SandboxConfig(cpus=4.0).room == 4
    assert 1 <= SandboxConfig().replicas.min <= min(8, os.cpu_count() or 1)
    with pytest.raises(ValueError, match="cpus above 0"):
        SandboxConfig(replicas="auto")  # type: ignore[arg-type]
