"""Parameter: what may stand in a request's query or headers, as the schema tells it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Parameter:
    """One name in the query or among the headers."""

    name: str
    schema: dict[str, Any]
    about: str = ""
    required: bool = False
    place: Literal["query", "header"] = "query"

    def needed(self) -> Parameter:
        """Return it as one that must be given."""
        return replace(self, required=True)


def text(name: str, about: str = "") -> Parameter:
    """Return a parameter of any text."""
    return Parameter(name, {"type": "string", "pattern": NO_ZERO}, about)


def some_text(name: str, about: str = "") -> Parameter:
    """Return a parameter of text that is not empty."""
    return Parameter(name, {"type": "string", "pattern": NO_ZERO, "minLength": 1}, about).needed()


def flag(name: str, about: str = "") -> Parameter:
    """Return a parameter that is on or off."""
    return Parameter(name, {"enum": ["0", "1", "false", "true"]}, about)


def number(name: str, about: str = "", *, highest: int = 1 << 62) -> Parameter:
    """Return a parameter that counts something."""
    return Parameter(name, {"type": "integer", "minimum": 0, "maximum": highest}, about)


def choice(name: str, *words: str) -> Parameter:
    """Return a parameter that is one of a few words."""
    return Parameter(name, {"enum": list(words)})


def header(name: str, schema: dict[str, Any], about: str) -> Parameter:
    """Return a header."""
    return Parameter(name, schema, about, place="header")


NO_ZERO = "^[^\\x00]*$"
_PRINTABLE = "^[ -~]*$"

SESSION = Parameter("session", {"type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,62}$"})
CLIENT = header(
    "X-Deepd-Client",
    {"type": "string", "maxLength": 64, "pattern": _PRINTABLE},
    "how the caller names itself; not proven",
)
MAKES_A_CALL = (
    CLIENT,
    header(
        "Idempotency-Key",
        {"type": "string", "maxLength": 200, "pattern": _PRINTABLE},
        "repeated with the same key, a request is the same call",
    ),
    header(
        "Prefer",
        {"type": "string", "examples": ["respond-async"]},
        "with respond-async answer 202 at once: come back for the result",
    ),
    header(
        "X-Deepd-When-Gone",
        {"type": "string", "examples": ["cancel"]},
        "with cancel the call ends when its caller goes away first",
    ),
    header(
        "X-Deepd-Session-Made",
        {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,12})?$"},
        "which session of this name is meant: its created_at",
    ),
)
