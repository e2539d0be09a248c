"""The program's side: run what was written, then do as the tests ask. Nothing here is trusted once
the program has begun, since it may change all of it; all it can do is give wrong answers.
"""

import math
import operator
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import wire


def _left(value: Any, kind: Any, error: Any) -> bool:
    """`error`: one of the program's own, or the text of one of the tests'."""
    raised = kind(error) if kind and not isinstance(error, BaseException) else error
    return bool(value.__exit__(kind, raised if kind else None, None))


def _is_one(value: Any, kind: Any) -> bool | None:
    """None: a copy doesn't tell, as what it is a copy of may have been one."""
    copied = isinstance(value, wire.PLAIN) and type(value) is not kind
    if copied and isinstance(kind, type) and issubclass(kind, wire.PLAIN):
        return None
    return isinstance(value, kind)


ASKED: dict[str, Callable[..., Any]] = {
    "call": lambda function, args, kwargs: function(*args, **kwargs),
    "get": getattr,
    "set": setattr,
    "delete": delattr,
    "iter": iter,
    "in": operator.contains,
    "enter": lambda value: value.__enter__(),
    "exit": _left,
    "isinstance": _is_one,
    "float": float,
    "int": int,
    **{kind.__name__: kind for kind in (bool, len, next, str, repr, hash, format, issubclass)},
    **{kind.__name__: kind for kind in (abs, round, divmod, math.floor, math.ceil)},
    "trunc": math.trunc,
}
"""What the tests may do with an object of the program; and all that `operator` has."""


class _Objects:
    """What the tests know of the program: objects by number, one number for one object, and lists,
    sets and dictionaries by name, of which they have copies.
    """

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._taken: dict[str, Any] = {}

    def resolve(self, kind: str, content: Any, *_: Any) -> Any:
        """What a reference stands for."""
        return content if kind == "builtin" else self._objects[content]

    def pack(self, value: Any) -> Any:
        """A value for the tests."""
        return wire.pack(value, self._refer)

    def take(self, name: str) -> Any:
        """What the program calls so, packed."""
        value = getattr(self._module, name)
        packed = self.pack(value)
        if isinstance(value, wire.CHANGING):
            self._taken[name] = packed
        return packed

    def put(self, given: dict[str, Any]) -> None:
        """What the tests made of their copies."""
        for name, packed in given.items():
            wire.become(getattr(self._module, name), wire.unpack(packed, self.resolve))
            self._taken[name] = self.take(name)

    def changed(self) -> list[Any]:
        """Names of what the tests have copies of that is another now, and what it is."""
        before = dict(self._taken)
        return [[name, now] for name in before if (now := self.take(name)) != before[name]]

    def _refer(self, value: Any) -> Any:
        number = self._numbers.setdefault(id(value), len(self._objects))
        if number == len(self._objects):
            self._objects.append(value)
        if isinstance(value, type) and issubclass(value, BaseException):
            return ["error", number, value.__name__, [self.pack(one) for one in value.__bases__]]
        return ["object", number, type(value).__name__]


def serve(requests: int, replies: int) -> None:
    """Answer requests until the tests are over."""
    module = ModuleType("program")
    objects = _Objects(module)
    # Where dataclasses and others look up what a class was made in.
    sys.modules["program"] = module
    for kind, copies, *given in wire.lines(requests):
        # Whatever the program raises, SystemExit too, is for the tests to see.
        try:
            objects.put(copies)
            if kind == "load":
                exec(compile(given[0], "program", "exec"), module.__dict__)
                reply: Any = ["done", None, []]
            elif kind == "name":
                reply = ["done", objects.take(given[0]), []]
            else:
                arguments = [wire.unpack(one, objects.resolve) for one in given]
                does = ASKED.get(kind) or getattr(operator, kind)
                result = objects.pack(does(*arguments))
                changed = _changed(kind, given, arguments, objects)
                reply = ["done", result, [*changed, *objects.changed()]]
        except BaseException as error:
            reply = ["raised", objects.pack(type(error)), _told(error, objects)]
        wire.send(replies, reply)


def _changed(kind: str, given: list[Any], arguments: list[Any], objects: _Objects) -> list[Any]:
    """Positional arguments that a call has changed in place: where they stand, and what they are
    now.
    """
    if kind != "call":
        return []
    before, after = given[1][1], arguments[1]
    return [
        [i, now]
        for i, value in enumerate(after)
        if isinstance(value, wire.CHANGING) and (now := objects.pack(value)) != before[i]
    ]


def _told(error: BaseException, objects: _Objects) -> list[Any]:
    """Text, arguments and itself."""
    # Its frames would keep alive what the program has let go.
    error.__traceback__ = error.__context__ = None
    try:
        return [str(error)[:500], objects.pack(error.args), objects.pack(error)]
    except BaseException:
        return ["", objects.pack(()), objects.pack(error)]
