r"""Symbolic equality of two mathematical answers, in a child process that can be killed.

    caller thread --lock, JSON--> child: parse LaTeX, compare (sympy) --JSON--> verdict
                                  | no verdict within `timeout`: SIGKILL, and a fresh child

Sympy can hang or exhaust memory, and nothing inside a Python thread can stop it; SIGALRM works only
in a main thread, which a Ray worker doesn't give us. The text is model output: it is read by a
LaTeX grammar only (no `parse_expr`, which evaluates), and only in the child, which can't write
files. Nothing but JSON comes back. One child serves all threads; they wait for each other.
Source: math-verify, https://github.com/huggingface/Math-Verify.
"""

import atexit
import json
import logging
import multiprocessing
import re
import signal
import threading
from fractions import Fraction
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from actors.types import EngineError, FinishReason
from pipelines.tasks.answers import canonical_number, read_number
from pipelines.tasks.base import Grade

Verdict = Literal["equal", "different", "timed_out"]
Outcome = Literal["correct", "wrong", "truncated", "no_answer", "timed_out"]

VERDICTS: dict[Verdict, Outcome] = {
    "equal": "correct",
    "different": "wrong",
    "timed_out": "timed_out",
}

MAX_LENGTH = 400
"""Characters; a longer text is prose, not an answer, and equals only itself."""

_MEMORY = 2 * 2**30
"""Bytes that a comparison may take."""
_CODE = re.compile(r"__|\b(?:import|lambda|eval|exec|open|getattr|globals|os|sys)\b|[;`@]")


class SymbolicChecker:
    """Compares answers. Thread safe; `close` ends the child, and so does the end of the process."""

    def __init__(self, timeout: float = 5.0, start_timeout: float = 120.0) -> None:
        self.timeout = timeout
        """Seconds for one comparison."""
        self.start_timeout = start_timeout
        """Seconds until a fresh child has imported its libraries."""
        self._lock = threading.Lock()
        self._child: BaseProcess | None = None
        self._pipe: Connection | None = None

    def compare(self, reference: str, answer: str) -> Verdict:
        """Compare two answers in LaTeX or plain notation. Raises EngineError: no child starts."""
        if squeeze(reference) == squeeze(answer):
            return "equal"
        if any(len(text) > MAX_LENGTH or _CODE.search(text) for text in (reference, answer)):
            return "different"
        with self._lock:
            pipe = self._pipe or self._start()
            verdict = self._ask(pipe, reference, answer)
            if verdict == "timed_out":
                self._kill()
            return verdict

    def close(self) -> None:
        """End the child. The next comparison starts another."""
        with self._lock:
            self._kill()

    def _ask(self, pipe: Connection, reference: str, answer: str) -> Verdict:
        try:
            pipe.send_bytes(json.dumps([reference, answer]).encode())
            if not pipe.poll(self.timeout):
                return "timed_out"
            return "equal" if json.loads(pipe.recv_bytes()) is True else "different"
        except (OSError, EOFError):
            # The child died, most likely of memory: this comparison can't be made.
            return "timed_out"

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        child = context.Process(target=_serve, args=(theirs,), daemon=True)
        # At its own end multiprocessing would send a TERM, which the child ignores, and wait.
        atexit.unregister(self._kill)
        atexit.register(self._kill)
        child.start()
        theirs.close()
        self._child, self._pipe = child, pipe
        try:
            if pipe.poll(self.start_timeout) and json.loads(pipe.recv_bytes()) == "ready":
                return pipe
        except (OSError, EOFError):
            pass
        self._kill()
        raise EngineError(
            f"the symbolic checker didn't start within {self.start_timeout:g} s: check that "
            "math-verify imports (pip install math-verify)"
        )

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._child.close()
        if self._pipe is not None:
            self._pipe.close()
        self._child = self._pipe = None


def canonical_answer(text: str) -> str | None:
    """Equal answers get the same text, but for what only sympy can tell; None: nothing there."""
    number = _plain_number(text)
    return canonical_number(number) if number is not None else squeeze(text) or None


def grade_symbolic(
    checker: SymbolicChecker, reference: str, answer: str | None, reason: FinishReason
) -> Grade:
    """Grade an extracted answer, None for none. reference: canonical. A comparison that isn't done
    in time is no verdict.
    """
    answer = None if answer is None else canonical_answer(answer)
    outcome: Outcome = "truncated" if reason == "length" else "no_answer"
    if answer is not None:
        outcome = VERDICTS[checker.compare(reference, answer)]
    credit = (("accuracy", float(outcome == "correct")),)
    return Grade(answer=answer, outcome=outcome, metrics=() if outcome == "timed_out" else credit)


def _plain_number(text: str) -> Fraction | None:
    """A number, if the text is nothing else: `2x` and `(1, 2)` are not numbers."""
    bare = squeeze(text)
    written = re.fullmatch(r"-?[0-9.,]+(?:/[0-9]+)?|-?\\[dt]?frac\{[0-9]+\}\{[0-9]+\}", bare)
    return read_number(bare) if written else None


def squeeze(text: str) -> str:
    """The text without white space and dollar signs: what two equal answers often share."""
    return re.sub(r"\s+|\\?\$|\\[,!;: ]", "", text)


def _serve(pipe: Connection) -> None:
    """The child: answer each pair with true or false, until the pipe closes."""
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    # A Ctrl-C reaches every process of a terminal, and a scheduler's TERM every process of a job;
    # grading goes on until the driver is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _limit_resources()
    pipe.send_bytes(json.dumps("ready").encode())
    while True:
        try:
            reference, answer = json.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        try:
            same = _same(parse, verify, reference, answer)
        # Whatever a parser throws at text that isn't mathematics means: not equal.
        except Exception:
            same = False
        pipe.send_bytes(json.dumps(same).encode())


def _same(parse: Any, verify: Any, reference: str, answer: str) -> bool:
    """The library's own timeouts are alarms: off, as the parent's clock is the one that counts."""
    from math_verify import LatexExtractionConfig

    gold, given = (
        parse(f"${text.strip(' $')}$", [LatexExtractionConfig()], parsing_timeout=None)
        for text in (reference, answer)
    )
    return bool(gold and given and verify(gold, given, timeout_seconds=None))


def _limit_resources() -> None:
    """Bound what a comparison may take: memory on top of the imports, and no files at all."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):  # not on this platform: the parent's clock still holds
        return
    memory = _MEMORY + pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
