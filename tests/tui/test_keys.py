"""The keys: what is bound, what the help says, and what is tested are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.binding import Binding

from deepd.tui.app import Dashboard
from deepd.tui.dialogs.keys import key_lines
from deepd.tui.page import Page, bindings_of
from deepd.tui.screens.approvals import ApprovalsPage
from deepd.tui.screens.events import EventsPage
from deepd.tui.screens.logs import LogsPage
from deepd.tui.screens.profiles import ProfilesPage
from deepd.tui.screens.sessions import SessionsPage
from deepd.tui.widgets.document import Document
from deepd.tui.widgets.listing import Listing, LongListing
from deepd.tui.widgets.log_view import LogView
from tests.tui.keys import EVERYWHERE, SCREENS, WIDGETS, all_keys, claimed

if TYPE_CHECKING:
    from textual.dom import DOMNode

PAGES: dict[str, type[Page]] = {
    "sessions": SessionsPage,
    "approvals": ApprovalsPage,
    "logs": LogsPage,
    "events": EventsPage,
    "profiles": ProfilesPage,
}
FOCUSED: dict[str, type[DOMNode]] = {
    "list": Listing,
    "long list": LongListing,
    "text": Document,
    "log": LogView,
}
OF_TEXTUAL = {"ctrl+p", "tab"}
"""Keys that the app has without a line of ours."""


def own_keys(cls: type[DOMNode]) -> list[str]:
    """Return the keys that a class of ours binds, its bases' of ours with them."""
    groups = [
        base.__dict__.get("BINDINGS", ())
        for base in cls.__mro__
        if base.__module__.startswith("deepd.")
    ]
    return [
        key
        for binding in (item for group in groups for item in group)
        if isinstance(binding, Binding)
        for key in binding.key.split(",")
    ]


@pytest.mark.parametrize("page", SCREENS)
def test_a_screen_binds_the_keys_of_the_table_and_no_other(page: str) -> None:
    bound = [binding.key for binding in bindings_of(PAGES[page])]
    assert sorted(bound) == sorted(SCREENS[page])


@pytest.mark.parametrize("name", WIDGETS)
def test_what_has_the_focus_binds_the_keys_of_the_table_and_no_other(name: str) -> None:
    assert sorted(own_keys(FOCUSED[name])) == sorted(WIDGETS[name])


def test_the_app_binds_the_keys_of_the_table_and_no_other() -> None:
    assert set(own_keys(Dashboard)) | OF_TEXTUAL == set(EVERYWHERE)


@pytest.mark.parametrize("page", SCREENS)
def test_the_help_says_what_every_key_of_a_screen_does(page: str) -> None:
    own = bindings_of(PAGES[page])
    everywhere = [item for item in Dashboard.BINDINGS if isinstance(item, Binding)]
    said = [text for line in key_lines(own, everywhere) for text, _ in line.lead]
    names = {name for text in said for name in text.split()}
    shown = {binding.key_display or binding.key for binding in (*own, *everywhere)}
    assert names == shown | {"↑", "↓", "k", "j", "tab", "^p"}


def test_every_key_is_pressed_in_a_test_and_no_test_claims_another() -> None:
    known = claimed()
    assert all_keys() - known.keys() == set()
    assert known.keys() - all_keys() == set()
