"""`python -m tests.faults.nursery`: forks a daemon for each line that it is told.

A daemon takes half a second to load and a hundredth of that to fork: so thousands of them can be
killed. Each line is JSON with the environment and the profiles; the answer is a process id.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from deepd.errors import DaemonDownError

ROOT = Path(__file__).parents[2]
FAKE = "DEEPD_TEST_FAKE_ENGINE"
"""When it is set the daemon has a fake engine, whose sandboxes end with it."""
_LOADED = (
    "uvloop",
    "watchfiles",
    "deepd.config.settings",
    "deepd.daemon.daemon",
    "deepd.engine.fake",
    "tests.faults.failpoints",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvicorn.lifespan.off",
)
"""What a daemon loads, before it is forked."""


class Nursery:
    """The process that forks daemons, from the test's side."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._lock = threading.Lock()

    def fork(self, env: dict[str, str], profiles: Sequence[Path], log: Path) -> int:
        """Start a daemon and return its process id; it may not serve yet."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"env": env, "profiles": [str(path) for path in profiles], "log": str(log)}
        with self._lock:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it; daemons go on."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)


class Life:
    """One daemon's life, from fork to death."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def is_over(self, within: float = 0.0) -> bool:
        """Tell whether it has ended, waiting so long for it."""
        if self._descriptor < 0:
            return True
        ended = bool(select.select([self._descriptor], [], [], within)[0])
        if ended:
            os.close(self._descriptor)
            self._descriptor = -1
        return ended

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and wait for the end."""
        if self._descriptor >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)
            assert self.is_over(30), f"the daemon {self.pid} does not end"


def wait_until_serving(client: Any, life: Life, within: float = 30.0) -> float:
    """Return the seconds until this daemon answers; also when it died first."""
    began, left = time.monotonic(), within
    while not life.is_over():
        asked = time.monotonic()
        with suppress(DaemonDownError, OSError):
            if client.info()["pid"] == life.pid:
                break
        time.sleep(0.002)
        # Where all processes stood still for a while, that was not the daemon's fault.
        left -= min(time.monotonic() - asked, 1.0)
        assert left > 0, "the daemon does not serve"
    return time.monotonic() - began


def _main() -> None:
    for name in _LOADED:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for them
    for line in sys.stdin.buffer:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_daemon(order)
        print(pid, flush=True)


def _be_daemon(order: dict[str, Any]) -> NoReturn:
    """Be a daemon as `deepd run` is one, with a log and an environment of its own."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(order["env"])
        code = _serve(order["profiles"])
    except BaseException:  # noqa: BLE001 - the child's last word, in its log
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _serve(profiles: list[str]) -> int:
    import logging

    import uvloop

    from deepd.config.settings import load_settings
    from deepd.daemon.daemon import Daemon
    from deepd.engine.fake import FakeEngine
    from deepd.engine.fake_world import FakeWorld
    from tests.faults.failpoints import install

    install()
    logging.basicConfig(level=os.environ.get("DEEPD_TEST_LOG", "WARNING"))
    settings, paths = load_settings(), [Path(path) for path in profiles]
    if os.environ.get(FAKE):
        world = FakeWorld()
        daemon = Daemon(settings, paths, engine_of=lambda name, _: FakeEngine(name, world))
    else:
        daemon = Daemon(settings, paths)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(daemon.run(lambda: None))
    return 0


if __name__ == "__main__":
    _main()
