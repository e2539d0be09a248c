"""The tests' side. It runs what the benchmark wrote, in another process than what a model wrote,
and only this process says how they ended.

    tests --call f(1, 2)--> pipe --> program
          <--copy of the result-- pipe
    assert copy == expected, here

So no assert, no exception and no exit of the program is a verdict. Plain values are compared here,
and no `__eq__` of the program's classes is shown one; whether two objects of its own are equal is
for the program to say, as all that they say of themselves (`remote`). What the tests expect is
where the program could read it only once they hand it over.
"""

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from .line import Line


def run(job: Mapping[str, Any], line: Line) -> dict[str, Any]:
    """The verdict: `passed`, and why not. `unsupported`: there is none."""
    module = ModuleType("tests")
    sys.modules["tests"] = module
    names = module.__dict__
    try:
        exec(compile(job["context"], "context", "exec"), names)
        line.ask("load", job["source"])
        for name in job["names"]:
            names[name] = line.take(name)
        exec(compile(job["tests"], "tests", "exec"), names)
        verdict = {"passed": True, "why": ""}
    # The tests fail by any exception, and SystemExit is one.
    except BaseException as error:
        why = f"{type(error).__name__}: {_text(error)}"
        verdict = {"passed": False, "why": why, "unsupported": line.lacked(error)}
    # Tests may have caught it.
    if line.refused:
        return {"passed": False, "why": str(line.refused), "unsupported": True}
    return verdict


def _text(error: BaseException) -> str:
    try:
        return str(error)[:500]
    except Exception:  # Its text may be the program's to give.
        return ""
