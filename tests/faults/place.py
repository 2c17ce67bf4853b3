"""A place for daemons that die: one state folder, sandboxes that outlive them, and a client."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree
from tempfile import TemporaryDirectory
from typing import Any

from deepd.client.sync import Client
from deepd.engine.box import Box
from deepd.engine.local import LOCAL_ID
from deepd.store.store import Store
from tests.eventually import eventually_sync
from tests.faults.failpoints import VARIABLE
from tests.faults.nursery import FAKE, Life, Nursery, wait_until_serving
from tests.images import engine_api
from tests.leftover import remove_leftovers

KEEP = "DEEPD_TEST_KEEP"
"""Names a folder that gets a copy of a place in which something failed."""

HEAD = """\
engine = "local"
idle_timeout = "1h"
auto_remove = false
workspace_root = "{workspaces}"
[limits]
pids = 100000
[local]
isolation = "none"
"""
"""Plain processes as sandboxes: real guests, which a killed daemon leaves running.

The kernel counts all processes of a user for that limit, other tests' fork bombs too.
"""


FAKE_HEAD = """\
image = "python:3.12-slim"
idle_timeout = "1h"
workspace_root = "{workspaces}"
"""
"""Sandboxes of the fake engine, which end with the daemon."""


DOCKER_HEAD = """\
image = "deepd-test/busybox"
idle_timeout = "1h"
workspace_root = "{workspaces}"
"""
"""Containers, which a killed daemon leaves running."""

ENGINE_HEAD = """\
{chosen}idle_timeout = "1h"
workspace_root = "{{workspaces}}"
[limits]
pids = 100000
"""
"""Sandboxes of whichever engine `choose_engine` chose."""


class Place:
    """Folders, profiles, and at most one daemon at a time."""

    def __init__(self, home: Path, nursery: Nursery, *, head: str = HEAD) -> None:
        self.home = home
        self.state = home / "state"
        self.workspaces = home / "workspaces"
        self.armed = home / "failpoint"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            **({"DOCKER_HOST": host} if (host := os.environ.get("DOCKER_HOST")) else {}),
            "DEEPD_RUNTIME_DIR": str(home / "run"),
            "DEEPD_STATE_DIR": str(self.state),
            "DEEPD_GUEST_CACHE": os.environ.get("DEEPD_GUEST_CACHE", str(Path.home() / ".cache")),
            VARIABLE: str(self.armed),
        } | ({FAKE: "1"} if head == FAKE_HEAD else {})
        self.head = head
        self.client = Client(home / "run" / "deepd.sock", name="tester", timeout=30)
        self.profiles: list[Path] = []
        self.life: Life | None = None
        self.slowest = 0.0
        """The longest time from the fork of a daemon to its first answer."""
        self._nursery = nursery

    def profile(self, name: str, text: str) -> None:
        """Write a profile on the place's engine; tables of `text` follow its head."""
        top, _, tables = f"\n{text}".partition("\n[")
        head = self.head.format(workspaces=self.workspaces)
        path = self.home / f"{name}.toml"
        path.write_text(f"{top}\n{head}{'[' if tables else ''}{tables}")
        if path not in self.profiles:
            self.profiles.append(path)

    def start(self) -> Life:
        """Start a daemon where none runs, and wait until it serves."""
        if self.life is not None and not self.life.is_over():
            return self.life
        pid = self._nursery.fork(self.env, self.profiles, self.home / "log")
        self.life = Life(pid)
        self.slowest = max(self.slowest, wait_until_serving(self.client, self.life))
        return self.life

    def ready(self, session: str = "main") -> str:
        """Wait until a session is ready, and return its sandbox."""
        shown: dict[str, Any] = {}

        def is_ready() -> bool:
            shown.update(self.client.session(session))
            return bool(shown["state"] == "ready")

        eventually_sync(is_ready, within=90)
        return str(shown["container"])

    def kill(self) -> None:
        """Kill the daemon as the kernel would."""
        if self.life is not None:
            self.life.end()

    def end(self) -> None:
        """End daemon and sandboxes in order; the store stays."""
        self.armed.unlink(missing_ok=True)
        self.start().end(signal.SIGTERM)

    def boxes(self) -> list[Box]:
        """Return what is there of the local engine's sandboxes."""
        return [Box(folder) for folder in (self.state / "local").glob(f"{LOCAL_ID}*")]

    def end_behind_its_back(self, sandbox: str, *, remove: bool) -> None:
        """End a sandbox as somebody else may, without a word to the daemon."""
        if sandbox.startswith(LOCAL_ID):
            box = Box(self.state / "local" / sandbox)
            _kill_guest(box)
            if remove:
                rmtree(box.folder)
        elif remove:
            engine_api(self.engine_host).remove_container(sandbox, force=True)
        else:
            engine_api(self.engine_host).kill(sandbox)

    @property
    def engine_host(self) -> str:
        """Where its container engine listens; empty is the usual place."""
        return self.env.get("DEEPD_PODMAN_HOST", "")

    def clean_up(self) -> None:
        """Leave no process and no container of it."""
        if self.life is not None:
            self.life.end()
        self.client.close()
        if "image =" in self.head and FAKE not in self.env and (self.state / "deepd.db").exists():
            remove_leftovers(_instance(self.state), self.engine_host)
        for box in self.boxes():
            with suppress(ProcessLookupError):
                _kill_guest(box)
        _kill_below(self.home)

    def marks(self, session: str = "main") -> Counter[str]:
        """Return what commands have written of themselves in a session's workspace."""
        file = self.workspaces / session / "workspace" / "marks"
        return Counter(file.read_text().split()) if file.exists() else Counter()

    def log(self) -> str:
        """Return the daemons' log."""
        file = self.home / "log"
        return file.read_text() if file.exists() else ""


@contextmanager
def new_place(nursery: Nursery, *, head: str = HEAD) -> Iterator[Place]:
    """Make a place; afterwards no process of it is left."""
    with TemporaryDirectory(prefix="deepd-fault-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        place = Place(home, nursery, head=head)
        try:
            yield place
        except BaseException:
            if kept := os.environ.get(KEEP):
                copytree(home, Path(kept) / home.name, ignore=ignore_patterns("run", "std*"))
            raise
        finally:
            place.clean_up()


def _kill_guest(box: Box) -> None:
    descriptor = box.guest()
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)


def _kill_below(home: Path) -> None:
    """Kill the guests of a place whose daemon is dead, and what they have started."""
    while found := [pid for pid in _processes() if pid != os.getpid() and _names(pid, home)]:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _instance(state: Path) -> str:
    with closing(Store.open(state)) as store:
        return store.instance


def _processes() -> list[int]:
    names = (path.name for path in Path("/proc").iterdir())
    return [int(name) for name in names if name.isdecimal() and int(name) > 1]


def _names(pid: int, home: Path) -> bool:
    """Tell whether a process has the place in its command line or works in it."""
    with suppress(OSError):
        folder = Path(f"/proc/{pid}")
        if os.fsencode(home) in (folder / "cmdline").read_bytes():
            return True
        return (folder / "cwd").readlink().is_relative_to(home)
    return False
