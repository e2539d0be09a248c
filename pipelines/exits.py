"""How a command ends badly: what is said, and the exit code."""

import sys
from typing import TYPE_CHECKING

from typer.exceptions import TyperException

from actors.types import ConfigError, EngineError
from results.errors import ResultsError

if TYPE_CHECKING:
    from results.summary import Summary

FAILED = 4
"""The exit code of a cluster or an engine that failed."""
INTERRUPTED = 130


class Interrupted(Exception):
    """A run was interrupted; the message says what goes on with it."""

    def __init__(self, command: str | None) -> None:
        super().__init__(f"`{command}`" if command else "the same command")

    def __str__(self) -> str:
        return f"interrupted; {self.args[0]} goes on with what is not committed"


def too_many_failed(summary: "Summary", max_failed: float) -> int:
    """Exit code 3 when more items failed than allowed: a share below 1, a count from 1 on."""
    failed = summary.items_failed
    allowed = max_failed if max_failed >= 1 else max_failed * sum(summary.items.values())
    if failed <= allowed:
        return 0
    print(f"{failed} items failed; max_failed allows {allowed:g}", file=sys.stderr)
    return 3


def explain(error: Exception) -> int:
    """Print the lines that a user needs; returns the exit code. An error without a name here is
    a bug: re-raised.
    """
    if isinstance(error, TyperException):
        print(f"lilliput: {error.format_message()}; see `lilliput --help`", file=sys.stderr)
        return 2
    codes = ((ConfigError, 2), (ResultsError, 2), (EngineError, FAILED))
    for kind, code in codes:
        if isinstance(error, kind):
            print(f"lilliput: {error}", file=sys.stderr)
            return code
    raise error
