"""What a sandbox is to bubblewrap: a list of what it may see, and everything else is not there.

The guest understands the same options (guest/box.c), so there is one list whoever makes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepd.engine.base import GUEST_PATH
from deepd.engine.spec import GUEST_CAPABILITIES
from deepd.errors import EngineRefusedError
from deepd.model.profile import Volume
from deepd.model.sandbox import SandboxSpec

STATUS = 3
"""The descriptor on which the monitor says which process the guest is, and how it ended."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix")
"""What of this machine is shown, read-only; no home, no `/run`, no `/var`, no `/tmp`."""
_RESOLVER = "/etc/resolv.conf"
_HOME = "/home/sandbox"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def check_spec(spec: SandboxSpec) -> None:
    """Raise for what only a container engine has, instead of leaving it out."""
    security = spec.security
    if security.network not in {"", "none", "bridge"}:
        raise _refused(f"the network {security.network!r}", "use none or bridge")
    if security.cap_add:
        raise _refused("`cap_add`", "leave it out")
    if security.runtime:
        raise _refused("`runtime`", "leave it out")
    for volume in spec.volumes:
        if volume.type != "bind":
            raise _refused(f"the volume {volume.source!r}", "name a folder of this machine instead")
    if os.geteuid() == 0 and runs_as_root(spec):
        raise EngineRefusedError(
            "commands would run as this machine's root, and there is no container around them",
            next_step="give the work folder to an ordinary user, name one with"
            ' user = "1000:1000", or use a container engine',
        )


def runs_as_root(spec: SandboxSpec) -> bool:
    """Tell whether calls would be root's, as the guest decides it."""
    if spec.user != "workspace":
        return spec.user == "root" or spec.user.partition(":")[0] in {"", "0"}
    at_work = [volume.source for volume in spec.volumes if volume.target == spec.work_dir]
    owned = Path(at_work[0]) if at_work else spec.workspace
    return owned is not None and owned.stat().st_uid == 0


def render_command(
    maker: Sequence[str], guest: Path, spec: SandboxSpec, masked: Iterable[Path] = ()
) -> list[str]:
    """Return the command that is the sandbox's monitor, with the guest as its first process."""
    return [
        *maker,
        *_namespaces(spec),
        *_privileges(),
        *_root(spec),
        *_system(),
        *_masks(masked),
        *_network(spec),
        *("--ro-bind", str(guest), GUEST_PATH),
        *_mounts(spec),
        *(["--remount-ro", "/"] if spec.security.read_only else []),
        *_environment(),
        *("--json-status-fd", str(STATUS)),
        *("--chdir", "/", "--", GUEST_PATH),
        *("--work-dir", spec.work_dir, "--user", spec.user, "--shell", spec.shell),
        # Of an ordinary user's sandbox the namespace itself forbids them.
        *(["--no-users"] if os.geteuid() == 0 else []),
    ]


def render_probe(maker: Sequence[str]) -> list[str]:
    """Return the command that ends well where sandboxes can be made at all."""
    return [
        *maker,
        *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--as-pid-1"),
        *_privileges(),
        *("--tmpfs", "/"),
        *_system(),
        *("--proc", "/proc", "--dev", "/dev", "--", "/bin/sh", "-c", "exit 0"),
    ]


def _namespaces(spec: SandboxSpec) -> list[str]:
    isolated = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if spec.security.network != "bridge":
        isolated.append("--unshare-net")
    # Not `--die-with-parent`: a sandbox outlives its daemon as a container does.
    return [*isolated, "--hostname", "sandbox", "--as-pid-1", "--new-session"]


def _privileges() -> list[str]:
    """Return who the guest is: ourselves in a user namespace, or root with what it needs.

    A namespace of its own would leave root's guest but one user, and it has to become another.
    """
    if os.geteuid() != 0:
        return ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
    kept = [word for name in GUEST_CAPABILITIES for word in ("--cap-add", f"CAP_{name}")]
    return ["--cap-drop", "ALL", *kept]


def _root(spec: SandboxSpec) -> list[str]:
    size = str(spec.limits.memory)
    scratch = ["--perms", "1777", "--size", size, "--tmpfs"]
    home = [] if os.geteuid() == 0 else ["--dir", _HOME]  # root's guest makes it for its user
    return [
        *("--size", size, "--tmpfs", "/"),
        *("--proc", "/proc", "--dev", "/dev"),
        *(*scratch, "/tmp", *scratch, "/run", *scratch, "/dev/shm"),  # noqa: S108 - mount points
        *("--dir", "/var/tmp"),  # noqa: S108 - as above
        *home,
    ]


def _system() -> list[str]:
    """Return the mounts that show this machine's programs."""
    shown: list[str] = []
    for path in _SYSTEM:
        if os.path.islink(path):  # noqa: PTH114 - the text is needed, not a Path
            shown += ["--symlink", os.readlink(path), path]  # noqa: PTH115 - the same
        else:
            shown += ["--ro-bind-try", path, path]
    return shown


def _masks(masked: Iterable[Path]) -> list[str]:
    """Return what hides folders that happen to be in what is shown."""
    hidden: list[str] = []
    for folder in masked:
        real = folder.resolve()
        if real.is_dir() and any(real.is_relative_to(shown) for shown in _SYSTEM):
            hidden += ["--tmpfs", str(real)]
    return hidden


def _network(spec: SandboxSpec) -> list[str]:
    """Return what name resolution needs: a link of `/etc` may lead to where nothing is shown."""
    if spec.security.network != "bridge" or not os.path.islink(_RESOLVER):  # noqa: PTH114 - as above
        return []
    real = os.path.realpath(_RESOLVER)
    return ["--ro-bind-try", real, real]


def _mounts(spec: SandboxSpec) -> list[str]:
    mounts: list[str] = []
    if spec.workspace is not None:
        mounts += _mount(Volume(source=str(spec.workspace), target=spec.work_dir))
    for volume in sorted(spec.volumes, key=lambda volume: volume.target):
        mounts += _mount(volume)
    return mounts


def _mount(volume: Volume) -> Sequence[str]:
    if not volume.source.startswith("/"):
        raise EngineRefusedError(f"the source of a bind must be absolute, not {volume.source!r}")
    return ("--ro-bind" if volume.read_only else "--bind", volume.source, volume.target)


def _environment() -> list[str]:
    return ["--clearenv", "--setenv", "PATH", _PATH, "--setenv", "HOME", _HOME]


def _refused(what: str, next_step: str) -> EngineRefusedError:
    return EngineRefusedError(
        f"{what} is something that only a container engine has",
        next_step=f"{next_step}, or use a container engine",
    )
