"""Prompts with {fields}: names only, so that a template can't reach into anything."""

from collections.abc import Callable
from string import Formatter

from actors.types import ConfigError
from pipelines.tasks.files import Row


class Template:
    """`Template("prompt", "Q: {question}").fill(row)`; a brace of its own is doubled.

    Raises ConfigError for unbalanced braces, empty names, attributes, indices, conversions and
    format specifications.
    """

    def __init__(self, name: str, text: str) -> None:
        try:
            parts = list(Formatter().parse(text))
        except ValueError as e:
            raise ConfigError(f"task.{name}: {e}; write a brace of its own twice") from e
        self._parts: list[tuple[str, str | None]] = []
        for literal, field, specification, conversion in parts:
            if field is not None and (
                not field.strip() or set(field) & set(".[]") or specification or conversion
            ):
                raise ConfigError(
                    f"task.{name}: {{{field}}} isn't a plain field name; only {{name}} is allowed, "
                    "and a brace of its own is written twice"
                )
            self._parts.append((literal, field))

    @property
    def only_field(self) -> str | None:
        """The name of the field, if the template is nothing but one."""
        if len(self._parts) == 1 and not self._parts[0][0]:
            return self._parts[0][1]
        return None

    def fill(self, row: Row, written: Callable[[str], str] = str) -> str:
        """Put a row's values in, each as `written` has it. Raises ConfigError for a field that is
        missing or isn't text.
        """
        filled = (
            literal + ("" if field is None else written(row.text(field)))
            for literal, field in self._parts
        )
        return "".join(filled)
