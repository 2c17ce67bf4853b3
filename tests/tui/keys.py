"""Which keys there are on which screen; tests are marked with the `keys` that they press."""

from __future__ import annotations

import importlib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

EVERYWHERE = ("1", "2", "3", "4", "5", "question_mark", "ctrl+p", "ctrl+t", "q", "ctrl+c", "tab")
SHARED = ("slash", "y", "escape")
"""Of every screen."""
SCREENS = {
    "sessions": ("enter", "l", "s", "p", "x", "X", "o", *SHARED),
    "approvals": ("a", "A", "e", "d", "D", "space", "v",
                  "pagedown", "pageup", "end", "home", *SHARED),
    "logs": ("enter", "space", "f", "n", "N", "w", "t", "ctrl+s",
             "pagedown", "pageup", "end", "home", *SHARED),
    "events": ("enter", *SHARED),
    "profiles": ("p", "R", "E", "pagedown", "pageup", "end", "home", *SHARED),
}  # fmt: skip
"""Each screen's own keys, those of its rows and texts left out."""
WIDGETS = {
    "list": ("up", "k", "down", "j", "enter"),
    "long list": ("up", "k", "down", "j", "enter", "pageup", "pagedown", "home", "end"),
    "text": ("up", "k", "down", "j", "pageup", "pagedown", "home", "end"),
    "log": ("up", "k", "down", "j", "pageup", "pagedown", "home", "end"),
}
"""The keys of what can have the focus in a screen."""

Key = tuple[str, str]
"""Where, and which."""
PRESSED: set[Key] = set()
"""What the test that runs has pressed, by the screen that was in front."""


def all_keys() -> set[Key]:
    """Return every key that has to be in a test."""
    own = {(place, key) for place, keys in (SCREENS | WIDGETS).items() for key in keys}
    return own | {("everywhere", key) for key in EVERYWHERE}


def keys_of(marks: Iterator[pytest.Mark]) -> Iterator[Key]:
    """Yield what marks say that a test presses."""
    for mark in marks:
        place, *keys = mark.args
        yield from ((place, key) for key in keys)


def claimed() -> dict[Key, list[str]]:
    """Return each key that a test here says it presses, with the names of those tests."""
    found: dict[Key, list[str]] = defaultdict(list)
    for path in Path(__file__).parent.glob("test_*.py"):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for name, function in vars(module).items():
            marks = getattr(function, "pytestmark", ()) if name.startswith("test_") else ()
            for key in keys_of(mark for mark in marks if mark.name == "keys"):
                found[key].append(name)
    return found


def has_pressed(key: Key, pressed: set[Key]) -> bool:
    """Whether a key was pressed where a test says it was."""
    place, name = key
    return (key in pressed) if place in SCREENS else name in {each for _, each in pressed}
