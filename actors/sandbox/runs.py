"""One program in a fresh sandbox: start it, hand over the job, read the verdict, end it."""

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from actors.sandbox.guest.start import SETUP_FAILED
from actors.sandbox.types import Outcome, Program, Verdict
from actors.types import EngineError

MOST_SAID = 1 << 16
"""Bytes that a sandbox may say; a verdict has less than a thousand."""
KILLED = (-signal.SIGXCPU, -signal.SIGKILL)


async def run(program: Program, command: Sequence[str], wall_seconds: float) -> Verdict:
    """The verdict. Raises EngineError: no sandbox could be made, or it broke, through no fault of
    the program.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env={}, cwd="/", start_new_session=True
        )
    except OSError as error:
        raise EngineError(f"the sandbox could not be started: {error}") from None
    try:
        async with asyncio.timeout(wall_seconds):
            said, complaint = await _talk(process, json.dumps(asdict(program)).encode())
            code = await process.wait()
    except TimeoutError:
        return Verdict(outcome="timed_out", why=f"no end within {wall_seconds:g} s")
    finally:
        await _end(process)
    if code == SETUP_FAILED or not said:
        reason = complaint.decode(errors="replace").strip() or f"it ended with code {code}"
        raise EngineError(f"the sandbox could not be made: {reason[-600:]}")
    return _verdict(said)


async def _talk(process: Process, job: bytes) -> tuple[bytes, bytes]:
    to, out, err = process.stdin, process.stdout, process.stderr
    assert to is not None
    assert out is not None
    assert err is not None
    said, complaint, _ = await asyncio.gather(_read(out), _read(err), _hand_over(to, job))
    return said, complaint


async def _hand_over(stream: asyncio.StreamWriter, job: bytes) -> None:
    # It may have ended without reading.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(job)
        await stream.drain()
    stream.close()


async def _read(stream: asyncio.StreamReader) -> bytes:
    """To the end, and no more than anything of ours says."""
    found = bytearray()
    while len(found) < MOST_SAID and (chunk := await stream.read(MOST_SAID)):
        found += chunk
    return bytes(found)


async def _end(process: Process) -> None:
    """Everything in it, at once: it is the only thing in its process group and, where there are
    namespaces, the first process of its own.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _verdict(said: bytes) -> Verdict:
    """Of what the tests said, if they did, and then the first process. Raises as `run` does."""
    found: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines()]
    *tests, ended = found
    if "tests" not in ended:
        raise EngineError("the sandbox broke: its first process was ended before it could report")
    outcome: Outcome = "failed"
    if not tests:
        why = "the tests ended without a verdict"
        outcome = "timed_out" if ended["tests"] in KILLED else outcome
    elif tests[0].get("unsupported"):
        outcome, why = "unsupported", f"not to be tested in the sandbox: {tests[0]['why']}"
    elif tests[0]["passed"]:
        outcome, why = "passed", ""
    elif ended["program"] == -signal.SIGXCPU:
        outcome, why = "timed_out", "more CPU seconds than it may take"
    else:
        why = str(tests[0]["why"])
    return Verdict(outcome=outcome, why=why, cpu=ended["cpu"], memory=ended["memory"])
