"""What the tests ask of the program, and the errors that come of it."""

import os
from collections.abc import Iterator
from typing import Any, NoReturn

from . import wire
from .remote import Remote

OURS = ("tests", "context")
"""File names of what the benchmark wrote."""


class ProgramError(Exception):
    """The program raised something that has no class here."""


class Unsupported(Exception):
    """The tests ask for what can't cross to the program: no fault of the program."""


class _Own:
    """What an error of the program's own class has here beside its built-in ones."""

    _instance: Remote | None = None
    """Over there; None: the tests made it."""
    _text = ""

    def __str__(self) -> str:
        return self._text if self._instance is not None else super().__str__()

    def __getattr__(self, name: str) -> Any:
        if self._instance is None:
            raise AttributeError(f"no {name}", name=name, obj=self)
        return getattr(self._instance, name)


class Line:
    """Asks the program, one thing at a time."""

    def __init__(self, requests: int, replies: int) -> None:
        self._requests = requests
        self._replies: Iterator[Any] = iter(wire.lines(replies))
        self._objects: dict[int, Remote] = {}
        self._errors: dict[int, type[Exception]] = {}
        self._lost: set[str] = set()
        self._copies: dict[str, Any] = {}
        self._sent: dict[str, Any] = {}
        self._raised: list[Exception] = []
        self.refused: Unsupported | None = None
        """The first thing that was, whatever the tests made of it."""

    def refuse(self, why: str) -> NoReturn:
        """Raises Unsupported."""
        self.refused = self.refused or Unsupported(why)
        raise self.refused

    def lacked(self, error: BaseException) -> bool:
        """Whether an error among the tests is of what stands here for the program's objects, such
        as a library that won't take it.
        """
        if isinstance(error, AssertionError) or any(error is one for one in self._raised):
            return False
        if isinstance(error, AttributeError):
            of = {type(error.obj), error.obj if isinstance(error.obj, type) else None}
            if error.name in self._lost or of & set(self._errors.values()):
                return True
        at_remote = isinstance(error, TypeError | AttributeError) and "Remote" in str(error)
        return at_remote or _in_library(error)

    def ask(self, kind: str, *given: Any) -> Any:
        """Raises what the program raised; Broken when it has ended."""
        return self._ask(kind, given, ())

    def call(self, function: Remote, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function over there; lists, sets and dictionaries that it changes, change here."""
        return self._ask("call", (function, args, kwargs), args)

    def _ask(self, kind: str, given: tuple[Any, ...], args: tuple[Any, ...]) -> Any:
        packed = [wire.pack(one, self._refer) for one in given]
        plain = kind in ("load", "name")
        wire.send(self._requests, [kind, self._news(), *(given if plain else packed)])
        reply = next(self._replies, None)
        if not isinstance(reply, list) or len(reply) != 3:
            raise wire.Broken("the program has ended")
        how, result, more = reply
        if how != "done":
            self._raised.append(self._error(wire.unpack(result, self._named), *more))
            raise self._raised[-1]
        for change in more if isinstance(more, list) else ():
            self._change(args, change)
        return wire.unpack(result, self._resolve)

    def take(self, name: str) -> Any:
        """What the program calls so. Of lists, sets and dictionaries the copy here and the original
        there follow each other.
        """
        value = self.ask("name", name)
        if isinstance(value, wire.CHANGING):
            self._copies[name] = value
            self._sent[name] = wire.pack(value, self._refer)
        return value

    def _news(self) -> dict[str, Any]:
        """Copies that the tests have changed."""
        now = {name: wire.pack(value, self._refer) for name, value in self._copies.items()}
        news = {name: packed for name, packed in now.items() if packed != self._sent[name]}
        self._sent.update(news)
        return news

    def _resolve(self, kind: str, content: Any, *rest: Any) -> Any:
        if kind == "less":
            self._lost.update(map(str, rest[0]))
            return wire.unpack(content, self._resolve)
        if kind == "error":
            return self._error_class(int(content), str(rest[0]), rest[1])
        if kind == "object":
            number = int(content)
            return self._objects.setdefault(number, Remote(self, number, str(rest[0])))
        if issubclass(AssertionError, content) and issubclass(content, BaseException):
            self.refuse(
                f"to the program an error of its own is {content.__name__}, as a failed assert is"
            )
        return content

    def _named(self, kind: str, content: Any, *rest: Any) -> Any:
        """As `_resolve`; what the program raises may be of any class, since it's raised at once."""
        return content if kind == "builtin" else self._resolve(kind, content, *rest)

    def _error_class(self, number: int, name: str, bases: list[Any]) -> type[Exception]:
        """A class of the same name, below the same built-in ones, for `except` and `isinstance`."""
        if number not in self._errors:
            found = [wire.unpack(one, self._named) for one in bases]
            known = [one for one in found if isinstance(one, type) and issubclass(one, Exception)]
            own = {"_number": number, "_instance": None}
            self._errors[number] = type(name, (_Own, *(known or [ProgramError])), own)
        return self._errors[number]

    def _error(self, found: Any, text: Any, args: Any, instance: Any) -> Exception:
        """As the program raised it, for tests that expect an error."""
        if not isinstance(found, type) or not issubclass(found, Exception):
            return ProgramError(f"{getattr(found, '__name__', found)}: {text}")
        try:
            error = found(*wire.unpack(args, self._resolve))
        except TypeError:  # Some, such as UnicodeDecodeError, want more than a text.
            return ProgramError(f"{found.__name__}: {text}")
        if isinstance(error, _Own):
            error._instance, error._text = wire.unpack(instance, self._resolve), str(text)
        return error

    def _refer(self, value: Any) -> Any:
        if isinstance(value, Remote):
            return ["object", value._number]
        if isinstance(value, type) and value in self._errors.values():
            return ["object", value._number]  # type: ignore[attr-defined]
        if isinstance(getattr(value, "_instance", None), Remote):
            return ["object", value._instance._number]
        return self.refuse(f"the tests give the program a {type(value).__name__}, not data")

    def _change(self, args: tuple[Any, ...], change: Any) -> None:
        """Make one argument what it is now. A program that lies about it changes only what it was
        given.
        """
        place, packed = change
        if isinstance(place, str):
            wire.become(self._copies[place], wire.unpack(packed, self._resolve))
            self._sent[place] = wire.pack(self._copies[place], self._refer)
        else:
            wire.become(args[place], wire.unpack(packed, self._resolve))


def _in_library(error: BaseException) -> bool:
    """Whether neither the tests nor what stands here raised it, while at work on a Remote."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    if trace is None:
        return False
    file = trace.tb_frame.f_code.co_filename
    if file in OURS or os.path.dirname(file) == os.path.dirname(__file__):
        return False
    return any(type(value) is Remote for value in trace.tb_frame.f_locals.values())
