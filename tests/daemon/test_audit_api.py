"""The audit trail over the socket is the one in the store, and `deepd audit verify` checks it."""

from __future__ import annotations

import json

from tests.daemon.cli_user import fake_daemon, new_user


def test_verify_asks_a_daemon_that_runs_and_reads_the_folder_of_one_that_does_not() -> None:
    with new_user() as user:
        with fake_daemon(user, main=""):
            user.text("exec", "main", "--", "true")
            shown = user.text("audit")
            assert "call_sent" in shown
            assert "call_ended" in shown
            asked = json.loads(user.text("audit", "verify", "--json"))
            agent = user.run("--socket", f"{user.home}/run/agent.sock", "audit", "verify")
            assert agent.returncode == 5  # an agent reads no trail
        read = json.loads(user.text("audit", "verify", "--head", asked["head"], "--json"))
    assert (asked["ok"], read["ok"]) == (True, True)
    assert read["rows"] >= asked["rows"] >= 2
