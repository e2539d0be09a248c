"""What the rows of a summary have in common, for those who read them and must not import it."""

from typing import Protocol


class Figure(Protocol):
    """A figure of a method with k draws."""

    @property
    def method(self) -> str: ...

    @property
    def metric(self) -> str: ...

    @property
    def k(self) -> int: ...


class Measured(Figure, Protocol):
    """A mean with its interval."""

    @property
    def value(self) -> float: ...

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...
