"""Document: the values of a TOML file together with the place of each."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from deepd.config.problem import Problem
from deepd.config.source import Source
from deepd.config.toml_positions import Path, Place, ScanError, Span, scan
from deepd.model.profile import Position

_TOMLLIB_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, and where it says it."""

    source: Source
    values: dict[str, Any]
    places: dict[Path, Place]

    def at(self, path: Path) -> Position:
        """Return where a key is, or the nearest key around it."""
        return self.source.position(self._place(path).key.start)

    def at_value(self, path: Path) -> Position:
        """Return where a value is."""
        place = self._place(path)
        return self.source.position((place.value or place.key).start)

    def key_problem(self, path: Path, message: str, hint: str = "") -> Problem:
        """Return a problem with a key."""
        span = self._place(path).key
        return self.source.problem(span.start, span.end, message, hint)

    def value_problem(self, path: Path, message: str, hint: str = "") -> Problem:
        """Return a problem with a value; with the key that made it, where it is a table."""
        place = self._place(path)
        span = place.value or place.key
        return self.source.problem(span.start, span.end, message, hint)

    def _place(self, path: Path) -> Place:
        while path and path not in self.places:
            path = path[:-1]
        return self.places[path] if path else Place(Span(0, 0))


def parse_document(source: Source) -> Document | Problem:
    """Return what the text says, or the one place where it stops being TOML that we read."""
    try:
        places = scan(source.text)
    except ScanError as error:
        return _explain(source, error)
    try:
        values = tomllib.loads(source.text)
    except ValueError as error:
        return _syntax_problem(source, str(error))
    return Document(source, values, places)


def _explain(source: Source, error: ScanError) -> Problem:
    """Let `tomllib` say what is wrong, but show it nothing that the scan has not bounded."""
    end = source.text.find("\n", error.at)
    end = end if end >= 0 else len(source.text)
    if error.reason:
        return source.problem(error.at, error.at + 1, f"this is {error.reason}")
    try:
        tomllib.loads(source.text[:end])
    except ValueError as syntax:
        if str(syntax).startswith("Unterminated"):
            # Where it begins says more than where the line or the file ends.
            return source.problem(error.at, end, "not valid TOML: unterminated string")
        return _syntax_problem(source, str(syntax), end)
    return source.problem(error.at, error.at + 1, "this is not TOML")


def _syntax_problem(source: Source, message: str, end: int | None = None) -> Problem:
    text = source.text[:end]
    place = _TOMLLIB_PLACE.search(message)
    message = message[: place.start()] if place else message
    if place and place[1]:
        lines = text.split("\n")
        line, column = int(place[1]), int(place[2])
        offset = sum(len(before) + 1 for before in lines[: line - 1]) + column - 1
    else:
        offset = len(text.rstrip("\n"))
    offset = min(offset, len(source.text))
    return source.problem(offset, offset + 1, f"not valid TOML: {message[:1].lower()}{message[1:]}")
