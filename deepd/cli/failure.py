"""How a command fails: what it says on stderr, and its exit code."""

from __future__ import annotations

import sys

from deepd.errors import DeepdError, FileError

OK = 0
FAILED = 1
CHANGES = 2
INTERRUPTED = 130
BROKEN_PIPE = 141

EXIT_CODES = {
    "daemon-down": 3,
    "not-found": 4,
    "gone": 4,
    "forbidden": 5,
    "timed-out": 6,
    "engine-timeout": 6,
    "denied": 7,
    "conflict": 8,
    "bad-request": 64,
    "engine-down": 69,
    "bad-profile": 78,
    "bad-settings": 78,
}
"""By an error's code, or that of the nearest class above it; all others are 1."""

_BY_ERRNO = {"ENOENT": 4, "EACCES": 5, "EPERM": 5, "EROFS": 5}
"""For what a file operation in a sandbox failed with."""


def exit_code(error: DeepdError) -> int:
    """Return the exit code that stands for an error."""
    if isinstance(error, FileError):
        return _BY_ERRNO.get(error.errno_name, FAILED)
    for cls in type(error).__mro__:
        code = EXIT_CODES.get(getattr(cls, "code", ""))
        if code is not None:
            return code
    return FAILED


def report(error: DeepdError) -> int:
    """Print an error and what to do next on stderr; return its exit code."""
    from deepd.model.visible import visible  # noqa: PLC0415 - what goes well needs it not

    problems = getattr(error, "problems", ())
    if problems:
        from deepd.cli.problems import render_problems  # noqa: PLC0415 - only broken profiles need it

        say(render_problems(problems))
    else:
        # What is wrong in a file of settings comes as whole messages with their places.
        start = "" if error.detail.startswith("error") else "error: "
        say(f"{start}{visible(error.detail)}")
    if error.next_step:
        say(f"next: {visible(error.next_step)}")
    return exit_code(error)


def say(text: str) -> None:
    """Print lines for the person on stderr, also while their terminal is in raw mode."""
    sys.stderr.write(text.replace("\n", "\r\n") + "\r\n" if sys.stderr.isatty() else text + "\n")
    sys.stderr.flush()
