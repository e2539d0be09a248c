"""The program's side: run what was written, then do as the tests ask. Nothing here is trusted once
the program has begun, since it may change all of it; all it can do is give wrong answers.
"""

import operator
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import wire

ASKED: dict[str, Callable[..., Any]] = {
    "call": lambda function, args, kwargs: function(*args, **kwargs),
    "get": getattr,
    "set": setattr,
    "bool": bool,
    "len": len,
    "iter": lambda value: list(value),
    "str": str,
    "repr": repr,
    "getitem": operator.getitem,
    "eq": operator.eq,
    "lt": operator.lt,
}
"""What the tests may do with an object of the program."""


def serve(requests: int, replies: int) -> None:
    """Answer requests until the tests are over."""
    objects: list[Any] = []
    module = ModuleType("program")
    # Where dataclasses and others look up what a class was made in.
    sys.modules["program"] = module

    def refer(value: Any) -> Any:
        objects.append(value)
        return ["object", len(objects) - 1, type(value).__name__]

    for kind, *given in wire.lines(requests):
        # Whatever the program raises, SystemExit too, is for the tests to see.
        try:
            if kind == "load":
                exec(compile(given[0], "program", "exec"), module.__dict__)
                reply: Any = ["done", None, []]
            elif kind == "name":
                reply = ["done", wire.pack(getattr(module, given[0]), refer), []]
            else:
                arguments = [wire.unpack(one, lambda i, _: objects[i]) for one in given]
                result = wire.pack(ASKED[kind](*arguments), refer)
                reply = ["done", result, _changed(kind, given, arguments, refer)]
        except BaseException as error:
            reply = ["raised", type(error).__name__, _text(error)]
        wire.send(replies, reply)


def _changed(
    kind: str, given: list[Any], arguments: list[Any], refer: Callable[[Any], Any]
) -> list[Any]:
    """Positional arguments that a call has changed in place: where they stand, and what they are
    now.
    """
    if kind != "call":
        return []
    before, after = given[1][1], arguments[1]
    return [
        [i, now]
        for i, value in enumerate(after)
        if isinstance(value, list | dict | set) and (now := wire.pack(value, refer)) != before[i]
    ]


def _text(error: BaseException) -> str:
    try:
        return str(error)[:500]
    except BaseException:
        return ""
