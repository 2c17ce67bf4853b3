"""The other reader of commands: the shell grammar of tree-sitter, which reads all there is.

It finds every simple command, also in substitutions, loops and here-documents, so that `deny` looks
everywhere; and it doubts every form that is not on its list of plain ones.
"""

from __future__ import annotations

import re
import string
import sys
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from deepd.policy.shell import (
    Command,
    Doubt,
    Span,
    Word,
    make_command,
    make_span,
    make_word,
    names,
    to_text,
)

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_STAND_IN = bytes(range(128)) + b"%" * 128
"""Every byte beyond ASCII is parsed as `%`, which is part of a word as those are in a shell, too.

The grammar's scanner looks code points up in the C library's table of characters: one that is large
enough is read from outside of it, and the process is killed. Places stay the same, and all texts
are cut from the real source.
"""
_ERROR = 0xFFFF
"""The kind of a node for what is not understood; the library counts it among no language's."""
MAX_NODES = 4096
"""Of a tree; a command with more is not read."""

_PLAIN = names(
    "program list pipeline command command_name word number string string_content raw_string "
    "concatenation comment redirected_statement file_redirect file_descriptor negated_command "
    'simple_expansion expansion variable_name special_variable_name && || | ; \n ! < > >> >& " $ '
    "${ }"
) | {"\n"}
"""What a command may consist of that does only what its simple commands do."""
_NONE: frozenset[str] = frozenset()
_LEAVES = names('word string_content raw_string file_descriptor && || | ; ! < > >> >& " $ ${ }') | {
    "\n"
}
"""What has nothing in it, and needs no second look in a tree without errors."""
_SIMPLEST = _PLAIN - {"string", "expansion"}
_COMMANDS = frozenset({"command", "declaration_command", "unset_command", "test_command"})
_NO_WORDS = names(
    "variable_assignment variable_assignments file_redirect herestring_redirect heredoc_redirect "
    "comment"
)
_OPEN_WORDS = names(
    "simple_expansion expansion command_substitution process_substitution arithmetic_expansion "
    "brace_expression extglob_pattern ERROR"
)
_BARE = frozenset({"word", "number", "command_name"})
_ORDINARY = (string.ascii_letters + string.digits + "_@%+=:,./-").encode()
"""What makes a bare word that says what it is, and has nothing in it, in a tree without errors."""
_EXPANDED = re.compile(rb"[*?\[{}~]")
_STREAMS = frozenset({"file_redirect", "heredoc_body", "herestring_redirect"})
_OPENS_TO_READ = frozenset({"<", "<>"})
_REASONS = {
    "ERROR": "it is not complete, or not a command",
    "command_substitution": "it has a substitution",
    "process_substitution": "it has a process substitution",
    "variable_assignment": "it sets a variable",
    "heredoc_redirect": "it has a here-document",
    "herestring_redirect": "it has a here-string",
    "function_definition": "it defines a function",
    "subshell": "it has a subshell",
    "declaration_command": "it changes the shell's own state",
    "unset_command": "it changes the shell's own state",
    "&": "it goes on in the background",
    "arithmetic_expansion": "it has arithmetic, which can run commands",
}


class Found(NamedTuple):
    """All that the grammar finds in a command."""

    commands: tuple[Command, ...]
    """Every simple command, wherever it stands, in the order of the text."""
    redirections: int
    inputs: tuple[tuple[str, str], ...]
    """Texts given as input inside the command, and the program that reads each."""
    reads: tuple[Word, ...]
    """The files that a redirection opens for reading."""
    doubts: tuple[Doubt, ...]


def parse(source: bytes) -> Found:
    """Return what is in a command that is not too much (`shell.is_too_much`)."""
    parser, kinds = _grammar()
    root = parser.parse(source.translate(_STAND_IN)).root_node
    if root.descendant_count > MAX_NODES:
        return Found((), 0, (), (), (Doubt("it is too long to be read", Span(0, len(source))),))
    commands: list[Command] = []
    doubts: list[Doubt] = []
    inputs: list[tuple[str, str]] = []
    reads: list[Word] = []
    redirections = 0
    is_broken = root.has_error
    leaves, bare = (_NONE, _NONE) if is_broken else (_LEAVES, _BARE)
    waiting = [root]
    while waiting:  # in the order of the text
        node = waiting.pop()
        kind = kinds[node.kind_id]
        if kind in leaves:
            continue
        children = node.children
        if kind in _COMMANDS:
            command, children = _command(node, kinds, bare, source)
            commands.append(command)
        elif kind in _STREAMS:
            redirections += kind == "file_redirect"
            _stream(node, source, inputs, reads)
        if (is_broken or kind not in _SIMPLEST) and (doubt := _doubt(node, source)):
            doubts.append(doubt)
        waiting += reversed(children)
    if is_broken and not doubts:
        doubts.append(Doubt(_REASONS["ERROR"], Span(0, len(source))))
    return Found(tuple(commands), redirections, tuple(inputs), tuple(reads), tuple(doubts))


