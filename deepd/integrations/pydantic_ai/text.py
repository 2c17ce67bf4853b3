"""What a model is told: results of the console tools as short plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepd.errors import DeepdError

TIMED_OUT = 124
"""The exit code of a command that was killed at its limit, as of coreutils' `timeout`."""
MAX_ENTRIES = 500
"""Entries or matches that one answer has; a model that needs others asks more narrowly."""


def executed(response: Any) -> str:
    """Return a command's output, and how it ended where that is not plain success."""
    notes = []
    if getattr(response, "truncated", False):
        notes.append("[the output is longer; this is the part that was kept]")
    if response.exit_code:
        notes.append(f"[exit code {response.exit_code}]")
    return _joined(response.output, notes) or "[no output]"


def timed_out(error: TimeoutError, timeout: float | None) -> str:
    """Return what a command had printed when its time was over."""
    output = getattr(error, "output", "")
    text = output.decode(errors="replace") if isinstance(output, bytes) else str(output or "")
    limit = f"{timeout:g} s" if timeout is not None else "its limit"
    return _joined(text, [f"[killed after {limit}; exit code {TIMED_OUT}]"])


def failed(error: BaseException) -> str:
    """Return an error as one sentence, with what to do about it."""
    text = str(error) or type(error).__name__
    if isinstance(error, DeepdError) and error.next_step and error.next_step not in text:
        return f"Error: {text} ({error.next_step})"
    return f"Error: {text}"


def entries(found: Sequence[Any]) -> str:
    """Return files by name, folders with a slash at their end."""
    lines = [_entry(entry) for entry in found[:MAX_ENTRIES]]
    return "\n".join(lines + _rest(found)) or "[nothing]"


def matches(found: Sequence[Any] | str) -> str:
    """Return lines as `path:number:line`; a text is what went wrong."""
    if isinstance(found, str):
        return found
    lines = [
        f"{field(match, 'path')}:{field(match, 'line_number')}:{field(match, 'line')}"
        for match in found[:MAX_ENTRIES]
    ]
    return "\n".join(lines + _rest(found)) or "[no matches]"


def field(value: Any, name: str) -> Any:
    """Return a field of what is an object with one backend and a dict with another."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def _entry(entry: Any) -> str:
    path = field(entry, "path") or field(entry, "name")
    if field(entry, "is_dir"):
        return f"{path}/"
    size = field(entry, "size")
    return f"{path}" if size is None else f"{path}  {size} bytes"


def _rest(found: Sequence[Any]) -> list[str]:
    left = len(found) - MAX_ENTRIES
    return [f"[... {left} more; ask for less at once]"] if left > 0 else []


def _joined(text: str, notes: list[str]) -> str:
    if text and notes and not text.endswith("\n"):
        text += "\n"
    return text + "\n".join(notes)
