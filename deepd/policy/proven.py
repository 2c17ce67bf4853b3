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
import string
from typing import NamedTuple, NoReturn

from deepd.policy.shell import (
    Redirection,
    Span,
    UnprovenError,
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

_PLAIN = re.compile(rb"[A-Za-z0-9_@%+=:,./^!\]-]+")
_END = rb"(?=[ \t\n;|&]|\Z)"
_PARTS = {
    b"words": rb"%(word)b(?:[ \t]++%(word)b)*+" % {b"word": _PLAIN.pattern + b"+" + _END},
    b"end": _END,
    b"operator": rb"(?P<operator>&&|\|\||\|(?!&)|;(?!;)|\n)",
    b"blanks": rb"[ \t](?:[ \t]|\\\n)*",
}
_PLAIN_COMMAND = re.compile(
    rb"(?!!%(end)b)(%(words)b)((?:[ \t]++[0-2]?>&[0-2]%(end)b)*+)"
    rb"(?:%(blanks)b)?(?:%(operator)b(?:%(blanks)b)?|\Z)" % _PARTS
)
"""A command without quotes and expansions, as most are, with the operator after it."""
_TOKEN = re.compile(
    rb"(?P<words>!%(end)b|%(words)b)(?:%(blanks)b)?"
    rb"|%(operator)b(?:%(blanks)b)?"
    rb"|(?P<nothing>%(blanks)b|#[^\n]*)"
    rb"|(?P<duplicate>[0-2]?>&[0-2])%(end)b"
    rb"|(?P<redirection>[0-2]?(?:>>|>|<))(?![<>&|(])(?:%(blanks)b)?" % _PARTS
)
"""What any other command consists of, beside words with quotes or expansions."""
_ENDING = frozenset({b";", b"\n", None})
"""Operators, or the end of all, after which no command must follow."""
_PATTERN = re.compile(rb"[*?\[{}~]+")
_HASH = re.compile(rb"#+")
_ESCAPED = re.compile(rb"\\([\x21-\x7e ])")
_SINGLE = re.compile(rb"'([^']*)'")
_EXPANSION = re.compile(rb"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\}|[0-9?#$@*!-])")
_IN_DOUBLE = re.compile(rb'[^"$`\\]+|\\[$`"\\]|\\(?=[^\n$`"\\])|\$(?=[" )|])')
_NAME = string.ascii_letters + string.digits + "_./+@,:-"
_ASSIGNMENT = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*\+?=")
_STRANGE = re.compile(r"[^\t\n\x20-\x7e]")


Words = tuple[tuple[str, bool], ...]
"""Words as they compare with the other reader's, which makes every `Word` that is kept."""


class Simple(NamedTuple):
    """A command of which all is known: which programs it runs, and which files it opens."""

    commands: tuple[tuple[Words, tuple[int, int]], ...]
    """The words of each, and where it is written."""
    redirections: tuple[Redirection, ...]
    moves: bool
    """A `cd` in it: relative paths then mean other files."""


def read_simple(text: str) -> Simple:
    """Return what a command runs; `UnprovenError` for all that is not plain."""
    _refuse_strange(text)
    return _Reader(to_bytes(text)).script()


def check_words(words: Words, span: tuple[int, int]) -> None:
    """Refuse programs of which the name does not tell what they do to the shell itself."""
    name, is_open = words[0]
    if is_open:
        raise UnprovenError("what it runs comes from an expansion", *span)
    if not name or name.strip(_NAME):
        raise UnprovenError("what it runs has an unusual name", *span)
    if name in _MARKED:
        options = tuple(_MARKED[name].split())
        if any(is_open or text.startswith(options) for text, is_open in words[1:]):
            raise UnprovenError(f"`{name}` can set a variable, or run what is in one", *span)
    elif name in _BUILTINS and name not in _SAFE_BUILTINS:
        raise UnprovenError(f"`{name}` changes what other commands mean, or runs one", *span)


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
        self.commands: list[tuple[Words, tuple[int, int]]] = []
        self.redirections: list[Redirection] = []
        self.words: list[tuple[str, bool]] = []
        self.start = 0
        self.end = 0
        self.negated = False
        self.moves = False

    def script(self) -> Simple:
        source, size = self.source, len(self.source)
        joined = False
        while self.at < size:
            if not self.words and (found := _PLAIN_COMMAND.match(source, self.at)):
                joined = self._plain_command(found)
            else:
                joined = self._token(joined=joined)
        if self._finish() or not joined:
            if not self.commands:
                raise UnprovenError("there is no command in it", 0, size)
            return Simple(tuple(self.commands), tuple(self.redirections), self.moves)
        raise UnprovenError("it ends with an operator", self.at, self.at)

    def _plain_command(self, found: re.Match[bytes]) -> bool:
        """Take all of a command at once, where the way by its tokens leads to the same."""
        raw, _, operator = found.groups()
        texts = raw.decode("ascii").split()
        self._begin(texts[0], raw, self.at, self.at + len(texts[0]))
        self._add(tuple([(text, False) for text in texts]), (self.at, found.end(2)))
        self.at = found.end()
        return operator not in _ENDING

    def _token(self, *, joined: bool) -> bool:
        """Take the next token; return whether a command must follow."""
        found = _TOKEN.match(self.source, self.at)
        if found is None:
            self._word()
            return joined
        kind = found.lastgroup
        if kind in {"duplicate", "redirection"}:
            self._redirection(found)
            return joined
        if kind == "words":
            self._plain_words(found["words"])
        elif kind == "operator":
            joined = self._operator(found["operator"], joined=joined)
        self.at = found.end()
        return joined

    def _plain_words(self, raw: bytes) -> None:
        """Take words as they stand; the long way round leads to the same."""
        texts = raw.decode("ascii").split()
        if not self.words:
            if raw == b"!" and not self.negated:
                self.negated, self.start = True, self.at
                return
            self._begin(texts[0], raw, self.at, self.at + len(texts[0]))
        self.words += [(text, False) for text in texts]
        self.end = self.at + len(raw)

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
            if self.negated:
                raise UnprovenError("a command is missing", self.start, self.at)
            return False
        self._add(tuple(self.words), (self.start, self.end))
        self.words = []
        return True

    def _add(self, words: Words, span: tuple[int, int]) -> None:
        """Add a simple command that has been read."""
        check_words(words, span)
        self.moves |= words[0][0] == "cd"
        self.commands.append((words, span))
        self.negated = False

    def _word(self) -> None:
        start = self.at
        text, is_open, is_bare = self._read_word()
        if not self.words:
            self._begin(text if is_bare else "", self.source[start : self.at], start, self.at)
        self.words.append((text, is_open))
        self.end = self.at

    def _begin(self, bare: str, raw: bytes, start: int, end: int) -> None:
        """Begin a command with a word, if that is no more than a word."""
        if bare in RESERVED:
            raise UnprovenError("compound commands are not read", start, end)
        if b"=" in raw and _ASSIGNMENT.match(raw):
            raise UnprovenError("an assignment is before the command", start, end)
        self.start = start

    def _read_word(self) -> tuple[str, bool, bool]:
        """Read one word; whether it has an expansion, and whether nothing in it was quoted."""
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
        return text, is_open and source[start : self.at] != b"{}", is_bare

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

    def _redirection(self, found: re.Match[bytes]) -> None:
        """Take a redirection; its file is another word."""
        start = self.at
        if not self.words:
            # Legal, and rare enough that the two readers need not agree on it.
            raise UnprovenError("a redirection is before the command", start, start + 1)
        self.at = found.end()
        if found.lastgroup == "redirection":
            text, is_open, _ = self._read_word()
            if is_open or not text:
                raise UnprovenError("the file of a redirection is not known", start, self.at)
            writes = found["redirection"][-1:] == b">"
            self.redirections.append(Redirection(text, writes, Span(start, self.at)))
        self.end = self.at

    def _at_end_of_word(self) -> bool:
        # Not `<` and `>`: a number or `{name}` just before one is no word but part of it.
        return self.at >= len(self.source) or self.source[self.at] in b" \t\n;|&"

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
