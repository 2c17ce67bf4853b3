"""Rows for tests of the store."""

from __future__ import annotations

from typing import Any

from deepd.model.approval import Approval
from deepd.model.call import Call, CallState
from deepd.model.ids import CallId, ProfileName, SessionName, new_call_id

SESSION = SessionName("main")


def make_call(state: CallState = CallState.ADMITTED, **changed: Any) -> Call:
    """Return a call that nobody has stored."""
    values: dict[str, Any] = {
        "id": new_call_id(),
        "session": SESSION,
        "profile": ProfileName("python"),
        "tool": "execute",
        "args": {"command": "true"},
        "state": state,
        "created_at": 1000.0,
    }
    return Call(**(values | changed))


def make_approval(call_id: CallId, fingerprint: str = "f" * 64, **changed: Any) -> Approval:
    """Return the pending approval of a call."""
    values: dict[str, Any] = {
        "id": call_id,
        "session": SESSION,
        "profile": ProfileName("python"),
        "tool": "execute",
        "args": {"command": "true"},
        "fingerprint": fingerprint,
        "asked_at": 1000.0,
        "deadline": 1900.0,
    }
    return Approval(**(values | changed))
