"""Page: the lines of a file that were asked for, and how to get at the others; pure."""

from __future__ import annotations

from deepd.errors import ArgumentsError, TooLargeError

MAX_PAGE = 32 << 20
"""Bytes of the lines that are kept; a page is for people and models."""
END_OF_FILE = "[End of file]"


class Page:
    """Takes a file piece by piece and keeps `limit` lines from line `offset` on."""

    def __init__(self, offset: int, limit: int) -> None:
        if offset < 0 or limit < 1:
            raise ArgumentsError("the offset must be 0 or more, and the limit 1 or more")
        self._first = offset
        self._end = offset + limit
        self._kept: list[bytes] = []
        self._room = MAX_PAGE
        self._number = 0
        """The line that the next byte is in."""
        self._is_begun = False
        """Whether that line has a byte already."""

    def feed(self, piece: bytes) -> None:
        """Take more of the file; raise `TooLargeError` when the page gets too large."""
        start = 0
        if self._number < self._end:
            start = self._feed_lines(piece)
        # What is behind the page is only counted.
        rest = memoryview(piece)[start:]
        if rest:
            self._number += piece.count(b"\n", start)
            self._is_begun = not piece.endswith(b"\n")

    def _feed_lines(self, piece: bytes) -> int:
        start = 0
        while start < len(piece) and self._number < self._end:
            newline = piece.find(b"\n", start)
            end = len(piece) if newline < 0 else newline + 1
            if self._number >= self._first:
                self._keep(piece[start:end])
            self._is_begun = newline < 0
            self._number += newline >= 0
            start = end
        return start

    def _keep(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room < 0:
            raise TooLargeError(
                f"the lines are larger than {MAX_PAGE >> 20} MiB",
                next_step="ask for fewer lines, or use read_bytes",
            )
        self._kept.append(data)

    def text(self) -> str:
        """Return the page, with a last line that says how much comes behind it."""
        lines = self._number + self._is_begun
        if self._first and self._first >= lines:
            return END_OF_FILE
        text = b"".join(self._kept).decode(errors="replace")
        if lines <= self._end:
            return text
        more = lines - self._end
        return f"{text}[... {more} more lines. Use offset={self._end} to read more.]"
