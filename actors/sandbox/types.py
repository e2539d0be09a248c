"""What goes into the sandbox and what comes out."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "timed_out", "unsupported"]
"""`timed_out`: the program took more than `cpu_seconds` or `wall_seconds`. `unsupported`: its tests
ask of it what can't be had across two processes, so nobody knows whether it is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Code that a model wrote, and how it is tested.

    Program(source="def inc(x):\\n    return x + 1", names=("inc",), tests="assert inc(1) == 2")
    """

    source: str
    names: tuple[str, ...]
    """What the tests take from the program. All other names are the tests' own, so that a program
    can't put a function of its own in the place of `abs` or `sorted`."""
    tests: str
    """Python. The program passes when they come to their end."""
    context: str = ""
    """Python that the tests build on; it runs before `names` are taken from the program."""
    is_cut: bool = False
    """The text that it was found in was cut, and it goes on to where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a program's tests ended: `Verdict(outcome="failed", why="AssertionError: ")`."""

    outcome: Outcome
    why: str = ""
    """What ended the tests, in at most 600 characters; empty where they passed."""
    cpu: float = 0.0
    """Seconds that the program computed."""
    memory: int = 0
    """Bytes that it held at most."""
