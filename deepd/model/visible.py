"""Untrusted text made safe to look at, and exact: what is shown decodes to what was there.

Whatever a person could not see, or a terminal would obey, becomes `\\u{…}`: controls, C1, escape
sequences, bidi and zero-width characters, lone surrogates, unusual blanks, fillers and private
characters. A `\\u{` that was in the text already has its backslash shown as `\\u{5c}`, so that the
two cannot be confused.
"""

from __future__ import annotations

import re

NEWLINE = "⏎"
TAB = "→"

_IGNORABLE = (
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors
    (0x2800, 0x2800),  # a Braille cell without dots
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFA0, 0xFFA0),  # halfwidth Hangul filler
    (0xFFFC, 0xFFFD),  # replacement characters: what a decoder would have put there
    (0x16FE4, 0x16FE4),  # Khitan filler
    (0x1D159, 0x1D159),  # a note head without a shape
    (0xE0000, 0xE0FFF),  # tags and more variation selectors
)
"""Characters that Python calls printable and that show nothing."""

_ESCAPE = r"\\u\{([0-9a-f]{1,6})\}"
_MARKS_IN_A_ROW = 2


class _Table(dict[int, str]):
    """What `str.translate` asks for each character; ASCII is worked out beforehand."""

    def __missing__(self, code: int) -> str:
        return _shown(code)


def _shown(code: int) -> str:
    char = chr(code)
    hidden = not char.isprintable() or any(low <= code <= high for low, high in _IGNORABLE)
    return _escape(code) if hidden else char


def _escape(code: int) -> str:
    return f"\\u{{{code:x}}}"


_ASCII = {code: _shown(code) for code in range(128)}
_TEXT = _Table(_ASCII | {ord("\n"): "\n", ord("\t"): "\t"})
_LINE = _Table(
    _ASCII
    | {ord("\n"): NEWLINE, ord("\t"): TAB}
    | {ord(NEWLINE): _escape(ord(NEWLINE)), ord(TAB): _escape(ord(TAB))}
)


def visible(text: str, *, one_line: bool = False) -> str:
    """Return the text as it may be shown: newlines and tabs kept, or as `⏎` and `→` in one line."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    shown = text.replace("\\u{", "\\u{5c}u{").translate(_LINE if one_line else _TEXT)
    return shown if shown.isascii() else _with_stray_marks_shown(shown)


def from_visible(shown: str, *, one_line: bool = False) -> str:
    """Return the text that `visible` was given."""
    if one_line:
        shown = shown.replace(NEWLINE, "\n").replace(TAB, "\t")
    return re.sub(_ESCAPE, lambda match: chr(int(match[1], 16)), shown)


def _with_stray_marks_shown(text: str) -> str:
    """Show combining marks that sit on no letter, or in heaps: they would draw over the rest."""
    import unicodedata  # noqa: PLC0415 - most text has no use for it, and every command starts here

    pieces: list[str] = []
    may_take = 0
    for char in text:
        category = unicodedata.category(char)
        if category[0] != "M":
            may_take = _MARKS_IN_A_ROW if category[0] == "L" else 0
        elif may_take:
            may_take -= 1
        else:
            char = _escape(ord(char))  # noqa: PLW2901 - what is shown takes the place of what is
        pieces.append(char)
    return "".join(pieces)
