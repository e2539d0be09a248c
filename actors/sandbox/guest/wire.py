"""Values on the pipe between the tests and the program, as lines of JSON.

Plain data crosses as a copy: None, bool, int, float, str, bytes, complex, Decimal, Fraction, range,
lists, tuples, sets, dictionaries, numpy's scalars and arrays, and iterators with all that they
give. Subclasses cross as what they are made of, so no method of the program ever runs among the
tests. Anything else stays where it is, and a reference to it crosses.
"""

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MOST_BYTES = 8 * 2**20
"""Of one line."""
MOST_ITEMS = 100_000
"""Of one iterator."""
VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
SEQUENCES: dict[str, type] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}

# A bound against denial of service that a process with limits doesn't need.
sys.set_int_max_str_digits(0)


class Broken(Exception):
    """The other end is gone, or says what it can't say."""


def pack(value: Any, refer: Callable[[Any], Any]) -> Any:
    """As JSON can write it; `refer` makes what stands for anything that isn't plain data."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    for name, kind in SEQUENCES.items():
        if isinstance(value, kind):
            return [name, [pack(one, refer) for one in kind.__iter__(value)]]  # type: ignore[attr-defined]
    if isinstance(value, dict):
        pairs = dict.items(value)
        return ["dict", [[pack(key, refer), pack(one, refer)] for key, one in pairs]]
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
    if isinstance(value, VIEWS) or (isinstance(value, Iterator) and not callable(value)):
        items: Iterable[Any] = value  # type: ignore[assignment]
        given = [pack(one, refer) for one in itertools.islice(items, MOST_ITEMS)]
        return ["keys" if isinstance(value, VIEWS[0]) else "iterator", given]
    return refer(value)


def unpack(value: Any, resolve: Callable[[int, str], Any]) -> Any:
    """What `pack` was given; `resolve` makes something of references. Raises Broken."""
    if not isinstance(value, list):
        return value
    try:
        return _unpacked(value, resolve)
    except (ValueError, TypeError, IndexError, KeyError, ArithmeticError) as error:
        raise Broken(f"not a value: {error}") from None


def _unpacked(value: list[Any], resolve: Callable[[int, str], Any]) -> Any:
    kind, content, *rest = value
    if kind == "object":
        return resolve(int(content), str(rest[0]))
    if kind in ("bytes", "Decimal", "Fraction", "complex", "range"):
        return _rare(kind, content)
    if kind == "dict":
        return {unpack(key, resolve): unpack(one, resolve) for key, one in content}
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
