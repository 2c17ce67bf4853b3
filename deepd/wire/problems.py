"""Errors on the wire: RFC 9457 problem bodies, to and from the tree in `deepd.errors`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepd.errors import (
    BY_CODE,
    CallTimeoutError,
    DeepdError,
    FileError,
    ProfileError,
)
from deepd.wire.octets import pack, unpack

CONTENT_TYPE = "application/problem+json"
_MAX_DETAIL = 16 << 10
_MAX_PROBLEMS = 200

TABLE: dict[str, tuple[int, str]] = {
    "error": (500, "Something went wrong in the daemon"),
    "bad-request": (400, "The request makes no sense"),
    "bad-arguments": (422, "The arguments do not fit the tool"),
    "too-large": (413, "More bytes than the limit"),
    "not-found": (404, "No such thing"),
    "conflict": (409, "The wrong state for this"),
    "already-decided": (409, "Somebody decided first"),
    "fingerprint": (412, "Not what is held now"),
    "owned": (409, "Another process owns it"),
    "forbidden": (403, "This socket may not do that"),
    "denied": (403, "Denied; nothing ran"),
    "gone": (410, "Not kept any more"),
    "limit": (429, "A limit was reached"),
    "timed-out": (408, "It ran longer than it may"),
    "sandbox": (502, "The sandbox could not do it"),
    "sandbox-stopped": (409, "The sandbox was stopped on purpose"),
    "lost": (502, "The container went away under the call"),
    "file": (422, "A file operation failed"),
    "protocol": (502, "The guest broke the protocol"),
    "engine": (503, "The engine did not do it"),
    "engine-down": (503, "Nobody answers at the engine's endpoint"),
    "engine-timeout": (504, "The engine did not answer in time"),
    "engine-refused": (502, "The engine refused"),
    "image-not-found": (502, "No such image"),
    "bad-profile": (422, "The profile cannot be used"),
    "bad-settings": (500, "The daemon's settings do not make sense"),
    "daemon-down": (503, "Nobody answers at the daemon's socket"),
}
"""For each stable code its HTTP status and its title."""

_FILE_STATUS = {
    "ENOENT": 404,
    "EACCES": 403,
    "EPERM": 403,
    "EROFS": 403,
    "EEXIST": 409,
    "EISDIR": 409,
    "ENOTDIR": 409,
    "ENOTEMPTY": 409,
    "EBUSY": 409,
    "EFBIG": 413,
    "ENOSPC": 429,
    "EDQUOT": 429,
}


def status_of(error: DeepdError) -> int:
    """Return the HTTP status of an error; a file error's goes by its errno."""
    status, _ = TABLE.get(error.code, TABLE["error"])
    if isinstance(error, FileError):
        return _FILE_STATUS.get(error.errno_name, status)
    return status


def statuses_of(code: str) -> tuple[int, ...]:
    """Return the statuses that errors of a code may have."""
    own = TABLE[code][0]
    return (own, *sorted({*_FILE_STATUS.values()} - {own})) if code == FileError.code else (own,)


def to_problem(error: DeepdError, **extra: Any) -> dict[str, Any]:
    """Return the body for an error; `extra` goes in beside it, such as the call's id."""
    code = error.code if error.code in TABLE else "error"
    body: dict[str, Any] = {
        "type": code,
        "title": TABLE[code][1],
        "status": status_of(error),
        "detail": error.detail[:_MAX_DETAIL],
    }
    if error.next_step:
        body["next"] = error.next_step
    match error:
        case FileError(errno_name=str(name)) if name:
            body["errno"] = name
        case CallTimeoutError(output=output):
            body["output"] = pack(output)
        case ProfileError(problems=problems):
            body["errors"] = [profile_problem(problem) for problem in problems[:_MAX_PROBLEMS]]
        case _:
            pass
    return body | extra


def profile_problem(problem: object) -> Any:
    """Return one place in a profile and what is wrong there, as a flat object."""
    if isinstance(problem, str | Mapping):
        return problem
    position = getattr(problem, "position", None)
    return {
        "file": str(getattr(position, "file", "")),
        "line": getattr(position, "line", 0),
        "column": getattr(position, "column", 0),
        "message": str(getattr(problem, "message", problem)),
        "hint": str(getattr(problem, "hint", "")),
        "source": str(getattr(problem, "source", "")),
        "length": getattr(problem, "length", 0),
    }


def from_problem(body: Mapping[str, Any]) -> DeepdError:
    """Return the exception that a problem body stands for; an unknown code is a `DeepdError`."""
    cls = BY_CODE.get(str(body.get("type")), DeepdError)
    detail = str(body.get("detail") or body.get("title") or "the daemon reported an error")
    next_step = str(body.get("next") or "")
    if issubclass(cls, FileError):
        return cls(detail, next_step=next_step, errno_name=str(body.get("errno") or ""))
    if issubclass(cls, CallTimeoutError):
        return cls(detail, next_step=next_step, output=_output(body))
    if issubclass(cls, ProfileError):
        return cls(detail, next_step=next_step, problems=tuple(body.get("errors") or ()))
    return cls(detail, next_step=next_step)


def _output(body: Mapping[str, Any]) -> bytes:
    try:
        return unpack(body.get("output") or {})
    except ValueError:
        return b""
