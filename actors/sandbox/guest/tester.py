"""The tests' side. It runs what the benchmark wrote, in another process than what a model wrote,
and only this process says how they ended.

    tests --call f(1, 2)--> pipe --> program
          <--copy of the result-- pipe
    assert copy == expected, here

So no assert, no exception and no exit of the program is a verdict, no `__eq__` of its classes is
asked whether a result is right, and what the tests expect is never where the program could read it.
"""

import builtins
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from . import wire


class ProgramError(Exception):
    """The program raised something that has no class here."""


class Unsupported(Exception):
    """The tests ask for what can't cross to the program: no fault of the program."""


class Line:
    """Asks the program, one thing at a time."""

    def __init__(self, requests: int, replies: int) -> None:
        self._requests = requests
        self._replies: Iterator[Any] = iter(wire.lines(replies))

    def ask(self, kind: str, *given: Any) -> Any:
        """Raises what the program raised; Broken when it has ended."""
        return self._ask(kind, given, ())

    def call(self, function: "Remote", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function over there; lists, sets and dictionaries that it changes, change here."""
        return self._ask("call", (function, args, kwargs), args)

    def _ask(self, kind: str, given: tuple[Any, ...], args: tuple[Any, ...]) -> Any:
        packed = [wire.pack(one, self._refer) for one in given]
        plain = kind in ("load", "name")
        wire.send(self._requests, [kind, *(given if plain else packed)])
        reply = next(self._replies, None)
        if not isinstance(reply, list) or len(reply) != 3:
            raise wire.Broken("the program has ended")
        how, result, more = reply
        if how != "done":
            raise _error(str(result), str(more))
        for change in more if isinstance(more, list) else ():
            self._change(args, change)
        return wire.unpack(result, self._resolve)

    def _resolve(self, number: int, kind: str) -> "Remote":
        return Remote(self, number, kind)

    def _refer(self, value: Any) -> Any:
        if isinstance(value, Remote):
            return ["object", value._number, value._kind]
        raise Unsupported(f"the tests give the program a {type(value).__name__}, not data")

    def _change(self, args: tuple[Any, ...], change: Any) -> None:
        """Make one argument what it is now. A program that lies about it changes only what it was
        given.
        """
        number, packed = change
        old, new = args[number], wire.unpack(packed, self._resolve)
        if type(old) is not type(new):
            raise wire.Broken("an argument that became something else")
        if isinstance(old, list):
            old[:] = new
        elif isinstance(old, dict | set):
            old.clear()
            old.update(new)


class Remote:
    """An object of the program. Its own methods run over there, and what they return crosses; it is
    equal only to another such object, since its `__eq__` would be shown what the tests expect.
    """

    __slots__ = ("_kind", "_line", "_number")

    def __init__(self, line: Line, number: int, kind: str) -> None:
        for name, value in (("_line", line), ("_number", number), ("_kind", kind)):
            object.__setattr__(self, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._line.call(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._line.ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._line.ask("set", self, name, value)

    def __bool__(self) -> bool:
        return bool(self._line.ask("bool", self))

    def __len__(self) -> int:
        return int(self._line.ask("len", self))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._line.ask("iter", self))

    def __getitem__(self, key: Any) -> Any:
        return self._line.ask("getitem", self, key)

    def __str__(self) -> str:
        return str(self._line.ask("str", self))

    def __repr__(self) -> str:
        return str(self._line.ask("repr", self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and bool(self._line.ask("eq", self, other))

    def __lt__(self, other: object) -> Any:
        return self._line.ask("lt", self, other) if isinstance(other, Remote) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._number)


def run(job: Mapping[str, Any], line: Line) -> dict[str, Any]:
    """The verdict: `passed`, and why not. `unsupported`: there is none."""
    module = ModuleType("tests")
    sys.modules["tests"] = module
    names = module.__dict__
    try:
        exec(compile(job["context"], "context", "exec"), names)
        line.ask("load", job["source"])
        for name in job["names"]:
            names[name] = line.ask("name", name)
        exec(compile(job["tests"], "tests", "exec"), names)
    except Unsupported as error:
        return {"passed": False, "why": str(error), "unsupported": True}
    # The tests fail by any exception, and SystemExit is one.
    except BaseException as error:
        return {"passed": False, "why": f"{type(error).__name__}: {str(error)[:500]}"}
    return {"passed": True, "why": ""}


def _error(name: str, text: str) -> Exception:
    """As the program raised it, for tests that expect an error."""
    found = getattr(builtins, name, None)
    if isinstance(found, type) and issubclass(found, Exception):
        try:
            return found(text)
        except TypeError:  # Some, such as UnicodeDecodeError, want more than a text.
            pass
    return ProgramError(f"{name}: {text}")
