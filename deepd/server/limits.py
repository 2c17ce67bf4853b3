"""How much one client may send, hold open and keep waiting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    head: int = 64 << 10
    head_seconds: float = 5.0
    json: int = 1 << 20
    body_seconds: float = 30.0
    """For a JSON body as a whole, and for each silence of a body that streams."""
    in_memory: int = 1 << 20
    """Bodies above this go through a file."""
    file: int = 4 << 30
    archive: int = 4 << 30
    connections: int = 512
    stalled: float = 300.0
    """A reader that takes nothing for so long is cut off."""
    keep_alive: int = 75
    held_line: float = 10.0
    """How often a stream says that its call is still held."""
