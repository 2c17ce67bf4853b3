"""What states look like: the word says it, the tone helps."""

from __future__ import annotations

from deepd.tui.world import Json

_TONES = {
    "ready": "good",
    "finished": "good",
    "approved": "good",
    "up": "good",
    "busy": "accent",
    "running": "accent",
    "sent": "accent",
    "pulling": "accent",
    "creating": "accent",
    "starting": "accent",
    "setup": "accent",
    "held": "warn",
    "stale": "warn",
    "waiting": "warn",
    "pausing": "warn",
    "stopping": "warn",
    "closing": "warn",
    "timed_out": "warn",
    "expired": "warn",
    "failed": "bad",
    "broken": "bad",
    "lost": "bad",
    "denied": "bad",
    "down": "bad",
    "no profile": "bad",
}


def tone_of(state: str) -> str:
    """Return the tone of a state's word; quiet for what rests."""
    return _TONES.get(state, "quiet")


def outcome(call: Json) -> tuple[str, str]:
    """Return how a call ended or where it is, and its tone."""
    if call["state"] == "finished" and call.get("exit_code") is not None:
        code = call["exit_code"]
        return f"exit {code}", "quiet" if code == 0 else "bad"
    return str(call["state"]).replace("_", " "), tone_of(call["state"])
