"""Objects of the program, as the tests hold them.

What runs when the tests use one runs over there. It may answer anything for itself, as it may
return anything; three rules keep it from deciding over the tests' own values:

- It equals no plain data, as its `__eq__` would be shown what the tests expect; whether it holds
  some its items tell.
- An operator that was given plain data may give another such object and nothing else, and so may
  what follows from that: `abs(f() - 0.5) < 1e-6` is not for the program to answer.
- Leaving a `with` block, it can't swallow an error, which would skip the asserts behind it.

What breaks them, or can't be had from here, is Unsupported: no fault of the program.
"""

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, NoReturn, Protocol


class Line(Protocol):
    """See `line.Line`."""

    def ask(self, kind: str, *given: Any) -> Any: ...

    def call(self, function: "Remote", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def refuse(self, why: str) -> NoReturn: ...


class Remote:
    """An object of the program. See the top of this file."""

    __slots__ = ("_kind", "_line", "_number", "_shown")

    def __init__(self, line: Line, number: int, kind: str) -> None:
        mine = {"_line": line, "_number": number, "_kind": kind, "_shown": False}
        for name, value in mine.items():
            object.__setattr__(self, name, value)

    def _operate(self, kind: str, *operands: Any) -> Any:
        """With an operator; `operands` are in order, this one among them."""
        shown = any(not isinstance(one, Remote) or one._shown for one in operands)
        result = self._line.ask(kind, *operands)
        if shown:
            if not isinstance(result, Remote):
                self._line.refuse(f"{kind} of a {self._kind} and plain data")
            object.__setattr__(result, "_shown", True)
        return result

    def _become(self, kind: str, *given: Any) -> Any:
        """Plain data: not what follows from an operator that was shown some."""
        if self._shown:
            self._line.refuse(f"{kind} of what came of a {self._kind} and plain data")
        return self._line.ask(kind, self, *given)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._line.call(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._line.ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._line.ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._line.ask("delete", self, name)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._line.ask("setitem", self, key, value)

    def __delitem__(self, key: Any) -> None:
        self._line.ask("delitem", self, key)

    def __bool__(self) -> bool:
        return bool(self._become("bool"))

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, Remote):
            return bool(self._become("in", value))
        try:
            # Compared here, as for `==`: whoever says yes to everything would be right.
            return any(one is value or one == value for one in self)
        except TypeError:
            return bool(self._line.refuse(f"whether plain data is in a {self._kind}"))

    def __iter__(self) -> Iterator[Any]:
        found = self._become("iter")
        return found if isinstance(found, Remote) else iter(found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and bool(self._line.ask("eq", self, other))

    def __ne__(self, other: object) -> bool:
        return not isinstance(other, Remote) or bool(self._line.ask("ne", self, other))

    def __hash__(self) -> int:
        return hash(self._line.ask("hash", self))

    def __enter__(self) -> Any:
        return self._line.ask("enter", self)

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        own = isinstance(getattr(error, "_instance", None), Remote)
        if self._line.ask("exit", self, kind, error if own else str(error)) and kind:
            self._line.refuse(f"a {self._kind} swallows a {kind.__name__}")

    def __instancecheck__(self, value: Any) -> bool:
        found = self._line.ask("isinstance", value, self)
        if found is None:
            self._line.refuse(f"whether a copied {type(value).__name__} was one of the program's")
        return bool(found)

    def __subclasscheck__(self, value: Any) -> bool:
        return bool(self._line.ask("issubclass", value, self))

    def __mro_entries__(self, bases: Any) -> Any:
        return self._line.refuse(f"a class of the tests below a {self._kind}")

    def __await__(self) -> Any:
        return self._line.refuse(f"to await a {self._kind}")

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._line.refuse(f"to copy a {self._kind}")


def _binary(kind: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def straight(self: Remote, other: Any) -> Any:
        return self._operate(kind, self, other)

    def reflected(self: Remote, other: Any) -> Any:
        return self._operate(kind, other, self)

    return straight, reflected


def _unary(kind: str, of: type | None) -> Callable[..., Any]:
    def method(self: Remote, *given: Any) -> Any:
        if of is None:
            return self._operate(kind, self, *given)
        return of(self._become(kind, *given))

    return method


def _taking(kind: str) -> Callable[..., Any]:
    def method(self: Remote, *given: Any) -> Any:
        return self._become(kind, *given)

    return method


ARITHMETIC = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "matmul"),
    *("lshift", "rshift", "and", "or", "xor"),
)
UNARY: Mapping[str, type | None] = {
    **dict.fromkeys(("neg", "pos", "invert", "abs"), None),
    **{"len": int, "int": int, "index": int, "float": float},
    **{"str": str, "repr": str, "format": str},
}
"""By what they must give; None: anything."""

for _kind in ARITHMETIC:
    _does = {"and": "and_", "or": "or_"}.get(_kind, _kind)
    _straight, _reflected = _binary(_does)
    setattr(Remote, f"__{_kind}__", _straight)
    setattr(Remote, f"__r{_kind}__", _reflected)
    if _kind != "divmod":
        setattr(Remote, f"__i{_kind}__", _binary(f"i{_does.rstrip('_')}")[0])
for _kind in ("lt", "le", "gt", "ge"):
    setattr(Remote, f"__{_kind}__", _binary(_kind)[0])
for _kind, _of in UNARY.items():
    setattr(Remote, f"__{_kind}__", _unary(_kind, _of))
for _kind in ("getitem", "next", "round", "floor", "ceil", "trunc"):
    setattr(Remote, f"__{_kind}__", _taking(_kind))
