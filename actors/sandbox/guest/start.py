"""The first process in the sandbox: shuts itself in, starts program and tests, says how they ended.

    start --confined--> program   no tests in its memory, no way to the verdict: it was made first
                   |      ^ |  two pipes
                   |      | v
                   +---> tests    reads the job from stdin, writes the verdict to stdout
                   |
                   waits; ends the program when the tests have ended; writes how both ended

The two can't reach each other but through their pipes: neither may signal or trace a process, and
there is no /proc. When `start` ends everything in the sandbox does.
"""

import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from . import confine, line, program, syscalls, tester, wire

SETUP_FAILED = 111
"""Exit code of a sandbox that could not be made; why stands on stderr."""


def main() -> None:
    """Read what to do from the command line, and do it."""
    plan = json.loads(sys.argv[1])
    try:
        _shut_in(plan)
    except (OSError, KeyError, syscalls.Unknown) as error:
        os.write(2, f"{error}"[:500].encode())
        os._exit(SETUP_FAILED)
    _work(plan)


def _shut_in(plan: Mapping[str, Any]) -> None:
    readable, limits = plan["readable"], plan["limits"]
    if plan["backend"] == "namespaces":
        machine = platform.machine()
        confine.enter_namespaces(machine, readable, limits["file"], parent=plan["parent"])
    if plan["backend"] == "landlock":
        confine.restrict_files(readable)
    if plan["backend"] in ("landlock", "none"):
        confine.die_with_parent(plan["parent"])


def _work(plan: Mapping[str, Any]) -> None:
    to_program, to_tests = os.pipe(), os.pipe()
    job_and_verdict = (os.dup(0), os.dup(1))

    def run_program() -> None:
        program.serve(to_program[0], to_tests[1])

    def run_tests() -> None:
        job = json.loads(_read_all(job_and_verdict[0]))
        verdict = tester.run(job, line.Line(to_program[1], to_tests[0]))
        wire.send(job_and_verdict[1], verdict)

    first = _start(run_program, plan, keep=(to_program[0], to_tests[1]))
    second = _start(run_tests, plan, keep=(to_program[1], to_tests[0], *job_and_verdict))
    for fd in (*to_program, *to_tests):
        os.close(fd)
    _, tests_status, _ = os.wait4(second, 0)
    os.kill(first, signal.SIGKILL)
    _, program_status, usage = os.wait4(first, 0)
    ended = {
        "program": os.waitstatus_to_exitcode(program_status),
        "tests": os.waitstatus_to_exitcode(tests_status),
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * 1024,
    }
    wire.send(job_and_verdict[1], ended)
    os._exit(0)


def _start(work: Callable[[], None], plan: Mapping[str, Any], keep: tuple[int, ...]) -> int:
    """A process with limits, that has these pipes and nothing else open; returns its id."""
    child = os.fork()
    if child:
        return child
    try:
        confine.die_with_parent(0)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        ends = sorted({0, 1, 2, *keep})
        for low, high in zip(ends, [*ends[1:], 1 << 16], strict=True):
            os.closerange(low + 1, high)
        confine.limit(plan["limits"])
        if plan["backend"] != "none":
            syscalls.apply_filter()
        work()
    except wire.Broken:
        os._exit(2)
    except BaseException:
        os._exit(1)
    os._exit(0)


def _read_all(fd: int) -> bytes:
    return b"".join(iter(lambda: os.read(fd, 1 << 16), b""))
