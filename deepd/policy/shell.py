"""What a command says, as far as it is read here: words, simple commands, and doubts about them."""

from __future__ import annotations

import re
from functools import cache, partial
from typing import NamedTuple

MAX_BYTES = 8 << 10
"""Of a command that is read; the grammar takes quadratic time on some texts, and has no timeout."""
MAX_SIGNS = 160
"""Of operators, quotes and expansions in it: the grammar's time grows with their square."""
MAX_BLANKS = 512
"""Between its words: each word is some microseconds."""

_SIGNS = b"|&;()<>{}[]*?@~$`\"'\\\n#!="

_LONG_NUMBER = re.compile(rb"[0-9]{512}")
_QUOTED = re.compile(r"[^A-Za-z0-9_@%+=:,./^!-]")


@cache
def names(text: str) -> frozenset[str]:
    """Return the names in a text with blanks between them."""
    return frozenset(text.split())


SHELLS = names("sh bash dash ash zsh ksh mksh fish csh tcsh")


class Span(NamedTuple):
    """Bytes of the command from `start` up to `end`."""

    start: int
    end: int


class Word(NamedTuple):
    """One word, its quotes removed."""

    text: str
    """Expansions stand as they are written."""
    is_open: bool = False
    """What an expansion makes of it is not known: any words, or none."""

    def __str__(self) -> str:
        return self.text


class Command(NamedTuple):
    """One simple command: a program and its arguments."""

    words: tuple[Word, ...]
    span: Span
    """Where it is written; of what a wrapper runs, the place of the wrapper."""
    is_inner: bool = False
    """Another command runs it, or it is in a text for another shell."""

    @property
    def name(self) -> str:
        """The program, when it is known; else nothing."""
        return "" if not self.words or self.words[0].is_open else self.words[0].text

    def __str__(self) -> str:
        return " ".join(word.text for word in self.words)


class Redirection(NamedTuple):
    """A file that a command is connected to."""

    path: str
    writes: bool
    span: Span


class Doubt(NamedTuple):
    """Why a command is not proven to do only what it seems to."""

    reason: str
    span: Span


make_word = partial(tuple.__new__, Word)
make_span = partial(tuple.__new__, Span)
make_command = partial(tuple.__new__, Command)
"""Each makes its kind of a tuple with all the fields, in half of the time of a call by name."""


def quoted(text: str) -> str:
    """Return a word as it may be written in a command, or in a pattern."""
    if text and not _QUOTED.search(text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


class UnprovenError(Exception):
    """The command is more than what can be proven; `doubt` says where and why."""

    def __init__(self, reason: str, start: int, end: int) -> None:
        super().__init__(reason)
        self.doubt = Doubt(reason, Span(start, end))


def is_too_much(source: bytes) -> bool:
    """Return whether reading a command could take longer than a decision may."""
    if len(source) > MAX_BYTES:
        return True
    if len(source) <= MAX_SIGNS:
        return False  # too short to have too many of anything
    if len(source) - len(source.translate(None, _SIGNS)) > MAX_SIGNS:
        return True
    blanks = len((b"^" + source + b"$").split()) - 1  # those around its words, too
    return blanks > MAX_BLANKS or _LONG_NUMBER.search(source) is not None


def to_bytes(text: str) -> bytes:
    """Return what the shell would be given; also of text that is not Unicode."""
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    """Return bytes of a command as text; a part of a character is shown as one that is none."""
    return data.decode("utf-8", "replace")
