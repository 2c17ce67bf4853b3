"""Where each key and value of a TOML text is; the standard library tells only what they are.

The scan comes before `tomllib` and is what bounds it: some texts of a few kilobytes, such as a key
of 30,000 parts, keep `tomllib` busy for minutes. So the scan also counts parts, depth and values.
It accepts a little more than TOML does (`1x` passes as a number); `tomllib` has the last word.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass

MAX_DEPTH = 8
MAX_VALUES = 2_000
MAX_NUMBER = 64
"""Characters of a number, boolean or date: `tomllib` makes an int of any length."""

_TOO_DEEP = f"nested deeper than {MAX_DEPTH}"

Path = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_BLANK_LINES = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_END_OF_LINE = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG_BASIC = re.compile(r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}')
_LONG_LITERAL = re.compile(r"'''(?:[^']|'(?!''))*'{3,5}")
_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:[0-9:.Z+-]*")
_PLAIN = re.compile(r"[A-Za-z0-9+_.:-]+")


@dataclass(frozen=True, slots=True)
class Span:
    """Characters from `start` up to `end`."""

    start: int
    end: int


@dataclass(slots=True)
class Place:
    """Where one key and its value are; a table made by a header or a dotted key has no value."""

    key: Span
    value: Span | None = None


class ScanError(Exception):
    """The text is no TOML from `at` on; `reason` is empty where `tomllib` can say why."""

    def __init__(self, at: int, reason: str = "") -> None:
        super().__init__(reason or "not TOML")
        self.at = at
        self.reason = reason


def scan(text: str) -> dict[Path, Place]:
    """Return the place of every key and array item; line ends must be single newlines."""
    return _Scanner(text).document()


class _Scanner:
    """One walk over a text; each method begins at `at` and leaves it behind what it read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places: dict[Path, Place] = {}
        self.tables: dict[Path, int] = {}
        """How many `[[tables]]` a path has."""

    def document(self) -> dict[Path, Place]:
        table: Path = ()
        self._skip(_BLANK_LINES)
        while self.at < len(self.text):
            if self._sees("["):
                table = self._header()
            else:
                self._key_and_value(table)
            self._expect(_END_OF_LINE)
            self._skip(_BLANK_LINES)
        return self.places

    def _header(self) -> Path:
        array = self._sees("[[")
        self.at += 2 if array else 1
        parts = self._key()
        self._take("]]" if array else "]")
        path: Path = ()
        for number, (name, span) in enumerate(parts, 1):
            path = (*path, name)
            self._add(path, span)
            if number == len(parts):
                self.places[path].key = span
                if array:
                    self.tables[path] = self.tables.get(path, 0) + 1
            if path in self.tables:
                path = (*path, self.tables[path] - 1)
                self._add(path, span)
        return path

    def _key_and_value(self, table: Path) -> None:
        parts = self._key()
        self._take("=")
        self._skip(_BLANK)
        path = table
        for name, span in parts:
            path = (*path, name)
            self._add(path, span)
        start = self.at
        if self.places[path].value:
            raise ScanError(parts[-1][1].start, "given twice")
        self._value(path)
        self.places[path].value = Span(start, self.at)

    def _key(self) -> list[tuple[str, Span]]:
        """Read `a . "b"` with the blanks around it."""
        parts: list[tuple[str, Span]] = []
        while True:
            self._skip(_BLANK)
            if len(parts) >= MAX_DEPTH:
                raise ScanError(self.at, _TOO_DEEP)
            start = self.at
            if match := _BARE_KEY.match(self.text, start):
                name = match[0]
            elif match := (_BASIC.match(self.text, start) or _LITERAL.match(self.text, start)):
                name = self._unquoted(match[0])
            else:
                raise ScanError(start)
            self.at = match.end()
            parts.append((name, Span(start, self.at)))
            self._skip(_BLANK)
            if not self._sees("."):
                return parts
            self.at += 1

    def _unquoted(self, quoted: str) -> str:
        try:
            return next(iter(tomllib.loads(f"{quoted}=0")))
        except tomllib.TOMLDecodeError as error:
            raise ScanError(self.at) from error

    def _value(self, path: Path) -> None:
        first = self.text[self.at : self.at + 1]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        elif first == '"':
            self._expect(_LONG_BASIC if self._sees('"""') else _BASIC)
        elif first == "'":
            self._expect(_LONG_LITERAL if self._sees("'''") else _LITERAL)
        else:
            self._plain()

    def _plain(self) -> None:
        start = self.at
        self._expect(_DATE_AND_TIME if _DATE_AND_TIME.match(self.text, start) else _PLAIN)
        if self.at - start > MAX_NUMBER:
            raise ScanError(start, f"longer than {MAX_NUMBER} characters")

    def _array(self, path: Path) -> None:
        self.at += 1
        number = 0
        while not self._closes("]"):
            item = (*path, number)
            start = self.at
            self._add(item, Span(start, start))
            self._value(item)
            self.places[item] = Place(Span(start, self.at), Span(start, self.at))
            number += 1
            self._comma_unless("]")

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while not self._closes("}"):
            self._key_and_value(path)
            self._comma_unless("}")

    def _closes(self, bracket: str) -> bool:
        self._skip(_BLANK_LINES)
        closes = self._sees(bracket)
        self.at += closes
        return closes

    def _comma_unless(self, bracket: str) -> None:
        self._skip(_BLANK_LINES)
        if not self._sees(bracket):
            self._take(",")

    def _add(self, path: Path, key: Span) -> None:
        if len(path) > MAX_DEPTH:
            raise ScanError(key.start, _TOO_DEEP)
        self.places.setdefault(path, Place(key))
        if len(self.places) > MAX_VALUES:
            raise ScanError(key.start, f"more than {MAX_VALUES} values")

    def _sees(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def _take(self, text: str) -> None:
        if not self._sees(text):
            raise ScanError(self.at)
        self.at += len(text)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _expect(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ScanError(self.at)
        self.at = match.end()
