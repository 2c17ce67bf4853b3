"""Entry: the process of a command, from its first import to its exit code."""

from __future__ import annotations

import gc
import os
import sys

from deepd.cli import failure
from deepd.cli.quick import quick
from deepd.errors import DeepdError

TYPE_CHECKING = False  # typing itself would cost a command a tenth of its start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn


def entry() -> NoReturn:
    """Be the command: collect no garbage while loading, and end without tidying memory up.

    Both together take a quarter off a short command; what a command opened it has closed itself.
    """
    gc.disable()
    code = _exit_code()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)


def _exit_code() -> int:
    try:
        doing = quick(sys.argv[1:])
        if doing is not None:
            return guarded(doing)
        from deepd.cli.main import main  # noqa: PLC0415 - it loads the parser of all commands

        return main()
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:  # noqa: BLE001 - a bug: told as Python tells it, then the end
        sys.excepthook(*sys.exc_info())
        return failure.FAILED


def guarded(doing: Callable[[], int]) -> int:
    """Carry a command out; whatever it fails with is said in its place and becomes a code."""
    for stream in (sys.stdout, sys.stderr):
        # An odd locale may cost the look of a character, never the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = doing()
        sys.stdout.flush()
    except DeepdError as error:
        return failure.report(error)
    except KeyboardInterrupt:
        return failure.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter's last flush must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return failure.BROKEN_PIPE
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        failure.say(f"error: {error.strerror or error}{where}")
        return failure.FAILED
    return code
