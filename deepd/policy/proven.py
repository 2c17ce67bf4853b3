"""A strict reader of commands: lists of plain simple commands, which every shell reads alike.

It is one of the two readers that must agree before a command is allowed (`reading.py`); the other
one is the grammar. It knows few forms and refuses all others, so that what it accepts means the
same in bash, dash and busybox:

    script    command (("&&" | "||" | "|" | ";" | newline) command)*
    command   "!"? (word | redirection)+, where the first word is a plain name
    word      plain characters, '…', "…", \\c, $name, ${name} and file name patterns
"""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from deepd.policy.shell import (
    Command,
    Redirection,
    Span,
    UnprovenError,
    Word,
    names,
    to_bytes,
    to_text,
)

RESERVED = names(
    "if then else elif fi for while until do done case esac in function select time coproc "
    "{ } [[ ]] ! namespace"
)

_SAFE_BUILTINS = frozenset({":", "true", "false", "echo", "pwd", "cd", "exit", "sleep", "kill"})
_BUILTINS = names(
    ". : [ alias bg bind break builtin caller cd chdir command compgen complete compopt continue "
    "declare dirs disown echo enable eval exec exit export false fc fg getopts hash help history "
    "jobs kill let local logout mapfile popd printf pushd pwd read readarray readonly return set "
    "shift shopt source suspend test times trap true type typeset ulimit umask unalias unset wait "
    "print whence autoload newgrp"
)
_MARKED = {"printf": "-v", "test": "-v -R"}
"""Builtins of which only some options do more than print or compare."""

_BLANK = re.compile(rb"[ \t](?:[ \t]|\\\n)*")
_BLANKS = rb"(?:[ \t](?:[ \t]|\\\n)*)?"
"""What is between two words, taken together with what stands before it."""
_COMMENT = re.compile(rb"#[^\n]*")
_OPERATOR = re.compile(rb"(&&|\|\||\|(?!&)|;(?!;)|\n)" + _BLANKS)
_REDIRECTION = re.compile(rb"([0-2]?)(>>|>|<)(?![<>&|(])")
_DUPLICATE = re.compile(rb"[0-2]?>&[0-2](?=[ \t\n;|&]|\Z)")
_PLAIN = re.compile(rb"[A-Za-z0-9_@%+=:,./^!\]-]+")
_PLAIN_WORD = re.compile(rb"([A-Za-z0-9_@%+=:,./^!\]-]+)(?=[ \t\n;|&]|\Z)" + _BLANKS)
"""A word without quotes and expansions, as most of all words are."""
_PATTERN = re.compile(rb"[*?\[{}~]+")
_HASH = re.compile(rb"#+")
_ESCAPED = re.compile(rb"\\([\x21-\x7e ])")
_SINGLE = re.compile(rb"'([^']*)'")
_EXPANSION = re.compile(rb"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\}|[0-9?#$@*!-])")
_IN_DOUBLE = re.compile(rb'[^"$`\\]+|\\[$`"\\]|\\(?=[^\n$`"\\])|\$(?=[" )|])')
_NAME = re.compile(r"[A-Za-z0-9_./+@,:-]+", re.ASCII)
_ASSIGNMENT = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*\+?=")
_STRANGE = re.compile(r"[^\t\n\x20-\x7e]")


class Simple(NamedTuple):
    """A command of which all is known: which programs it runs, and which files it opens."""

    commands: tuple[Command, ...]
    redirections: tuple[Redirection, ...]
    moves: bool
    """A `cd` in it: relative paths then mean other files."""


def read_simple(text: str) -> Simple:
    """Return what a command runs; `UnprovenError` for all that is not plain."""
    _refuse_strange(text)
    return _Reader(to_bytes(text)).script()