@cache
def _grammar() -> tuple[Parser, dict[int, str]]:
    """Return the parser, and the kinds of nodes by number: `node.type` makes a text each time."""
    import tree_sitter  # noqa: PLC0415 - only what has rules over commands needs it
    import tree_sitter_bash  # noqa: PLC0415 - the same

    language = tree_sitter.Language(tree_sitter_bash.language())
    numbers = (*range(language.node_kind_count), _ERROR)
    kinds = {number: sys.intern(language.node_kind_for_id(number) or "") for number in numbers}
    return tree_sitter.Parser(language), kinds


def _stream(node: Node, source: bytes, inputs: list[tuple[str, str]], reads: list[Word]) -> None:
    """Add what is given to a command as its input: a text, or a file."""
    kind, children = node.type, node.children
    if kind == "heredoc_body":
        inputs.append((_reader_of(node, source), to_text(source[slice(*node.byte_range)])))
    elif kind == "herestring_redirect" and children:
        inputs.append((_reader_of(node, source), _word(children[-1], source).text))
    elif not _OPENS_TO_READ.isdisjoint([child.type for child in children]):
        reads.append(_word(children[-1], source))


def _doubt(node: Node, source: bytes) -> Doubt | None:
    kind = node.type
    plain = kind in _PLAIN and not node.is_missing
    if plain and kind in {"string", "expansion"}:
        # `$"…"` is translated; `${x…}` with anything but a name can do more than give a value.
        text = source[slice(*node.byte_range)]
        plain = text[:1] == b'"' if kind == "string" else node.child_count == 3
    if plain:
        return None
    kind = "ERROR" if node.is_missing else kind
    reason = _REASONS.get(kind, "it has a form that is not plain")
    return Doubt(reason, Span(node.start_byte, node.end_byte))


def _command(
    node: Node, kinds: dict[int, str], bare: frozenset[str], source: bytes
) -> tuple[Command, list[Node]]:
    """Return a simple command, and the nodes in it that may have more in them."""
    words: list[Word] = []
    more: list[Node] = []
    start, end = -1, node.end_byte
    for child in node.children:
        kind = kinds[child.kind_id]
        begin, stop = child.start_byte, child.end_byte
        text = source[begin:stop]
        if kind in bare and not text.strip(_ORDINARY):
            words.append(make_word((text.decode(), False)))
        else:
            more.append(child)
            if kind in _NO_WORDS:
                continue
            words.append(_word(child, source))
        end = stop
        if start < 0:
            start = begin
    if start < 0:
        start = node.start_byte
    return make_command((tuple(words), make_span((start, end)), False)), more


def _word(node: Node, source: bytes) -> Word:
    kind = node.type
    text = source[node.start_byte : node.end_byte]
    if kind == "word":  # as most of all are
        return _unquoted(text)
    if kind == "command_name" and node.child_count:
        return _word(node.children[0], source)
    match kind:
        case "raw_string":
            return Word(to_text(text[1:-1]))
        case "ansi_c_string":
            return Word(to_text(text[2:-1]), is_open=True)
        case "string":
            return _quoted(node, source)
        case "concatenation":
            parts = [_word(child, source) for child in node.children]
            joined = "".join(part.text for part in parts)
            # A brace expression falls apart into words of which none is open by itself.
            is_open = any(part.is_open for part in parts) and joined != "{}"
            return Word(joined, is_open)
        case _:
            return Word(to_text(text), is_open=True) if kind in _OPEN_WORDS else _unquoted(text)


def _quoted(node: Node, source: bytes) -> Word:
    """Return a word in double quotes: its backslashes taken away where the shell does."""
    # The grammar leaves blanks between its parts out, so the text is taken whole.
    text = source[node.start_byte : node.end_byte]
    text = text[text.index(b'"') + 1 :].removesuffix(b'"')
    is_open = any(child.type in _OPEN_WORDS for child in node.children)
    kept: list[bytes] = []
    at = 0
    while (found := text.find(b"\\", at)) >= 0 and found + 1 < len(text):
        escaped = text[found + 1 : found + 2]
        kept.append(text[at:found])
        if escaped != b"\n":
            kept.append(escaped if escaped in b'$`"\\' else b"\\" + escaped)
        at = found + 2
    return Word(to_text(b"".join([*kept, text[at:]])), is_open)


def _unquoted(text: bytes) -> Word:
    """Return a word without quotes: its backslashes taken away, its patterns noticed."""
    if b"\\" not in text:
        is_open = _EXPANDED.search(text) is not None
        return Word(text.decode("utf-8", "replace"), is_open and text != b"{}")
    kept = bytearray()
    is_open, at = False, 0
    while at < len(text):
        if text[at : at + 1] == b"\\":
            if text[at + 1 : at + 2] != b"\n":
                kept += text[at + 1 : at + 2]
            at += 2
            continue
        is_open |= text[at : at + 1] in (b"*", b"?", b"[", b"{", b"}", b"~")
        kept += text[at : at + 1]
        at += 1
    return Word(to_text(bytes(kept)), is_open)


def _reader_of(node: Node, source: bytes) -> str:
    """Return the name of the program that reads a here-document or here-string."""
    around = node.parent
    while around is not None and around.type not in {"redirected_statement", "command"}:
        around = around.parent
    if around is not None and around.type == "redirected_statement":
        around = next((child for child in around.children if child.type == "command"), None)
    return _command(around, _grammar()[1], _NONE, source)[0].name if around is not None else ""
