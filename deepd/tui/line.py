"""Line: one line of a document; pure, so that what writes documents needs no widget."""

from __future__ import annotations

from dataclasses import dataclass

Piece = tuple[str, str]
"""Text as it may be shown, and its tone; an empty tone is the widget's own look."""


@dataclass(frozen=True)
class Line:
    """One line of a document, as it may be shown."""

    text: str
    tone: str = ""
    gutter: str = ""
    """At most one character in front of it: `+` and `-` of a change."""
    rule: bool = False
    """A line across, with the text in it."""
    lead: tuple[Piece, ...] = ()
    """What stands before the text in tones of its own: a time, a name."""
