"""What `deepd plan` says before a file is put in force."""

from __future__ import annotations

from typing import Any

import pytest

from deepd.model.ids import ProfileName
from deepd.model.profile import Limits, Profile, Rule, ToolPolicy, Volume
from deepd.model.sandbox import Sandbox
from deepd.reconcile.changes import changes
from deepd.reconcile.facts import SessionFacts
from deepd.reconcile.preview import Preview, preview
from tests.unit.worlds import edited, facts, profile, sandbox, settled


def compare(
    old: Profile | None, new: Profile | None, *sessions: SessionFacts, boxes: tuple[Sandbox, ...]
) -> Preview:
    before = {old.name: old} if old else {}
    after = {new.name: new} if new else {}
    return preview(before, after, sessions, boxes)


def test_live_changes_and_recreates_are_told_apart() -> None:
    old = profile("strict", idle_timeout=900.0)
    new = edited(old, idle_timeout=1800.0, image="python:3.13-slim", warm=1)
    mine = {"profile": ProfileName("strict")}
    both = (settled("user-123", of=old, **mine), facts("user-124", **mine))
    told = compare(old, new, *both, boxes=(sandbox("user-123", of=old),))
    assert str(told) == (
        "profile strict (strict.toml)\n"
        "-/+ user-123    image python:3.12-slim -> python:3.13-slim    recreate when idle\n"
        "  ~ user-123    idle_timeout 15m -> 30m                       live\n"
        "  ~ user-124    image python:3.12-slim -> python:3.13-slim    on next start\n"
        "  ~ user-124    idle_timeout 15m -> 30m                       live\n"
        "  + warm-1      warm 0 -> 1\n"
        "5 changes; no running call; what a container had outside of workspace and volumes goes"
    )
    assert told.count == 5


def test_without_a_difference_there_is_nothing_to_do() -> None:
    told = compare(profile(), profile(), settled(), boxes=(sandbox(),))
    assert (str(told), told.count) == ("no changes", 0)


def test_a_first_start_opens_what_is_declared() -> None:
    told = compare(None, profile(sessions=("main",)), boxes=())
    assert str(told) == (
        "profile p (p.toml)\n"
        "  + main    new session\n"
        "1 change; nothing is lost: no running call, no container"
    )


def test_a_session_that_is_declared_no_more_goes_and_its_workspace_stays() -> None:
    old = profile(sessions=("main", "docs"))
    told = compare(
        old, edited(old, sessions=("main",)), settled(), settled("docs", declared=True), boxes=()
    )
    assert "  - docs    not declared any more    workspace stays" in str(told)


def test_a_deleted_profile_stops_its_sessions() -> None:
    told = compare(profile(), None, settled(), boxes=(sandbox(),))
    assert "  - main    no profile    stops when not busy" in str(told)


def test_a_busy_session_is_named_as_what_is_waited_for() -> None:
    new = profile(image="other")
    told = compare(profile(), new, settled(running=1), boxes=(sandbox(),))
    assert "waits for the calls of main" in told.summary


@pytest.mark.parametrize(
    ("on_change", "when"),
    [
        ("idle", "recreate when idle"),
        ("now", "recreate as soon as nothing runs"),
        ("new", "only its next sandbox"),
    ],
)
def test_on_change_says_when(on_change: str, when: str) -> None:
    old = profile(on_change=on_change)
    told = compare(old, edited(old, user="root"), settled(), boxes=(sandbox(of=old),))
    assert when in str(told)


@pytest.mark.parametrize(
    ("fields", "text", "needs"),
    [
        ({"idle_timeout": None}, "idle_timeout 1h -> never", "live"),
        ({"limits": Limits(memory=2 << 30)}, "limits.memory 1.0G -> 2.0G", "live"),
        (
            {"volumes": (Volume("/a", "/b", read_only=True),)},
            "volumes [] -> [/a:/b:ro]",
            "recreate",
        ),
        ({"setup": ("secret thing",)}, "setup changed", "recreate"),
        ({"env": (("A", "secret"),)}, "env changed", "live"),
        ({"interrupt_on": (ToolPolicy("execute", "ask"),)}, "interrupt_on changed", "live"),
    ],
)
def test_each_difference_says_what_it_needs(fields: dict[str, Any], text: str, needs: str) -> None:
    (change,) = changes(profile(), edited(profile(), **fields))
    assert (change.text, change.needs) == (text, needs)


def test_what_needs_a_new_container_is_what_the_hash_covers() -> None:
    for fields in (
        {"image": "x"},
        {"user": "root"},
        {"shell": "/bin/zsh"},
        {"work_dir": "/w"},
        {"setup": ("a",)},
    ):
        new = edited(profile(), **fields)
        assert [change.needs for change in changes(profile(), new)] == ["recreate"]
        assert new.container_hash() != profile().container_hash()


def test_rules_that_only_moved_in_their_file_are_no_change() -> None:
    old = profile(interrupt_on=(ToolPolicy("execute", "ask", (Rule("allow", "ls *"),)),))
    assert changes(old, profile(interrupt_on=old.interrupt_on)) == ()
