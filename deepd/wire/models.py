"""Requests as pydantic models: strict, bounded, and with no key that nobody knows."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_TEXT = 1 << 20
_Name = Annotated[str, Field(min_length=1, max_length=63)]
_Path = Annotated[str, Field(min_length=1, max_length=4096)]
_Text = Annotated[str, Field(max_length=MAX_TEXT)]
_Argument = Annotated[str, Field(max_length=131_072)]
_Seconds = Annotated[float, Field(gt=0, le=7 * 86400, allow_inf_nan=False)]
_Environment = Annotated[
    dict[Annotated[str, Field(max_length=256)], _Argument], Field(max_length=256)
]


class RequestModel(BaseModel):
    """The body of a request."""

    # Each is built with the first request of its kind: no start of a daemon waits for all.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class PtySize(RequestModel):
    """A terminal's size in characters."""

    rows: Annotated[int, Field(ge=1, le=1000)] = 24
    cols: Annotated[int, Field(ge=1, le=1000)] = 80


class OpenSession(RequestModel):
    """Get the session of this name, or make it of this profile."""

    name: _Name
    profile: _Name | None = None


class SubmitCall(RequestModel):
    """Any call by its tool's name."""

    tool: Annotated[str, Field(min_length=1, max_length=128)]
    args: dict[str, Any] = {}
    profile: _Name | None = None
    timeout: _Seconds | None = None
    background: bool = False


class ExecRequest(RequestModel):
    """Run a command: by a shell (`command`) or as it is (`argv`)."""

    command: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)] | None = None
    argv: Annotated[list[_Argument], Field(min_length=1, max_length=4096)] | None = None
    env: _Environment = Field(default_factory=dict)
    cwd: Annotated[str, Field(max_length=4096)] = ""
    timeout: _Seconds | None = None
    stdin: _Text | None = None
    """What it reads. Without it a background call's input stays open, and a pty's always does."""
    pty: PtySize | None = None
    background: bool = False
    profile: _Name | None = None

    @model_validator(mode="after")
    def _one_command(self) -> Self:
        if (self.command is None) == (self.argv is None):
            raise ValueError("give either command or argv")
        return self

    def arguments(self) -> dict[str, Any]:
        """Return the tool's arguments: only what was given, so that a policy sees only that."""
        return self.model_dump(
            include={"command", "argv", "env", "cwd", "stdin", "pty"}, exclude_unset=True
        )


class EditRequest(RequestModel):
    """Replace text in a file."""

    path: _Path
    old: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    new: _Text
    replace_all: bool = False


class RenameRequest(RequestModel):
    """Move a file or a folder, in place of what is there."""

    path: _Path
    to: _Path


class CancelRequest(RequestModel):
    """End a call."""

    reason: Annotated[str, Field(max_length=4096)] = ""


class RememberRequest(RequestModel):
    """How far an approval is remembered: for exactly the call that was shown."""

    scope: Literal["session", "profile"]
    count: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many further calls; without it any number."""
    until: Annotated[float, Field(gt=0, le=1e11, allow_inf_nan=False)] | None = None
    """When it ends, in seconds since the epoch; without it never."""


class DecisionRequest(RequestModel):
    """What a person decided; the fingerprint of what was shown comes as `If-Match`."""

    decision: Literal["approve", "deny"]
    args: dict[str, Any] | None = None
    reason: Annotated[str, Field(max_length=4096)] = ""
    stop: bool = False
    remember: RememberRequest | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.decision == "approve" and self.stop:
            raise ValueError("stop goes with deny only")
        if self.decision == "deny" and self.args is not None:
            raise ValueError("args go with approve only")
        if self.decision == "deny" and self.remember is not None:
            raise ValueError("remember goes with approve only")
        return self


class ExplainRequest(RequestModel):
    """A call to be decided and not made: in a session, or by a profile."""

    profile: _Name | None = None
    session: _Name | None = None
    """With it, paths are followed in its sandbox."""
    tool: Annotated[str, Field(min_length=1, max_length=128)]
    args: dict[str, Any] = {}

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.profile is None) == (self.session is None):
            raise ValueError("give either profile or session")
        return self


class BacktestRequest(RequestModel):
    """Replay the stored calls of a profile against a file, or a profile that is loaded."""

    file: _Path | None = None
    """Absolute, and read by the daemon."""
    profile: _Name | None = None
    of: _Name | None = None
    """Whose calls; without it those of the profile's own name."""
    since: Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)] = 0.0
    """Only calls after this, in seconds since the epoch."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.profile is None) == (self.file is None):
            raise ValueError("give either file or profile")
        if self.file is not None and not self.file.startswith("/"):
            raise ValueError("file must be absolute")
        return self


class StopRequest(RequestModel):
    """End the daemon; `keep` leaves the sandboxes running."""

    keep: bool = False
