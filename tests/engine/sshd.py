"""An sshd for tests: on a loopback port, with keys, users' files and a configuration of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.eventually import eventually_sync

_SERVER = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
"""
_CLIENT = """\
IdentityFile {key}
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile {known}
GlobalKnownHostsFile none
StrictHostKeyChecking yes
"""
_SHARED = """\
ControlMaster auto
ControlPath {folder}/shared
ControlPersist 2
"""


def missing() -> str:
    """Return why there can be no sshd here; empty when there can."""
    absent = [name for name in ("ssh", "sshd", "ssh-keygen") if _find(name) is None]
    return f"an engine behind ssh needs {', '.join(absent)}" if absent else ""


class Sshd:
    """The server, and the `ssh` programs of those who come to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        for name in ("host", "user", "stranger"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        known = (folder / "host.pub").read_text()
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {known}")
        (folder / "unknown").touch()
        (folder / "sshd_config").write_text(_SERVER.format(port=self.port, folder=folder))
        self.program = self._program("ssh", key="user", known="known")
        """An `ssh` that comes through."""
        self.shared = self._program("shared-ssh", key="user", known="known", more=_SHARED)
        """One that carries all over a single connection, as its user may have said."""
        self.of_a_stranger = self._program("stranger-ssh", key="stranger", known="known")
        self.of_somebody_new = self._program("new-ssh", key="user", known="unknown")

    def url(self, path: str) -> str:
        """Return the address of a socket behind it."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"

    def _program(self, name: str, *, key: str, known: str, more: str = "") -> str:
        settings = self._folder / f"{name}.config"
        text = _CLIENT.format(key=self._folder / key, known=self._folder / known)
        settings.write_text(text + more.format(folder=self._folder))
        program = self._folder / f"{name}.sh"
        program.write_text(f'#!/bin/sh\nexec {_find("ssh")} -F {settings} "$@"\n')
        program.chmod(0o755)
        return str(program)


@contextmanager
def sshd() -> Iterator[Sshd]:
    """A server for the block."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # it insists on this folder of the package's
    with tempfile.TemporaryDirectory(prefix="deepd-sshd-") as name:
        folder = Path(name)
        made = Sshd(folder)
        command = [str(_find("sshd")), "-D", "-e", "-f", str(folder / "sshd_config")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        try:
            eventually_sync(lambda: _listens(made.port) or process.poll() is not None)
            assert process.poll() is None, (folder / "log").read_text()
            yield made
        finally:
            process.terminate()
            process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _find(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
