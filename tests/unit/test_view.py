"""What is known of the engine between two lists, and while one is on its way."""

from __future__ import annotations

from dataclasses import replace

from deepd.model.ids import ContainerId, SessionName
from deepd.model.sandbox import Sandbox, SandboxState
from deepd.reconcile.action import Claim, Create, Remove, Start
from deepd.reconcile.view import View, is_listed
from tests.unit.worlds import profile, sandbox, session

NEW = ContainerId("c-new")
CREATE = Create(session("new"), profile(), "no sandbox")


def view_of(*sandboxes: Sandbox) -> View:
    view = View()
    view.asking()
    view.listed(sandboxes)
    return view


def test_what_was_made_is_there_before_a_list_shows_it() -> None:
    view = view_of(sandbox())
    view.done(CREATE, NEW)
    _, made = view.sandboxes
    assert (made.id, made.session, made.state) == (NEW, "new", SandboxState.CREATED)
    assert made.spec_hash == profile().container_hash()
    assert not is_listed(made)


def test_a_list_that_was_asked_for_before_takes_nothing_back() -> None:
    created = sandbox(state=SandboxState.CREATED, image="sha256:1")
    view = view_of(created)
    view.asking()
    view.done(Start(created, "created"), None)
    view.done(CREATE, NEW)
    view.listed([replace(created, created_at=1.0)])
    started, made = view.sandboxes
    assert (started.state, started.created_at) == (SandboxState.RUNNING, 1.0)
    assert made.id == NEW


def test_a_list_adds_what_only_it_knows_of_a_new_sandbox() -> None:
    view = view_of()
    view.asking()
    view.done(CREATE, NEW)
    row = replace(sandbox("new", state=SandboxState.CREATED, image="sha256:1"), id=NEW)
    view.listed([row])
    assert view.sandboxes == (row,)
    assert is_listed(row)


def test_a_later_list_is_believed() -> None:
    created = sandbox(state=SandboxState.CREATED)
    view = view_of(created)
    view.done(Start(created, "created"), None)
    view.done(CREATE, NEW)
    view.asking()
    view.listed([replace(created, state=SandboxState.STOPPED)])
    (died,) = view.sandboxes
    assert died.state is SandboxState.STOPPED


def test_a_claimed_sandbox_is_its_sessions_at_once() -> None:
    warm = sandbox(None)
    view = view_of(warm)
    view.asking()
    view.done(Claim(warm, session("new"), profile(), "no sandbox"), None)
    assert [box.session for box in view.sandboxes] == [SessionName("new")]
    view.listed([warm])
    assert [box.session for box in view.sandboxes] == [SessionName("new")]


def test_what_was_removed_does_not_come_back_with_an_older_list() -> None:
    view = view_of(sandbox())
    view.asking()
    view.done(Remove(sandbox(), "closed"), None)
    view.listed([sandbox()])
    assert view.sandboxes == ()


def test_nothing_is_known_before_the_first_list() -> None:
    view = View()
    assert not view.is_known
    view.asking()
    assert not view.is_known
    view.listed([])
    assert view.is_known
