"""What screens ask of the app: messages go up, attributes come down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from textual.message import Message

from deepd.tui.world import Json

Verb = Literal["start", "stop", "pause", "resume", "remove"]
Answer = Literal["approve", "scope", "edit", "deny", "stop"]


@dataclass
class Decide(Message):
    """Answer these held calls; each was shown in full."""

    approvals: Sequence[Json]
    answer: Answer


@dataclass
class ReadFile(Message):
    """Read what a held call would change, and hand it to the screen."""

    approval: Json


@dataclass
class ChangeSession(Message):
    """Want something else of a session."""

    name: str
    verb: Verb


@dataclass
class OpenShell(Message):
    """Give the terminal to a shell in a session."""

    name: str


@dataclass
class OpenLogs(Message):
    """Show what these sessions print; `search` runs in the daemon."""

    sessions: tuple[str, ...]
    search: str = ""


@dataclass
class ExportLogs(Message):
    """Write all that is kept of these sessions' output to files."""

    sessions: tuple[str, ...]


@dataclass
class Copy(Message):
    """Put text into the clipboard."""

    text: str


@dataclass
class ShowPlan(Message):
    """Show what a reload would do."""


@dataclass
class Reload(Message):
    """Read the profiles again."""


@dataclass
class EditFile(Message):
    """Open a profile in the person's editor."""

    path: str


@dataclass
class Refused(Message):
    """A key did nothing, and why."""

    why: str


@dataclass
class PageReady(Message):
    """A screen can take the world now."""
