"""Patterns over commands: words, `?` for one and a last `*` for all further ones, or `re:`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from deepd.policy.shell import Command, Word, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

Fit = Literal["no", "maybe", "yes"]

MAX_PATTERN = 1024
MAX_PROGRAM = 1 << 20
"""Bytes of memory that a regular expression may take."""
_EXPRESSION = "re:"
_WORD = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'|"[^"\\]*")+""")
_PART = re.compile(r"""([^\s'"\\]+)|\\(.)|'([^']*)'|"([^"\\]*)\"""")
_SIGN = re.compile(r"[;&|<>()`$*?{}\[\]~]")


class PatternError(ValueError):
    """It is no pattern; the text says why, `hint` what would be one."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class WordPattern:
    """The words of one command."""

    words: tuple[str | None, ...]
    """`None` is any one word."""
    has_more: bool
    """Any further words may follow."""

    def fit(self, words: Sequence[Word]) -> Fit:
        """Return whether these words are meant; `maybe` where an expansion decides."""
        for at, wanted in enumerate(self.words):
            if at >= len(words):
                return "no"
            text, is_open = words[at]
            if is_open:
                return "maybe"
            if wanted is not None and wanted != text:
                return "no"
        if self.has_more or len(words) == len(self.words):
            return "yes"
        # Expansions may come to nothing at all.
        return "maybe" if all(word.is_open for word in words[len(self.words) :]) else "no"


@dataclass(frozen=True, slots=True)
class Expression:
    """A regular expression of linear time."""

    compiled: Any

    def find(self, text: str) -> tuple[int, int] | None:
        """Return the first bytes of a text that it means, from and up to."""
        text = encodable(text)
        found = self.compiled.search(text)
        if found is None:
            return None
        start, end = found.span()
        return len(text[:start].encode()), len(text[:end].encode())

    def is_all(self, text: str) -> bool:
        """Return whether it is the whole of a text."""
        return self.compiled.fullmatch(encodable(text)) is not None


Pattern = WordPattern | Expression


@lru_cache(maxsize=2048)
def parse_pattern(text: str) -> Pattern:
    """Return the pattern that a profile says, or raise `PatternError`."""
    if len(text) > MAX_PATTERN:
        raise PatternError(f"is longer than {MAX_PATTERN} characters")
    if text.startswith(_EXPRESSION):
        return Expression(compile_expression(text.removeprefix(_EXPRESSION)))
    words = _split(text)
    has_more = words[-1] == "*"
    return WordPattern(
        tuple(_literal(word) for word in (words[:-1] if has_more else words)), has_more
    )


def compile_expression(text: str) -> Any:
    """Return a compiled RE2, or raise `PatternError`."""
    import re2  # noqa: PLC0415 - few profiles have one

    options = re2.Options()
    options.max_mem = MAX_PROGRAM
    options.log_errors = False
    options.dot_nl = True
    options.never_capture = True
    if encodable(text) != text:
        raise PatternError("has half of a character")
    try:
        return re2.compile(text, options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        detail = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise PatternError(f"is not a regular expression that RE2 takes: {detail}") from None


def fit_anywhere(pattern: WordPattern, command: Command) -> Fit:
    """Return whether a command is meant, also when its program is named by a path."""
    found = pattern.fit(command.words)
    first = command.words[:1]
    if found == "yes" or not first or first[0].is_open or "/" not in first[0].text:
        return found
    base = Word(first[0].text.rsplit("/", 1)[-1])
    other = pattern.fit((base, *command.words[1:]))
    return other if found == "no" else found


def pattern_of(words: Sequence[Word]) -> str:
    """Return the pattern of exactly these words; from an expansion on all is left open."""
    parts: list[str] = []
    for word in words:
        if word.is_open:
            return " ".join([*parts, "*"])
        text = quoted(word.text)
        # A program may be called what begins an expression.
        parts.append(f"'{text}'" if text.startswith(_EXPRESSION) else text)
    return " ".join(parts)


def _split(text: str) -> list[str]:
    """Return the words with their quotes."""
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        found = _WORD.match(text, at)
        if found is None or (found.end() < len(text) and not text[found.end()].isspace()):
            raise PatternError("has a quote that is not closed")
        words.append(found[0])
        at = found.end()
    if not words:
        raise PatternError("is empty")
    return words


def _literal(word: str) -> str | None:
    if word == "?":
        return None
    parts: list[str] = []
    for plain, escaped, single, double in _PART.findall(word):
        if plain and (sign := _SIGN.search(plain)) and plain != "{}":
            raise _sign_error(word, sign[0])
        parts.append(plain or escaped or single or double)
    return "".join(parts)


def _sign_error(word: str, sign: str) -> PatternError:
    if word == "*":
        return PatternError("has `*` before its end", "`*` stands for all further words")
    if sign in "*?":
        return PatternError(
            f"has `{sign}` inside of a word",
            f"`{sign}` stands alone, or quoted for itself; `re:` takes regular expressions",
        )
    return PatternError(
        f"has `{sign}`",
        "a pattern is the words of one command; quote it, or use `re:` over the whole command",
    )


def encodable(text: str) -> str:
    """Return a text that RE2 takes: a lone surrogate has no bytes."""
    return text.encode("utf-8", "replace").decode("utf-8")
