"""Ask: every dialog, each loaded when the first of its kind opens."""
# ruff: noqa: PLC0415 - the first screen shall not wait for what a person opens later, if ever

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.binding import Binding

    from deepd.tui.dialogs.confirm import Confirm
    from deepd.tui.dialogs.details import Details
    from deepd.tui.dialogs.edit import Edit, Submit
    from deepd.tui.dialogs.many import Many
    from deepd.tui.dialogs.reason import Reason
    from deepd.tui.dialogs.scope import Remember, Scope
    from deepd.tui.line import Line
    from deepd.tui.world import Json


def confirm(title: str, lines: Sequence[str]) -> Confirm:
    """Return the question before something is destroyed."""
    from deepd.tui.dialogs.confirm import Confirm

    return Confirm(title, lines)


def details(title: str, lines: Sequence[Line]) -> Details:
    """Return a document to read."""
    from deepd.tui.dialogs.details import Details

    return Details(title, lines)


def keys(own: Sequence[Binding], everywhere: Sequence[Binding]) -> Details:
    """Return the help of a screen."""
    from deepd.tui.dialogs.keys import key_lines

    return details("keys", key_lines(own, everywhere))


def session(item: Json, calls: Sequence[Json], *, now: float) -> Details:
    """Return all that is known of a session."""
    from deepd.tui.session_lines import session_lines

    return details(f"session {item['name']}", session_lines(item, calls, now=now))


def plan(actions: Sequence[Json]) -> Details:
    """Return what a reload would do."""
    from deepd.tui.plan_lines import plan_lines

    return details("plan: what a reload would do", plan_lines(actions))


def many(approvals: Sequence[Json], lines_of: Callable[[Json], Sequence[Line]]) -> Many:
    """Return several held calls, one under the other, to be approved together."""
    from deepd.tui.dialogs.many import Many
    from deepd.tui.proposal_lines import one_under_the_other

    lines = one_under_the_other(approvals, lines_of)
    return Many(f"approve these {len(approvals)} calls?", lines)


def scope(
    approval: Json, proposal: Json, remember: Remember, *, clock: Callable[[], float]
) -> Scope:
    """Return how far an approval may be remembered."""
    from deepd.tui.card import arguments
    from deepd.tui.dialogs.scope import Scope
    from deepd.tui.proposal_lines import proposal_lines

    name = f"approve {approval['tool']} in {approval['session']}, and remember it"
    lines = [*arguments(approval), *proposal_lines(proposal)]
    return Scope(name, lines, proposal["scopes"], remember, clock=clock)


def edit(approval: Json, submit: Submit) -> Edit:
    """Return a call's arguments to be changed."""
    from deepd.tui.dialogs.edit import Edit

    return Edit(f"edit {approval['tool']} in {approval['session']}", approval["args"], submit)


def reason(title: str, approvals: Sequence[Json]) -> Reason:
    """Return the question why these are denied."""
    from deepd.tui.dialogs.reason import Reason
    from deepd.tui.proposal_lines import gists

    return Reason(title, gists(approvals))