def check_words(command: Command) -> None:
    """Refuse programs of which the name does not tell what they do to the shell itself."""
    name, span = command.name, command.span
    if command.words[0].is_open:
        raise UnprovenError("what it runs comes from an expansion", span.start, span.end)
    if not _NAME.fullmatch(name):
        raise UnprovenError("what it runs has an unusual name", span.start, span.end)
    if name in _MARKED:
        options = _MARKED[name].split()
        if any(word.is_open or word.text.startswith(tuple(options)) for word in command.words[1:]):
            raise UnprovenError(
                f"`{name}` can set a variable, or run what is in one", span.start, span.end
            )
    elif name in _BUILTINS and name not in _SAFE_BUILTINS:
        raise UnprovenError(
            f"`{name}` changes what other commands mean, or runs one", span.start, span.end
        )


def _refuse_strange(text: str) -> None:
    """Refuse control characters, and all that does not look like what it is."""
    if text.isascii() and text.isprintable():
        return
    for found in _STRANGE.finditer(text):
        char = found[0]
        if not char.isprintable():
            at = len(to_bytes(text[: found.start()]))
            reason = f"it has the character U+{ord(char):04X}, which does not show"
            raise UnprovenError(reason, at, at + len(to_bytes(char)))


class _Reader:
    """One walk over the bytes; each step begins at `at`."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.at = 0
        self.commands: list[Command] = []
        self.redirections: list[Redirection] = []
        self.words: list[Word] = []
        self.start = 0
        self.end = 0
        self.negated = False

    def script(self) -> Simple:
        source, size = self.source, len(self.source)
        joined = False
        while self.at < size:
            if self._plain_word():
                continue
            if found := _OPERATOR.match(source, self.at):
                joined = self._operator(found[1], joined=joined)
                self.at = found.end()
            elif self._skip(_BLANK) or self._skip(_COMMENT):
                continue
            elif _DUPLICATE.match(source, self.at) or _REDIRECTION.match(source, self.at):
                self._redirection()
            else:
                self._word()
        if self._finish() or not joined:
            if not self.commands:
                raise UnprovenError("there is no command in it", 0, size)
            moves = any(command.name == "cd" for command in self.commands)
            return Simple(tuple(self.commands), tuple(self.redirections), moves)
        raise UnprovenError("it ends with an operator", self.at, self.at)

    def _plain_word(self) -> bool:
        """Take a plain word, if there is one; the long way round leads to the same."""
        found = _PLAIN_WORD.match(self.source, self.at)
        if found is None:
            return False
        start, raw = self.at, found[1]
        self.at = found.end()
        self._take(Word(raw.decode("ascii")), start, found.end(1), raw)
        return True

    def _operator(self, operator: bytes, *, joined: bool) -> bool:
        """Take an operator; return whether a command must follow."""
        done = self._finish()
        if not done and operator != b"\n":
            raise UnprovenError("nothing is before an operator", self.at, self.at + len(operator))
        if operator == b"\n":
            return joined and not done
        return operator != b";"

    def _finish(self) -> bool:
        """End the simple command that was being read; return whether there was one."""
        if not self.words:
            if self.negated or self.end:
                raise UnprovenError("a command is missing", self.start, self.at)
            return False
        command = Command(tuple(self.words), Span(self.start, self.end))
        check_words(command)
        self.commands.append(command)
        self.words, self.negated, self.end = [], False, 0
        return True

    def _word(self) -> None:
        start = self.at
        word, is_bare = self._read_word()
        self._take(word, start, self.at, self.source[start : self.at], is_bare=is_bare)

    def _take(self, word: Word, start: int, end: int, raw: bytes, *, is_bare: bool = True) -> None:
        """Add a word to the command; its first one can be more than a word."""
        if not self.words:
            if raw == b"!" and not self.negated and not self.end:
                self.negated, self.start = True, start
                return
            if is_bare and word.text in RESERVED:
                raise UnprovenError("compound commands are not read", start, end)
            if _ASSIGNMENT.match(raw):
                raise UnprovenError("an assignment is before the command", start, end)
            if not self.end:
                self.start = start
        self.words.append(word)
        self.end = end

    def _read_word(self) -> tuple[Word, bool]:
        """Read one word; and whether nothing in it was quoted."""
        source = self.source
        start = self.at
        parts: list[bytes] = []
        is_open, is_bare = False, True
        while self.at < len(source):
            at = self.at
            found: re.Match[bytes] | None
            if found := _PLAIN.match(source, at):
                parts.append(found[0])
            elif found := _SINGLE.match(source, at):
                parts.append(found[1])
                is_bare = False
            elif source[at : at + 1] == b'"':
                is_open |= self._double(parts)
                is_bare = False
                continue
            elif found := _ESCAPED.match(source, at):
                parts.append(found[1])
                is_bare = False
            elif found := _PATTERN.match(source, at) or _EXPANSION.match(source, at):
                parts.append(found[0])
                is_open = True
            elif at > start and (found := _HASH.match(source, at)):
                parts.append(found[0])
            if found is None:
                break
            self.at = found.end()
        if self.at == start or not self._at_end_of_word():
            self._refuse()
        text = to_text(b"".join(parts))
        # `{}` alone is what `find` and `xargs` replace: no shell expands it.
        return Word(text, is_open and source[start : self.at] != b"{}"), is_bare

    def _double(self, parts: list[bytes]) -> bool:
        """Read a word's part in double quotes; return whether it has an expansion."""
        source, start = self.source, self.at
        self.at += 1
        is_open = False
        while source[self.at : self.at + 1] != b'"':
            if found := _EXPANSION.match(source, self.at):
                is_open = True
                parts.append(found[0])
            elif found := _IN_DOUBLE.match(source, self.at):
                text = found[0]
                parts.append(text[1:] if len(text) == 2 and text[:1] == b"\\" else text)
            else:
                if self.at >= len(source):
                    raise UnprovenError("a quote is not closed", start, len(source))
                self._refuse()
            self.at = found.end()
        self.at += 1
        return is_open

    def _redirection(self) -> None:
        start = self.at
        if not self.words and not self.end:
            # Legal, and rare enough that the two readers need not agree on it.
            raise UnprovenError("a redirection is before the command", start, start + 1)
        if self._skip(_DUPLICATE):
            self.end = self.at
            return
        found = _REDIRECTION.match(self.source, start)
        assert found is not None  # noqa: S101 - the caller has looked
        self.at = found.end()
        self._skip(_BLANK)
        word, _ = self._read_word()
        span = Span(start, self.at)
        if word.is_open or not word.text:
            raise UnprovenError("the file of a redirection is not known", start, self.at)
        self.redirections.append(Redirection(word.text, found[2] != b"<", span))
        self.end = self.at

    def _at_end_of_word(self) -> bool:
        # Not `<` and `>`: a number or `{name}` just before one is no word but part of it.
        return self.at >= len(self.source) or self.source[self.at] in b" \t\n;|&"

    def _skip(self, pattern: re.Pattern[bytes]) -> bool:
        found = pattern.match(self.source, self.at)
        if found is None:
            return False
        self.at = found.end()
        return True

    def _refuse(self) -> NoReturn:
        """Say what stands where nothing plain does."""
        rest = self.source[self.at : self.at + 2]
        reason = next(
            (reason for sign, reason in _REFUSED if rest.startswith(sign)),
            "it has a character that must be quoted",
        )
        end = min(self.at + 1, len(self.source))
        while end < len(self.source) and self.source[end] & 0xC0 == 0x80:
            end += 1  # the rest of the character
        raise UnprovenError(reason, self.at, end)


_REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"$(", "it has a substitution"),
    (b"`", "it has a substitution"),
    (b"${", "it has an expansion that can do more than give a value"),
    (b"$'", "it has a quote that not every shell knows"),
    (b'$"', "it has a quote that not every shell knows"),
    (b"<<", "it has a here-document"),
    (b"<(", "it has a process substitution"),
    (b">(", "it has a process substitution"),
    (b"(", "it has a subshell or a function"),
    (b")", "it has a subshell or a function"),
    (b"<", "it has a redirection that is not plain"),
    (b">", "it has a redirection that is not plain"),
    (b"&", "it goes on in the background"),
    (b"|&", "it has an operator that not every shell knows"),
    (b"'", "a quote is not closed"),
    (b"\\\n", "a word is broken over two lines"),
    (b"\\", "it ends with a backslash"),
    (b"$", "it has an expansion that not every shell knows"),
)
