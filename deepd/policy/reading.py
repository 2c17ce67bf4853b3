"""What a command is read as: all that it may run, and whether that is proven to be all.

Two readers look at it. What the grammar finds anywhere is what `deny` and `ask` look at. What
`allow` looks at is proven only if the strict reader takes the command and both read the very same
words: a mistake of one alone opens nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from deepd.policy import grammar
from deepd.policy.proven import Simple, check_words, read_simple
from deepd.policy.shell import (
    MAX_SIGNS,
    SHELLS,
    Command,
    Doubt,
    Redirection,
    Span,
    UnprovenError,
    Word,
    is_too_much,
    to_bytes,
)
from deepd.policy.wrapper import NOTHING, Inner, unwrap

_HALF = re.compile("[\ud800-\udfff]")
MAX_DEPTH = 6
"""Of commands inside of commands: `sudo env sh -c '…'` is three."""
MAX_READ = 64
"""Of texts inside of a command that are read as commands themselves."""
MAX_COMMANDS = 256
MAX_SHORT = 512
"""Bytes of a text with a reading that costs next to nothing to let go of."""


class Reading(NamedTuple):
    """One command, read."""

    texts: tuple[str, ...]
    """The whole command, and the texts in it that run as commands."""
    commands: tuple[Command, ...]
    """All simple commands that were found anywhere, those inside of wrappers too."""
    proven: tuple[Command, ...]
    """Those that must be allowed, all of them; empty where not all is proven."""
    redirections: tuple[Redirection, ...] = ()
    reads: tuple[Word, ...] = ()
    """The files that a redirection anywhere opens for reading."""
    moves: bool = False
    doubt: Doubt | None = None
    """Why it is not proven."""
    hidden: bool = False
    """Some of what it runs cannot be seen, so that no rule can exclude it."""
    is_read: bool = True
    """Nobody has even looked at what is no text, or too long."""


def read_command(text: str) -> Reading:
    """Return the reading of a text that a shell would run."""
    if len(text) <= MAX_SIGNS and text.isascii():
        return kept_short(text)  # as most are: nothing in it can be too much
    source = to_bytes(text)
    if reason := _unreadable(text, source):
        doubt = Doubt(reason, Span(0, len(source)))
        return Reading((text,), (), (), doubt=doubt, hidden=True, is_read=False)
    return kept_short(text) if len(source) <= MAX_SHORT else kept_long(text)


def _read(text: str) -> Reading:
    source = to_bytes(text)
    found = grammar.parse(source)
    search = _Search()
    search.read(text, found, Span(0, len(source)), 0)
    try:
        simple = read_simple(text)
        proven = _agreed(simple, found)
        if search.wraps:
            proven = _proven(proven)
    except UnprovenError as error:
        return search.reading(text, _whole_form(error.doubt, found))
    return Reading(
        (text, *search.texts),
        tuple(search.commands),
        proven,
        simple.redirections,
        tuple(search.reads),
        simple.moves,
    )


# A call is decided, explained and bound in a row, so a reading is kept for a while. Long ones are
# kept apart: to free one takes longer than to read an ordinary command, which must not wait for it.
kept_short = lru_cache(maxsize=32)(_read)
kept_long = lru_cache(maxsize=4)(_read)


def read_words(argv: tuple[str, ...]) -> Reading:
    """Return the reading of words that run as they are, without a shell."""
    text = " ".join(argv)
    command = Command(tuple(map(Word, argv)), Span(0, len(to_bytes(text))))
    search = _Search()
    search.add(command, 0)
    try:
        _refuse_strange_name(command)
        proven = _proven((command,), by_shell=False)
    except UnprovenError as error:
        return search.reading(text, error.doubt)
    return Reading((text, *search.texts), tuple(search.commands), proven)


def _unreadable(text: str, source: bytes) -> str:
    """Return why a command is not even looked at."""
    if not text.isascii() and _HALF.search(text):
        return "it has half of a character"
    return "it is too long to be read" if is_too_much(source) else ""


class _Search:
    """Collects every command, inside of wrappers and of texts for other shells too."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.texts: list[str] = []
        self.reads: list[Word] = []
        self.hidden = False
        self.wraps = False

    def read(self, text: str, found: grammar.Found, place: Span, depth: int) -> None:
        """Add what the grammar found in a text; of an inner text all stands at its place."""
        for command in found.commands:
            own = command if depth == 0 else Command(command.words, place, is_inner=True)
            self.add(own, depth)
        for name, given in found.inputs:
            if name in SHELLS:
                self._read_inner(given, place, depth)
        self.reads += found.reads
        if depth:
            self.texts.append(text)
        self.hidden |= bool(found.doubts)

    def add(self, command: Command, depth: int) -> None:
        """Add a command and all that it runs."""
        if len(self.commands) >= MAX_COMMANDS or depth > MAX_DEPTH:
            self.hidden = self.wraps = True
            return
        self.commands.append(command)
        inner = unwrap(command.words)
        if inner is NOTHING:
            return
        self.wraps = True
        self.hidden |= inner.hidden
        for words in inner.commands:
            if len(self.commands) >= MAX_COMMANDS:
                self.hidden = True
                return
            self.add(Command(words, command.span, is_inner=True), depth + 1)
        for text in inner.texts:
            self._read_inner(text, command.span, depth)

    def reading(self, text: str, doubt: Doubt) -> Reading:
        """Return the reading of what is not proven."""
        texts, commands = (text, *self.texts), tuple(self.commands)
        return Reading(texts, commands, (), reads=tuple(self.reads), doubt=doubt, hidden=True)

    def _read_inner(self, text: str, place: Span, depth: int) -> None:
        source = to_bytes(text)
        if depth >= MAX_DEPTH or len(self.texts) >= MAX_READ or is_too_much(source):
            self.hidden = True
            return
        self.read(text, grammar.parse(source), place, depth + 1)


