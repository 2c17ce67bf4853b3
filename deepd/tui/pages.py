"""Pages: the five screens, each loaded when somebody first looks at it."""
# ruff: noqa: PLC0415 - the first screen shall not wait for what the others need

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepd.tui.page import Page


def sessions() -> Page:
    """Return the first screen."""
    from deepd.tui.screens.sessions import SessionsPage

    return SessionsPage()


def approvals() -> Page:
    """Return the second screen."""
    from deepd.tui.screens.approvals import ApprovalsPage

    return ApprovalsPage()


def logs() -> Page:
    """Return the third screen."""
    from deepd.tui.screens.logs import LogsPage

    return LogsPage()


def events() -> Page:
    """Return the fourth screen."""
    from deepd.tui.screens.events import EventsPage

    return EventsPage()


def profiles() -> Page:
    """Return the fifth screen."""
    from deepd.tui.screens.profiles import ProfilesPage

    return ProfilesPage()
