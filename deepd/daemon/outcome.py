"""Outcome: how a call ended, from what the guest or an error says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deepd.errors import BY_CODE, CallLostError, CallTimeoutError, DeepdError, FileError
from deepd.guest.requests import Exit, How
from deepd.model.call import Call, CallState
from deepd.model.duration import render_duration, render_size

_WITH_ERROR = {CallState.FAILED, CallState.LOST, CallState.TIMED_OUT}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A terminal state and all that is stored with it."""

    state: CallState
    reason: str = ""
    exit_code: int | None = None
    result: dict[str, Any] = field(default_factory=dict)
    output_size: int | None = None
    """`None`: as much as was received."""


def of_exit(exit_: Exit, call: Call) -> Outcome:
    """Return the outcome of an `execute` that the guest says is over."""
    counters = {"stdout": exit_.stdout, "stderr": exit_.stderr, "wall": exit_.wall}
    state, reason = _how(exit_, call)
    return Outcome(state, reason, exit_.code, counters, exit_.size)


def _how(exit_: Exit, call: Call) -> tuple[CallState, str]:
    match exit_.how:
        case How.TIMED_OUT:
            limit = render_duration(call.timeout or exit_.wall)
            return CallState.TIMED_OUT, f"it ran longer than {limit} and was killed"
        case How.KILLED:
            return CallState.CANCELLED, exit_.note or "killed"
        case How.OUTPUT:
            return CallState.FINISHED, f"killed after {render_size(exit_.size)} of output"
        case How.SIGNALLED:
            return CallState.FINISHED, f"ended by signal {exit_.code - 128}"
        case _:
            return CallState.FINISHED, exit_.note


def of_error(error: DeepdError) -> Outcome:
    """Return the outcome of a call that an error ended; the error is in its result."""
    state = CallState.FAILED
    if isinstance(error, CallLostError):
        state = CallState.LOST
    elif isinstance(error, CallTimeoutError):
        state = CallState.TIMED_OUT
    problem: dict[str, Any] = {"code": error.code, "detail": error.detail, "next": error.next_step}
    if isinstance(error, FileError):
        problem["errno"] = error.errno_name
    return Outcome(state, error.detail, result={"error": problem})


def error_of(call: Call) -> DeepdError | None:
    """Return the error that ended a call, as it was raised; `None` when there was none."""
    problem = call.result.get("error") if call.state in _WITH_ERROR else None
    if not isinstance(problem, dict):
        return None
    cls = BY_CODE.get(str(problem.get("code")), DeepdError)
    detail, next_step = str(problem.get("detail")), str(problem.get("next", ""))
    if issubclass(cls, FileError):
        return cls(detail, next_step=next_step, errno_name=str(problem.get("errno", "")))
    return cls(detail, next_step=next_step)
