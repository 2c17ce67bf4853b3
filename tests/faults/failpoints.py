"""Failpoints: where a daemon under test may be made to die, one after every step that counts.

Only a daemon that these tests start has them: they are put around the store, the engine and the
guest's stream from outside, so the product carries none. `DEEPD_TEST_FAILPOINT` names a file; the
process kills itself as the kernel would at the point whose name is in it, and adds each point that
it comes by to the file beside it.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepd.engine.docker import DockerEngine
from deepd.engine.local import LocalEngine
from deepd.guest.call import GuestCall
from deepd.guest.connection import Guest
from deepd.store.database import Database
from deepd.store.spool import Spool

VARIABLE = "DEEPD_TEST_FAILPOINT"
_STORE = f"{os.sep}store{os.sep}"
_ENGINE = ("create", "start", "stop", "remove", "open", "observe")
_STEPS: tuple[tuple[type, str, tuple[str, ...]], ...] = (
    (LocalEngine, "engine", _ENGINE),
    (DockerEngine, "engine", _ENGINE),
    (Guest, "guest", ("open", "follow", "release")),
    (GuestCall, "guest", ("write_stdin", "close_stdin", "kill", "ack", "wait")),
    (Spool, "spool", ("append", "mend", "keep_body", "adopt_body", "remove", "remove_body")),
)


class Failpoints:
    """The points of this process."""

    def __init__(self, file: Path) -> None:
        self._armed = file
        self._trace = os.open(trace_of(file), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def reach(self, name: str) -> None:
        """Come by a point, and die there when it is the one that is armed."""
        os.write(self._trace, f"{name}\n".encode())
        if self._armed.exists() and self._armed.read_text() == name:
            self._armed.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Put points around every step; before it, and once it is done."""
        for owner, layer, verbs in _STEPS:
            for verb in verbs:
                setattr(owner, verb, self._around(f"{layer}.{verb}", getattr(owner, verb)))
        Database._transaction = self._around_transaction(Database._transaction)  # type: ignore[method-assign]

    def _around(self, name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(step):

            @functools.wraps(step)
            async def waits(*args: Any, **more: Any) -> Any:
                self.reach(f"{name}/before")
                result = await step(*args, **more)
                self.reach(f"{name}/after")
                return result

            return waits

        @functools.wraps(step)
        def does(*args: Any, **more: Any) -> Any:
            self.reach(f"{name}/before")
            result = step(*args, **more)
            self.reach(f"{name}/after")
            return result

        return does

    def _around_transaction(self, transaction: Callable[..., Any]) -> Any:
        @contextmanager
        def traced(store: Database, durable: bool) -> Iterator[None]:  # noqa: FBT001 - as it is
            name = f"store.{_writer()}"
            # The callbacks that follow a commit are a part of what comes after it.
            with transaction(store, durable):
                store.after_commit(lambda: self.reach(f"{name}/committed"))
                yield
                self.reach(f"{name}/written")

        return traced


def _writer() -> str:
    """Return who opened the transaction: the first function outside of the store."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        file = frame.f_code.co_filename
        if _STORE not in file and "deepd" in file and "/tests/" not in file:
            return frame.f_code.co_name.strip("_")
        frame = frame.f_back
    return "store"


def trace_of(file: Path) -> Path:
    """Return the file with the points that were come by."""
    return file.with_suffix(".trace")


def install() -> None:
    """Install what the environment names, if it names something."""
    if name := os.environ.get(VARIABLE):
        Failpoints(Path(name)).install()
