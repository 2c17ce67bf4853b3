"""What is remembered, and what a changed profile would mean, as a person at a shell does it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.daemon.cli_user import User, fake_daemon, new_user

ASKS = 'interrupt_on = ["execute"]\n'


@pytest.fixture
def user() -> Iterator[User]:
    with new_user() as somebody, fake_daemon(somebody, asks=ASKS):
        yield somebody


def test_what_is_remembered_runs_until_it_is_revoked(user: User) -> None:
    waiting = user.spawn("exec", "asks", "--", "touch", "a b")
    shown = user.text("approve", user.held(), "--for", "session", "--count", "5")
    waiting.communicate(timeout=30)
    assert "it is 0 that were asked" in shown
    assert "add \"touch 'a b'\" to interrupt_on.execute.allow" in shown
    assert user.run("exec", "asks", "--", "touch", "a b").returncode == 0
    (grant,) = json.loads(user.text("grants", "--json"))["grants"]
    assert (grant["left"], grant["args"]) == (4, {"argv": ["touch", "a b"]})
    assert "touch 'a b'" in user.text("grants")
    assert (user.home / "state" / "grants.toml").read_text().count(grant["id"]) == 1
    user.text("grants", "revoke", grant["id"][:8])
    assert user.text("grants", "-q") == ""
    again = user.spawn("exec", "asks", "--", "touch", "a b")
    user.text("deny", user.held())
    again.communicate(timeout=30)
    assert again.returncode == 7


def test_a_scope_that_the_profile_does_not_allow_leaves_the_call_held(user: User) -> None:
    waiting = user.spawn("exec", "asks", "--", "touch", "x")
    held = user.held()
    refused = user.run("approve", held, "--for", "profile")
    assert refused.returncode != 0
    assert b"approvals.remember allows session" in refused.stderr
    assert user.held() == held
    user.text("deny", held)
    waiting.communicate(timeout=30)
    assert waiting.returncode == 7


CHANGED = """
[interrupt_on.execute]
default = "ask"
allow = ["touch *"]
deny = ["id *"]
"""


def test_a_backtest_lists_what_a_person_refused_and_would_now_pass(user: User) -> None:
    for words, verb in ((["touch", "x"], "deny"), (["touch", "y"], "approve"), (["id"], "approve")):
        waiting = user.spawn("exec", "asks", "--", *words)
        user.text(verb, user.held())
        waiting.communicate(timeout=30)
    changed = user.home / "changed.toml"
    changed.write_text((user.home / "asks.toml").read_text().replace(ASKS, CHANGED))
    none = user.run("policy", "backtest", "changed.toml")
    assert (none.returncode, b"no calls of the profile changed" in none.stdout) == (0, True)
    done = user.run("policy", "backtest", "changed.toml", "--of", "asks", "--since", "1h")
    said = done.stdout.decode()
    assert done.returncode == 1
    assert said.startswith("3 calls of asks: 0 would go as they went\n2 would now pass alone\n")
    assert "1 would now be denied" in said
    refused = said[said.index("1 that a person refused would now pass:") :]
    assert "touch x" in refused
    assert "touch y" not in refused
    assert "changed.toml:" in refused
    found = json.loads(user.run("policy", "backtest", "asks", "--json").stdout)
    assert (found["looked_at"], found["same"], found["reversed_count"]) == (3, 3, 0)
    changed.write_text("image = 3")
    broken = user.run("policy", "backtest", "changed.toml")
    assert broken.returncode not in (0, 1)
    assert b"changed.toml:1:9" in broken.stderr
    assert user.run("policy", "backtest").returncode == 64
