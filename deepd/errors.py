"""Every error that deepd raises on purpose, with a stable code each.

DeepdError
├── BadRequestError           bad-request        the request makes no sense
│   ├── ArgumentsError        bad-arguments      a tool's arguments do not fit
│   └── TooLargeError         too-large          more bytes than the limit
├── NotFoundError             not-found          no such session, call, approval, profile, file
├── ConflictError             conflict           the wrong state for this
│   ├── AlreadyDecidedError   already-decided    somebody was first
│   ├── FingerprintError      fingerprint        not what was shown
│   └── OwnedError            owned              another process owns it
├── ForbiddenError            forbidden          this socket's role may not
├── DeniedError               denied             a rule, a human or a deadline said no
├── GoneError                 gone               it was there and is not kept any more
├── LimitError                limit              a limit was reached; later may be better
├── CallTimeoutError          timed-out          it ran longer than it may; a TimeoutError
├── SandboxError              sandbox            the sandbox could not do it
│   ├── SandboxStopped        sandbox-stopped    it was stopped on purpose
│   ├── CallLostError         lost               the container went away under the call
│   ├── FileError             file               a file operation failed, with errno's name
│   └── ProtocolError         protocol           the guest said what it may not
├── EngineError               engine             weather: the engine did not do it
│   ├── EngineDownError       engine-down        nobody answers at the endpoint
│   ├── EngineTimeoutError    engine-timeout     unknown whether it happened: look again
│   └── EngineRefusedError    engine-refused     it said no, and will again until something changes
│       └── ImageNotFoundError image-not-found   no such image here or at its registry
├── ProfileError              bad-profile        with file:line:column positions
├── SettingsError             bad-settings       the daemon's own settings
└── DaemonDownError           daemon-down        nobody answers at the socket
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself would cost a command a tenth of its start
if TYPE_CHECKING:
    from typing import ClassVar


class DeepdError(Exception):
    """The root: `str(error)` says what happened, `next_step` what to do about it."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str, *, next_step: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.next_step = next_step


class BadRequestError(DeepdError):
    """The request makes no sense."""

    code = "bad-request"


class ArgumentsError(BadRequestError):
    """A tool's arguments do not fit the tool."""

    code = "bad-arguments"


class TooLargeError(BadRequestError):
    """More bytes than the limit."""

    code = "too-large"


class NotFoundError(DeepdError):
    """No such session, call, approval, profile or file."""

    code = "not-found"


class ConflictError(DeepdError):
    """The thing is in the wrong state for this."""

    code = "conflict"


class AlreadyDecidedError(ConflictError):
    """Somebody decided first; their decision stands."""

    code = "already-decided"


class FingerprintError(ConflictError):
    """The decision names something else than what is held now."""

    code = "fingerprint"


class OwnedError(ConflictError):
    """Another process owns this sandbox or state folder."""

    code = "owned"


class ForbiddenError(DeepdError):
    """This socket's role may not do that."""

    code = "forbidden"


class DeniedError(DeepdError):
    """A rule, a human or a deadline said no; nothing ran."""

    code = "denied"


class GoneError(DeepdError):
    """It was there and is not kept any more."""

    code = "gone"


class LimitError(DeepdError):
    """A limit was reached; later may be better."""

    code = "limit"


class CallTimeoutError(DeepdError, TimeoutError):
    """The call ran longer than it may; `output` is what it had printed."""

    code = "timed-out"

    def __init__(self, detail: str, *, next_step: str = "", output: bytes = b"") -> None:
        super().__init__(detail, next_step=next_step)
        self.output = output


class SandboxError(DeepdError):
    """The sandbox could not do it."""

    code = "sandbox"


class SandboxStopped(SandboxError):  # noqa: N818 - a public name that users of the Python API know
    """The sandbox was stopped on purpose and does not come back by itself."""

    code = "sandbox-stopped"


class CallLostError(SandboxError):
    """The container went away under the call; whether it had an effect is not known."""

    code = "lost"


class FileError(SandboxError):
    """A file operation failed inside the sandbox; `errno_name` is such as `ENOENT`."""

    code = "file"

    def __init__(self, detail: str, *, next_step: str = "", errno_name: str = "") -> None:
        super().__init__(detail, next_step=next_step)
        self.errno_name = errno_name


class ProtocolError(SandboxError):
    """The guest said what it may not; its stream is closed."""

    code = "protocol"


class EngineError(DeepdError):
    """Weather: the engine did not do it, and may do it later."""

    code = "engine"


class EngineDownError(EngineError):
    """Nobody answers at the engine's endpoint."""

    code = "engine-down"


class EngineTimeoutError(EngineError):
    """The engine did not answer in time; what was asked may still happen."""

    code = "engine-timeout"


class EngineRefusedError(EngineError):
    """The engine said no, and will say it again until the profile changes."""

    code = "engine-refused"


class ImageNotFoundError(EngineRefusedError):
    """No such image here or at its registry."""

    code = "image-not-found"


class SettingsError(DeepdError):
    """The daemon's own settings do not make sense."""

    code = "bad-settings"


class DaemonDownError(DeepdError):
    """Nobody answers at the daemon's socket."""

    code = "daemon-down"


class ProfileError(DeepdError):
    """A profile that cannot be used; `problems` has each place and what is wrong there."""

    code = "bad-profile"

    def __init__(
        self, detail: str, *, next_step: str = "", problems: tuple[object, ...] = ()
    ) -> None:
        super().__init__(detail, next_step=next_step)
        self.problems = problems


def _tree(cls: type[DeepdError]) -> dict[str, type[DeepdError]]:
    found = {cls.code: cls}
    for child in cls.__subclasses__():
        found |= _tree(child)
    return found


BY_CODE: dict[str, type[DeepdError]] = _tree(DeepdError)
"""The class for a code that came over the wire."""
