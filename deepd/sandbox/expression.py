"""Expression: patterns compiled by RE2, which matches in linear time whatever the pattern."""

from __future__ import annotations

from typing import Protocol

from deepd.errors import ArgumentsError
from deepd.sandbox.pattern import MAX_PATTERN, translate


class Expression(Protocol):
    """The part of a compiled expression that is used here."""

    def search(self, text: bytes, pos: int = 0) -> Found | None:
        """Return the first match from a position on."""
        ...

    def fullmatch(self, text: bytes) -> Found | None:
        """Return whether all of the text matches."""
        ...


class Found(Protocol):
    """A match."""

    def start(self) -> int:
        """Return where it begins."""
        ...


def compile_glob(rest: str, *, hidden: bool = False) -> Expression:
    """Return the compiled expression for a glob's wild parts."""
    return _compile(translate(rest, hidden=hidden), "pattern", lines=False)


def compile_lines(pattern: str, *, latin: bool = False) -> Expression:
    """Return an expression that is searched for in lines; raise `ArgumentsError` for a bad one.

    With `latin` every byte is a character: for text that is not valid UTF-8.
    """
    if not pattern:
        raise ArgumentsError("the pattern is empty")
    if len(pattern) > MAX_PATTERN:
        raise ArgumentsError(f"the pattern has more than {MAX_PATTERN:,} characters")
    return _compile(f"(?m){pattern}", "regular expression", lines=True, latin=latin)


def _compile(expression: str, name: str, *, lines: bool, latin: bool = False) -> Expression:
    import re2  # noqa: PLC0415 - imported when first needed: most commands match nothing

    options = re2.Options()
    options.log_errors = False
    options.never_nl = lines
    options.never_capture = True
    if latin:
        options.encoding = re2.Options.Encoding.LATIN1
    try:
        compiled: Expression = re2.compile(expression.encode(), options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0]
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(error)
        raise ArgumentsError(
            f"this {name} cannot be used: {text[:300]}",
            next_step="the syntax is RE2's: no look-around and no back-references",
        ) from error
    return compiled
