"""How a call ended, as an exit code and a sentence."""

from __future__ import annotations

from deepd.cli.failure import FAILED, say

TYPE_CHECKING = False  # typing itself would cost a command a tenth of its start
if TYPE_CHECKING:
    from typing import Any

_TIMED_OUT = 6
_DENIED = 7

_CODES = {
    "timed_out": _TIMED_OUT,
    "denied": _DENIED,
    "expired": _DENIED,
    "cancelled": FAILED,
    "lost": FAILED,
    "failed": FAILED,
}
_SENTENCES = {
    "timed_out": "it ran longer than it may, and was ended",
    "denied": "denied; nothing ran",
    "expired": "nobody decided in time; nothing ran",
    "cancelled": "cancelled",
    "lost": "the container went away under it; what it had done stays",
    "failed": "it could not be started",
}


def finish(call: dict[str, Any]) -> int:
    """Return the command's own exit code, or say why there is none and return the table's.

    A call that an error ended raises that error.
    """
    state = call["state"]
    if state == "finished":
        code = int(call.get("exit_code") or 0)
        return code if code >= 0 else 128 - code
    problem = (call.get("result") or {}).get("error")
    if isinstance(problem, dict):
        from deepd.wire.problems import from_problem  # noqa: PLC0415 - what goes well needs it not

        raise from_problem({"type": problem.get("code"), **problem})
    reason = call.get("reason") or _SENTENCES.get(state, state)
    if state == "denied" and call.get("rule"):
        rule = str(call["rule"])
        reason = rule if rule.endswith(reason) else f"{reason} ({rule})"
    from deepd.model.visible import visible  # noqa: PLC0415 - the same

    say(f"error: {state.replace('_', ' ')}: {visible(reason)}")
    return _CODES.get(state, FAILED)
