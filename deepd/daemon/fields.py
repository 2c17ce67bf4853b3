"""Fields: takes a JSON object apart, each value checked, and refuses what is left over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepd.errors import ArgumentsError

MAX_PATH = 4095


class Fields:
    """Takes fields out of the arguments, each checked, and refuses what is left over."""

    def __init__(self, tool: str, args: Mapping[str, Any]) -> None:
        self._tool = tool
        self._left = dict(args)
        self._known: list[str] = []

    def take(self, name: str, kind: type | tuple[type, ...], what: str) -> Any:
        """Return a field's value, or `None` when it is missing or null."""
        self._known.append(name)
        value = self._left.pop(name, None)
        # bool is an int to Python and never one to a person.
        if value is not None and (
            not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        ):
            raise self.error(name, f"must be {what}")
        return value

    def text(self, name: str, most: int, default: str | None = None) -> str:
        """Return a text; without a default it is required."""
        value = self.optional_text(name, most)
        if value is None:
            if default is None:
                raise self.error(name, "is missing")
            return default
        return value

    def optional_text(self, name: str, most: int) -> str | None:
        """Return a text that can be sent as bytes and fits."""
        value: str | None = self.take(name, str, "a text")
        if value is not None:
            self.check_text(name, value, most)
        return value

    def path(self, name: str, default: str | None = None) -> str:
        """Return a path, not empty."""
        value = self.text(name, MAX_PATH, default)
        if not value:
            raise self.error(name, "is empty")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = self.take(name, bool, "true or false")
        return default if value is None else value

    def number(self, name: str, least: int, most: int) -> int | None:
        """Return a whole number within bounds."""
        value: int | None = self.take(name, int, "a whole number")
        if value is not None and not least <= value <= most:
            raise self.error(name, f"must be from {least} to {most}")
        return value

    def check_text(self, name: str, value: str, most: int) -> None:
        """Refuse what no program can be given: NUL, half a character, too many bytes."""
        if "\0" in value:
            raise self.error(name, "has a NUL character in it")
        try:
            size = len(value.encode(errors="surrogateescape"))
        except UnicodeEncodeError:
            raise self.error(name, "is not valid Unicode (a lone surrogate)") from None
        if size > most:
            raise self.error(name, f"is {size} bytes long; at most {most} fit")

    def end(self) -> None:
        """Refuse every field that nobody took."""
        for name in self._left:
            from difflib import get_close_matches  # noqa: PLC0415 - only a typo needs it

            near = get_close_matches(str(name), self._known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(self._known)}"
            raise ArgumentsError(
                f"{self._tool}: unknown argument {str(name)[:80]!r}; {hint}", next_step=hint
            )

    def error(self, name: str, problem: str) -> ArgumentsError:
        """Return the refusal of one field."""
        return ArgumentsError(f"{self._tool}: {name} {problem}")
