"""Podman's service for tests: root's, and an ordinary user's, each with storage of its own.

Root's runs in a network namespace of its own, so that it changes nothing of this machine's network.
The user's runs as somebody who exists only in its own mount namespace.
"""

from __future__ import annotations

import os
import resource
import secrets
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.eventually import eventually_sync
from tests.images import BUSYBOX, PYTHON, README_IMAGE, engine_api, is_here

if TYPE_CHECKING:
    from docker import APIClient

USER = 4242
"""Of the rootless one; nobody of this machine."""
_SUBORDINATES = "200000:65536"
_NEEDED = ("podman", "runc", "nsenter", "unshare", "ip", "setpriv")
_AS_ROOT = """\
mount --bind /bin/false /usr/bin/dpkg-query 2>/dev/null
exec "$@"
"""
"""It asks the package manager about its own programs whenever it is asked who it is: a second of
work for each daemon of these tests. The user's may go on doing so."""
_AS_USER = """\
set -e
touch /etc/subuid /etc/subgid
for file in passwd group subuid subgid; do mount --bind "$1/$file" "/etc/$file"; done
shift
exec setpriv --reuid {user} --regid {user} --clear-groups -- "$@"
"""


def missing(*, rootless: bool) -> str:
    """Return why there can be no such service here; empty when there can."""
    if os.geteuid() != 0:
        return "only root may start podman's service for tests"
    needed = [*_NEEDED, *(["newuidmap"] if rootless else [])]
    absent = [name for name in needed if shutil.which(name) is None]
    return f"podman's tests need {', '.join(absent)}" if absent else ""


class PodmanService:
    """One service with its images and containers."""

    def __init__(self, *, rootless: bool) -> None:
        self.rootless = rootless
        self.folder = Path(tempfile.mkdtemp(prefix="deepd-podman-", dir="/tmp"))
        self.host = f"unix://{self.folder}/p.sock"
        self._namespace = f"deepd-{self.folder.name.rpartition('-')[2]}-{secrets.token_hex(2)}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def owner(self) -> int:
        """Whose files its containers can write: the user who runs it."""
        return USER if self.rootless else 0

    def set_up(self) -> None:
        """Start it and give it the small image."""
        self._write_files()
        command = ["podman", *self._options(), "system", "service", "--time", "0", self.host]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*self._place(), *command],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually_sync(self._answers, within=30)
        self.load(BUSYBOX)

    def load(self, image: str) -> None:
        """Give it an image of docker's that it has not got; the large one takes ten seconds."""
        if is_here(image, self.host):
            return
        archive = b"".join(engine_api("").get_image(image))
        list(self.api().load_image(archive))  # type: ignore[no-untyped-call] # so are the stubs
        if image == PYTHON:
            repository, tag = README_IMAGE.split(":")
            self.api().tag(PYTHON, f"localhost/{repository}", tag)

    def api(self) -> APIClient:
        """Return a client of it."""
        return engine_api(self.host)

    def clean_up(self) -> None:
        """Remove its containers, end it, and leave nothing of it."""
        with suppress(Exception):
            for row in self.api().containers(all=True):
                self.api().remove_container(row["Id"], force=True)
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # it has no containers any more
            self._process.wait(30)
        self._end_processes()
        if not self.rootless:
            subprocess.run(["ip", "netns", "del", self._namespace], check=False)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([path for path in mounts if path.startswith(f"{self.folder}/")]):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end_processes(self) -> None:
        """End what outlives the service, such as what keeps a user's namespaces."""
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"={self.folder}/".encode() in (folder / "environ").read_bytes():
                    os.kill(int(folder.name), signal.SIGKILL)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        return (self.folder / "p.sock").exists()

    def _options(self) -> list[str]:
        places = {"root": "root", "runroot": "run", "tmpdir": "tmp"}
        options = [word for key, name in places.items() for word in (f"--{key}", self._at(name))]
        return [*options, "--runtime", "runc"]

    def _at(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _place(self) -> list[str]:
        if self.rootless:
            script = _AS_USER.format(user=USER)
            return ["unshare", "-m", "bash", "-c", script, "bash", str(self.folder)]
        subprocess.run(["ip", "netns", "add", self._namespace], check=True)
        inside = ["nsenter", f"--net=/run/netns/{self._namespace}"]
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        return [*inside, "unshare", "-m", "sh", "-c", _AS_ROOT, "sh"]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": self._at("home"),
            "XDG_RUNTIME_DIR": self._at("xdg"),
            "CONTAINERS_CONF": self._at("containers.conf"),
            "CONTAINERS_STORAGE_CONF": self._at("storage.conf"),
        }

    def _write_files(self) -> None:
        # What it may hand on is less than what it takes for granted.
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        pids = int(Path("/proc/sys/kernel/pid_max").read_text())
        processes = min(pids, resource.getrlimit(resource.RLIMIT_NPROC)[1])
        text = {
            "containers.conf": f'[containers]\ndefault_ulimits=["nofile={files}:{files}",'
            f'"nproc={processes}:{processes}"]\n'
            '[engine]\ncgroup_manager="cgroupfs"\nevents_logger="file"\n',
            "storage.conf": f'[storage]\ndriver="overlay"\nrunroot="{self._at("run")}"\n'
            f'graphroot="{self._at("root")}"\n',
            "passwd": Path("/etc/passwd").read_text()
            + f"deepdtest:x:{USER}:{USER}::{self._at('home')}:/bin/sh\n",
            "group": Path("/etc/group").read_text() + f"deepdtest:x:{USER}:\n",
            "subuid": f"deepdtest:{_SUBORDINATES}\n",
            "subgid": f"deepdtest:{_SUBORDINATES}\n",
        }
        for name, content in text.items():
            (self.folder / name).write_text(content)
        self.folder.chmod(0o755)
        for name in ("root", "run", "tmp", "home", "xdg"):
            (self.folder / name).mkdir(mode=0o700)
            if self.rootless:
                os.chown(self.folder / name, USER, USER)
        if self.rootless:
            os.chown(self.folder, USER, USER)
