"""Lines: which lines of a file match, as people number and read them; pure."""

from __future__ import annotations

from deepd.model.files import Match
from deepd.sandbox.expression import compile_lines

MAX_LINE = 2_000
"""Characters that are shown of a line."""
MAX_TEXT = 16 << 20
"""Characters that are kept of all lines together."""


class LineSearch:
    """Looks for one expression in many files until it has found enough."""

    def __init__(self, pattern: str, limit: int) -> None:
        self.found: list[Match] = []
        self.full = limit <= 0
        """No more is wanted."""
        self._expression = compile_lines(pattern)
        self._latin = compile_lines(pattern, latin=True)
        self._limit = limit
        self._room = MAX_TEXT

    def search(self, path: str, data: bytes) -> None:
        """Add the lines of one file that match, each once."""
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        expression = self._expression if is_utf8(data) else self._latin
        number, counted, position = 1, 0, 0
        while position < len(data) and not self.full:
            match = expression.search(data, position)
            # An expression that matches nothing at all matches behind the last line end too.
            if match is None or match.start() >= len(data):
                return
            start = data.rfind(b"\n", position, match.start()) + 1 or position
            end = data.find(b"\n", match.start())
            end = len(data) if end < 0 else end
            number += data.count(b"\n", counted, start)
            counted = start
            self._add(Match(path, number, shown_line(data, start, end)))
            position = end + 1

    def _add(self, match: Match) -> None:
        self.found.append(match)
        self._room -= len(match.line)
        self.full = len(self.found) >= self._limit or self._room <= 0


def is_utf8(data: bytes) -> bool:
    """Tell whether all of it is text."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def shown_line(data: bytes, start: int, end: int) -> str:
    """Return a line as text, its beginning when it is long; bytes that are no text as `\\xff`."""
    # A character has at most four bytes; one that is cut in two is beyond what is shown.
    line = data[start : min(end, start + 4 * MAX_LINE + 4)].decode(errors="backslashreplace")
    if len(line) <= MAX_LINE and end - start <= 4 * MAX_LINE + 4:
        return line
    return f"{line[:MAX_LINE]}… [{end - start:,} bytes]"
