"""A second dockerd in a network namespace of its own, that tests may stop, kill and restart.

The first one must not notice: a dockerd that starts in the host's network namespace without a
bridge deletes the first one's docker0.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.eventually import eventually_sync
from tests.images import BUSYBOX

_BRIDGE = Path("/sys/class/net/docker0/ifindex")
_HAND_OVER = (
    *("bash", "-c"),
    'exec 3<&"$1"; shift; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"',
    "bash",
)
"""Gives a listening socket to a program, as systemd does: it is in this network, not in its own."""
_TOOLS = ("dockerd", "docker", "ip", "nsenter", "umount")


def missing() -> str:
    """Return why there can be no second engine here; empty when there can."""
    if os.geteuid() != 0:
        return "only root may start a second engine"
    absent = [tool for tool in _TOOLS if shutil.which(tool) is None]
    return f"a second engine needs {', '.join(absent)}" if absent else ""


class SecondEngine:
    """One dockerd with its own containerd, data and containers."""

    def __init__(self, folder: Path, tls: Path | None = None) -> None:
        """With `tls` it also listens at `port`, with the certificates of that folder."""
        self.folder = folder
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0)) if tls else None
        self.host = f"unix://{folder}/d.sock"
        self._namespace = f"deepdtest-{secrets.token_hex(4)}"
        self._bridge = _bridge()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "dockerd.log"

    @property
    def port(self) -> int:
        """Of this machine's loopback, where it speaks TLS."""
        assert self._listening is not None, "it was made without certificates"
        return int(self._listening.getsockname()[1])

    def set_up(self) -> None:
        """Make the namespace, start the engine and give it the one image."""
        _run("ip", "netns", "add", self._namespace)
        self._inside("ip", "link", "set", "lo", "up")
        self.start(live_restore=True)
        saving = subprocess.Popen(["docker", "save", BUSYBOX], stdout=subprocess.PIPE)
        with saving:
            subprocess.run(
                ["docker", "-H", self.host, "load", "-q"],
                stdin=saving.stdout,
                stdout=subprocess.DEVNULL,
                check=True,
            )

    def start(self, *, live_restore: bool) -> None:
        """Start it on what it had, and wait until it answers."""
        # What a killed engine leaves behind: the next one would take another's process for it.
        for name in ("d.pid", "exec/containerd/containerd.pid"):
            self._remove_stale_pid(self.folder / name)
        (self.folder / "d.json").write_text(json.dumps({"live-restore": live_restore}))
        command = self._in_namespace("dockerd", *self._options())
        inherited = self._listening.fileno() if self._listening else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_HAND_OVER, str(inherited), *command] if inherited else command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[inherited] if inherited else [],
            )
        eventually_sync(self.answers, within=30)
        assert _bridge() == self._bridge, "the first engine's bridge was replaced"

    def answers(self) -> bool:
        """Tell whether it lists its containers."""
        done = subprocess.run(
            ["docker", "-H", self.host, "ps", "-q"], capture_output=True, timeout=20, check=False
        )
        return done.returncode == 0

    def is_up(self) -> bool:
        """Tell whether its process is there, running or stopped."""
        return self._process is not None and self._process.poll() is None

    def docker(self, *args: str) -> str:
        """Run `docker ARGS` on it and return what it printed."""
        return _run("docker", "-H", self.host, *args)

    def containers(self) -> list[str]:
        """Return the ids of all its containers, running or not."""
        return self.docker("ps", "-aq", "--no-trunc").split()

    def kill(self) -> None:
        """Kill dockerd; its containerd and containers go on."""
        self._signal(signal.SIGKILL)
        self._started.wait(10)

    def freeze(self) -> None:
        """Stop dockerd: it takes connections, and then there is silence."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a stopped dockerd go on with all that it was asked meanwhile."""
        self._signal(signal.SIGCONT)

    def kill_containerd(self) -> None:
        """Kill its containerd; dockerd starts another one, and containers go on."""
        os.kill(self._containerd(), signal.SIGKILL)

    def freeze_containerd(self) -> None:
        """Stop its containerd: dockerd still lists, and can start and kill nothing."""
        os.kill(self._containerd(), signal.SIGSTOP)

    def thaw_containerd(self) -> None:
        """Let a stopped containerd go on."""
        with suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.kill(self._containerd(), signal.SIGCONT)

    def _containerd(self) -> int:
        pid = int((self.folder / "exec/containerd/containerd.pid").read_text())
        assert self._is_ours(pid), f"{pid} is not the second engine's containerd"
        return pid

    def end(self) -> None:
        """End dockerd in order; with live-restore its containers go on."""
        if self.is_up():
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
            self._started.wait(60)

    def clean_up(self) -> None:
        """Remove its containers, end it and its containerd, and take its mounts away."""
        if not self.is_up():
            self.start(live_restore=True)
        else:
            self.thaw()
        if left := self.containers():
            self.docker("rm", "-f", "-v", *left)
        self.end()
        self._end_containerd()
        _unmount_below(self.folder)
        _run("ip", "netns", "del", self._namespace)
        if self._listening is not None:
            self._listening.close()
        assert _bridge() == self._bridge, "the first engine's bridge was replaced"

    def _options(self) -> list[str]:
        names = {"tlscacert": "ca.pem", "tlscert": "server.pem", "tlskey": "server-key.pem"}
        tls = [f"--{option}={self._tls}/{file}" for option, file in names.items()]
        return [
            *(["-H", "fd://", "--tlsverify", *tls] if self._tls else []),
            *("-H", self.host, "--data-root", f"{self.folder}/data"),
            *("--exec-root", f"{self.folder}/exec", "--pidfile", f"{self.folder}/d.pid"),
            *("--config-file", f"{self.folder}/d.json", "--bridge", "none"),
            *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
            *("--cgroup-parent", f"/{self._namespace}"),
        ]

    def _in_namespace(self, *command: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self._namespace}", *command]

    def _inside(self, *command: str) -> None:
        _run(*self._in_namespace(*command))

    def _signal(self, number: signal.Signals) -> None:
        pid = self._started.pid
        assert self._is_ours(pid), f"{pid} is not the second engine"
        os.kill(pid, number)

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the second engine was not started"
        return self._process

    def _is_ours(self, pid: int) -> bool:
        """Tell whether a process has our folder in its command line; ids are used again."""
        with suppress(OSError):
            return pid > 1 and os.fsencode(self.folder) in Path(f"/proc/{pid}/cmdline").read_bytes()
        return False

    def _remove_stale_pid(self, file: Path) -> None:
        with suppress(FileNotFoundError, ValueError):
            if not self._is_ours(int(file.read_text())):
                file.unlink()

    def _end_containerd(self) -> None:
        """End what a dockerd that was killed left to itself."""
        with suppress(FileNotFoundError, ValueError):
            pid = int((self.folder / "exec/containerd/containerd.pid").read_text())
            if self._is_ours(pid):
                os.kill(pid, signal.SIGTERM)
                eventually_sync(lambda: not self._is_ours(pid), within=20)


@contextmanager
def second_engine(tls: Path | None = None) -> Iterator[SecondEngine]:
    """A second engine for the block; afterwards nothing of it is left."""
    # The path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="deepd-2nd-", dir="/tmp"))
    engine = SecondEngine(folder, tls)
    try:
        engine.set_up()
        yield engine
    finally:
        engine.clean_up()
        shutil.rmtree(folder)


def _bridge() -> str:
    return _BRIDGE.read_text() if _BRIDGE.exists() else ""


def _unmount_below(folder: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([path for path in mounts if path.startswith(f"{folder}/")]):
        _run("umount", "-l", mount)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
