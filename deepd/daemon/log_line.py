"""LogLine: one line of a session's log, and how events and chunks of output become lines. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from deepd.model.call import Chunk
from deepd.model.event import Event, told
from deepd.sandbox.expression import compile_lines

MAX_LINE = 4096
"""Characters of one line; the rest of a longer one is cut, and said."""

Raw = tuple[int, bytes]
"""A line before it is text: its stream, and its bytes."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line."""

    number: int
    """Of the event that it belongs to; lines after it come with a larger one."""
    at: float
    kind: str
    """An event's kind, `output`, or `skipped` where lines are missing that came too fast."""
    call: str
    stream: int
    """1 stdout, 2 stderr, 0 for an event."""
    text: str


class Search:
    """Decides which lines are wanted: those with a text as it is, or `re:` and an expression."""

    def __init__(self, wanted: str) -> None:
        self.wants_all = not wanted
        self._wanted = wanted
        self._expression = (
            compile_lines(wanted.removeprefix("re:")) if wanted.startswith("re:") else None
        )

    def finds(self, line: LogLine) -> bool:
        """Whether a line is wanted."""
        if self._expression is not None:
            return self._expression.search(line.text.encode(errors="replace")) is not None
        return self._wanted in line.text


class Splitter:
    """Makes lines of the chunks of one call, each stream for itself."""

    def __init__(self, number: int, at: float, call: str) -> None:
        self.number = number
        self.at = at
        self._call = call
        self._rest: dict[int, bytes] = {}

    def split(self, chunk: Chunk) -> list[Raw]:
        """Return the lines that a chunk ends."""
        stream = chunk.stream
        *whole, rest = (self._rest.get(stream, b"") + chunk.data).split(b"\n")
        while len(rest) > 4 * MAX_LINE:
            whole.append(rest[: 4 * MAX_LINE])
            rest = rest[4 * MAX_LINE :]
        self._rest[stream] = rest
        return [(stream, line) for line in whole]

    def end(self) -> list[Raw]:
        """Return what is left without a line's end."""
        return [(stream, rest) for stream, rest in sorted(self._rest.items()) if rest]

    def line(self, raw: Raw) -> LogLine:
        """Return a line as text."""
        stream, data = raw
        text = data.removesuffix(b"\r").decode(errors="replace")
        return LogLine(self.number, self.at, "output", self._call, stream, _cut(text))

    def wanted(self, raws: list[Raw], search: Search) -> list[Raw]:
        """Return those that are wanted; where all are, none has to become text for that."""
        return raws if search.wants_all else [raw for raw in raws if search.finds(self.line(raw))]


def line_of(event: Event) -> LogLine:
    """Return an event as a line."""
    return LogLine(event.id, event.at, event.kind, event.call, 0, _cut(told(event.data)))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}… ({len(text)} characters)"