def _agreed(simple: Simple, found: grammar.Found) -> tuple[Command, ...]:
    """Return the commands as the strict reader read them, if the grammar reads the same."""
    if found.doubts:
        doubt = found.doubts[0]
        raise UnprovenError(doubt.reason, *doubt.span)
    agreed: list[Command] = []
    for (words, span), other in zip(simple.commands, found.commands, strict=False):
        same, place, _ = other
        if words != same:
            raise UnprovenError("it can be read in two ways", *span)
        agreed.append(other if span == place else Command(same, Span(*span)))
    is_same = len(simple.commands) == len(found.commands)
    if not is_same or len(simple.redirections) > found.redirections:
        raise UnprovenError("it can be read in two ways", *simple.commands[0][1])
    return tuple(agreed)


def _whole_form(doubt: Doubt, found: grammar.Found) -> Doubt:
    """Return a doubt with all of the form that begins where it is, as the grammar sees it."""
    ends = [other.span.end for other in found.doubts if other.span.start == doubt.span.start]
    return Doubt(doubt.reason, Span(doubt.span.start, max([doubt.span.end, *ends])))


def _proven(commands: tuple[Command, ...], *, by_shell: bool = True) -> tuple[Command, ...]:
    """Return the commands and what their wrappers run; all of them must be allowed."""
    found: list[Command] = []
    waiting = [(command, 0) for command in reversed(commands)]
    while waiting:
        command, depth = waiting.pop()
        found.append(command)
        inner = unwrap(command.words)
        if inner is NOTHING:
            continue
        if inner.hidden or inner.texts or depth > MAX_DEPTH:
            reason = inner.reason or f"`{command.name}` runs a text as a command"
            raise UnprovenError(reason, command.span.start, command.span.end)
        waiting += [(_inner(words, command, inner), depth + 1) for words in inner.commands]
    if by_shell:
        for command in found:
            if command.is_inner:  # the strict reader has looked at the others
                check_words(command.words, command.span)
    return tuple(found)


def _inner(words: tuple[Word, ...], outer: Command, inner: Inner) -> Command:
    if not words or words[0].is_open:
        reason = inner.reason or f"what `{outer.name}` runs comes from an expansion"
        raise UnprovenError(reason, outer.span.start, outer.span.end)
    return Command(words, outer.span, is_inner=True)


def _refuse_strange_name(command: Command) -> None:
    name = command.name
    if not (name.isascii() and name.isprintable()):
        raise UnprovenError("what it runs has an unusual name", *_ends(command.span))


def _ends(span: Span) -> tuple[int, int]:
    return span.start, span.end
