"""Values on the pipe between the tests and the program, as lines of JSON.

Plain data crosses as a copy: None, bool, int, float, str, bytes, complex, Decimal, Fraction, range,
lists, tuples (named ones too), sets, dictionaries, what `collections` has of them, builtin classes,
numpy's scalars and arrays, and iterators with all that they give. Subclasses cross as what they are
made of, so no method of the program ever runs among the tests. Anything else stays where it is, and
a reference to it crosses.
"""

import builtins
import functools
import itertools
import json
import os
import sys
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MOST_BYTES = 8 * 2**20
"""Of one line."""
MOST_ITEMS = 100_000
"""Of one iterator."""
VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
SEQUENCES: dict[str, type] = {kind.__name__: kind for kind in (list, tuple, set, frozenset, deque)}
MAPPINGS: dict[str, type] = {kind.__name__: kind for kind in (Counter, OrderedDict, dict)}
PLAIN = (bool, int, float, str, bytes, complex, *SEQUENCES.values(), dict)
CHANGING = (list, set, dict, deque)
REFERENCES = ("object", "error", "less")
"""An object of the other side, a class of errors, and a copy with the names that it lost."""

# A bound against denial of service that a process with limits doesn't need.
sys.set_int_max_str_digits(0)


class Broken(Exception):
    """The other end is gone, or says what it can't say."""


def pack(value: Any, refer: Callable[[Any], Any]) -> Any:
    """As JSON can write it; `refer` makes what stands for anything that isn't plain data."""
    packed = _packed(value, refer)
    lost = _lost(value) if type(value).__module__ == "program" else []
    return ["less", packed, lost] if lost else packed


def _packed(value: Any, refer: Callable[[Any], Any]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    fields = getattr(type(value), "_fields", ()) if isinstance(value, tuple) else ()
    if fields:
        given = [pack(one, refer) for one in tuple.__iter__(value)]
        return ["named", [type(value).__name__, [str(name) for name in fields], given]]
    for name, kind in SEQUENCES.items():
        if isinstance(value, kind):
            return [name, [pack(one, refer) for one in kind.__iter__(value)]]  # type: ignore[attr-defined]
    if isinstance(value, dict):
        return _packed_dict(value, refer)
    if isinstance(value, type) and getattr(builtins, name := str(value.__name__), None) is value:
        return ["builtin", name]
    if isinstance(value, bytes | bytearray):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, complex):
        return ["complex", [float(value.real), float(value.imag)]]
    if isinstance(value, range):
        return ["range", [value.start, value.stop, value.step]]
    if type(value).__name__ in ("Decimal", "Fraction") and _is_standard(value):
        return [type(value).__name__, str(value)]
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return pack(value.tolist(), refer)
    if isinstance(value, VIEWS) or _is_iterator(value):
        given = [pack(one, refer) for one in itertools.islice(value, MOST_ITEMS)]
        return ["keys" if isinstance(value, VIEWS[0]) else "iterator", given]
    return refer(value)


def _packed_dict(value: dict[Any, Any], refer: Callable[[Any], Any]) -> Any:
    pairs = [[pack(key, refer), pack(one, refer)] for key, one in dict.items(value)]
    if isinstance(value, defaultdict):
        return ["defaultdict", pairs, pack(value.default_factory, refer)]
    return [next(name for name, kind in MAPPINGS.items() if isinstance(value, kind)), pairs]


def _lost(value: Any) -> list[str]:
    """What a class of the program's own adds to the plain data that it is copied as."""
    base = next((kind for kind in PLAIN if isinstance(value, kind)), None)
    if base is None:
        return []
    kept = {*dir(base), *getattr(type(value), "_fields", ())}
    return [name for name in dir(value) if name[0] != "_" and name not in kept]


def _is_iterator(value: Any) -> bool:
    """A class of the program's own may have more to it than the next item."""
    ours = type(value).__module__ == "program"
    return isinstance(value, Iterator) and not callable(value) and not ours


def unpack(value: Any, resolve: Callable[..., Any]) -> Any:
    """What `pack` was given; `resolve` makes something of references. Raises Broken."""
    if not isinstance(value, list):
        return value
    try:
        return _unpacked(value, resolve)
    except (ValueError, TypeError, IndexError, KeyError, ArithmeticError) as error:
        raise Broken(f"not a value: {error}") from None


def _unpacked(value: list[Any], resolve: Callable[..., Any]) -> Any:
    kind, content, *rest = value
    if kind in REFERENCES:
        return resolve(kind, content, *rest)
    if kind in ("bytes", "Decimal", "Fraction", "complex", "range"):
        return _rare(kind, content)
    if kind == "builtin":
        return resolve(kind, builtin_class(content))
    if kind in MAPPINGS or kind == "defaultdict":
        items = {unpack(key, resolve): unpack(one, resolve) for key, one in content}
        if kind == "defaultdict":
            return defaultdict(unpack(rest[0], resolve), items)
        return items if kind == "dict" else MAPPINGS[kind](items)
    if kind == "named":
        made = _named(str(content[0]), tuple(content[1]))
        return made._make(unpack(one, resolve) for one in content[2])  # type: ignore[attr-defined]
    given = [unpack(one, resolve) for one in content]
    if kind == "keys":
        return dict.fromkeys(given).keys()
    return iter(given) if kind == "iterator" else SEQUENCES[kind](given)


def _rare(kind: str, content: Any) -> Any:
    if kind == "bytes":
        return bytes.fromhex(content)
    if kind == "complex":
        return complex(*content)
    if kind == "range":
        return range(*content)
    if kind == "Decimal":
        from decimal import Decimal

        return Decimal(content)
    from fractions import Fraction

    return Fraction(content)


def become(old: Any, new: Any) -> None:
    """Change one of CHANGING in place. Raises Broken."""
    if type(old) is not type(new):
        raise Broken("a value that became something else")
    old.clear()
    (old.update if isinstance(old, dict | set) else old.extend)(new)


def builtin_class(name: str) -> type:
    """Raises ValueError where there is none."""
    found = getattr(builtins, name, None)
    if not isinstance(found, type):
        raise ValueError(f"no class {name}")
    return found


@functools.lru_cache(maxsize=256)
def _named(name: str, fields: tuple[str, ...]) -> type:
    """It takes nothing but identifiers that don't begin with an underscore."""
    return namedtuple(name, fields)


def _is_standard(value: Any) -> bool:
    return type(value).__module__ in ("decimal", "_decimal", "fractions")


def send(fd: int, message: Any) -> None:
    """Write one line. Raises Broken when nobody reads."""
    data = json.dumps(message).encode() + b"\n"
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError as error:
        raise Broken(f"the other end is gone: {error.strerror}") from None


def lines(fd: int) -> Iterable[Any]:
    """Messages, until the other end closes. Raises Broken for what is no message."""
    held = bytearray()
    while chunk := os.read(fd, 1 << 16):
        held += chunk
        if len(held) > MOST_BYTES:
            raise Broken(f"a message of more than {MOST_BYTES} bytes")
        while (end := held.find(b"\n", max(0, len(held) - len(chunk)))) >= 0:
            line, held = held[:end], held[end + 1 :]
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                raise Broken("a message that is not JSON") from None
            chunk = bytes(held)
