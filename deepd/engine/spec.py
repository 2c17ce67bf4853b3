"""What a sandbox is to the engine's API: the body of a create and of an update. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepd.engine.base import GUEST_PATH
from deepd.engine.labels import render_labels
from deepd.engine.lane import LANE_PATH
from deepd.errors import EngineRefusedError
from deepd.model.profile import Limits, Volume
from deepd.model.sandbox import SandboxSpec

GUEST_CAPABILITIES = ("SETUID", "SETGID", "KILL")
"""What PID 1 needs to become the sandbox's user and to end its calls; commands get none."""

STOP_GRACE = 2
"""Seconds from TERM to KILL; the guest ends its calls after 0.2 s and itself at once."""

_SCRATCH = ("/tmp", "/run")  # noqa: S108 - mount points in the sandbox, not files here


def render_container(
    spec: SandboxSpec, guest_volume: str, lane: Path | None = None
) -> dict[str, Any]:
    """Return the body that creates a container: hardened, and with nothing of the image's start.

    The image's user, entrypoint, work dir and health check are overridden: the guest is PID 1 as
    root with three capabilities, and switches user for whatever it runs.
    """
    guest = ["--work-dir", spec.work_dir, "--user", spec.user, "--shell", spec.shell]
    if lane is not None:
        guest += ["--lane", LANE_PATH]
    is_alone = _is_alone(spec)
    if is_alone:
        guest.append("--hosts")
    return {
        "Image": spec.image,
        "Entrypoint": [GUEST_PATH],
        "Cmd": guest,
        "User": "0:0",
        "WorkingDir": "/",
        "NetworkDisabled": is_alone,
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGTERM",
        "StopTimeout": STOP_GRACE,
        "Tty": False,
        "OpenStdin": True,
        "StdinOnce": False,  # else the guest's stdin would end with its first owner
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Labels": render_labels(spec, lane.name if lane else ""),
        "HostConfig": _host_config(spec, guest_volume, lane),
    }


def render_limits(limits: Limits) -> dict[str, int]:
    """Return the limits that the engine enforces; the same keys create and update."""
    return {
        "Memory": limits.memory,
        "MemorySwap": limits.memory,  # memory and swap together: more would double the limit
        "NanoCpus": round(limits.cpus * 1e9),
        "PidsLimit": limits.pids,
    }


def _is_alone(spec: SandboxSpec) -> bool:
    """Tell whether the engine need not set up the network that is to reach nobody.

    Its runtime makes the namespace, with loopback, all the same; what is left out is the engine
    starting itself twice to look after it, which is half of a start's time. The engine then writes
    no /etc/hosts: the guest does, where it can. Runtimes that a profile names get the usual.
    """
    security = spec.security
    is_usual = not security.read_only and not security.runtime
    return _network(security.network) == "none" and is_usual and not _covers_hosts(spec.volumes)


def _covers_hosts(volumes: Iterable[Volume]) -> bool:
    return any(volume.target.rstrip("/") in {"/etc", "/etc/hosts"} for volume in volumes)


def _host_config(spec: SandboxSpec, guest_volume: str, lane: Path | None) -> dict[str, Any]:
    security = spec.security
    capabilities = dict.fromkeys([*GUEST_CAPABILITIES, *map(_capability, security.cap_add)])
    config: dict[str, Any] = {
        **render_limits(spec.limits),
        "Mounts": _mounts(spec, guest_volume, lane),
        "NetworkMode": _network(security.network),
        "CapDrop": ["ALL"],
        "CapAdd": list(capabilities),
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "IpcMode": "private",
        "ReadonlyRootfs": security.read_only,
        "Init": False,
        "AutoRemove": False,  # a restart of the engine would kill such a container
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "none"},  # else every frame would be written to disk
    }
    if security.read_only:
        taken = {volume.target.rstrip("/") for volume in spec.volumes}
        config["Tmpfs"] = {
            path: "rw,exec,nosuid,nodev,mode=1777" for path in _SCRATCH if path not in taken
        }
    if security.runtime:
        config["Runtime"] = security.runtime
    return config


def _mounts(spec: SandboxSpec, guest_volume: str, lane: Path | None) -> list[dict[str, Any]]:
    guest = {
        "Type": "volume",
        "Source": guest_volume,
        "Target": GUEST_PATH.rpartition("/")[0],
        "ReadOnly": True,
        "VolumeOptions": {"NoCopy": True},
    }
    mounts = [guest]
    if lane is not None:
        mounts.append(_mount(Volume(source=str(lane), target=LANE_PATH, read_only=True)))
    if spec.workspace is not None:
        mounts.append(_mount(Volume(source=str(spec.workspace), target=spec.work_dir)))
    return mounts + [_mount(volume) for volume in spec.volumes]


def _mount(volume: Volume) -> dict[str, Any]:
    if volume.type == "bind" and not volume.source.startswith("/"):
        raise EngineRefusedError(f"the source of a bind must be absolute, not {volume.source!r}")
    return {
        "Type": volume.type,
        "Source": volume.source,
        "Target": volume.target,
        "ReadOnly": volume.read_only,
    }


def _network(network: str) -> str:
    if network == "host" or network.startswith(("container:", "ns:")):
        raise EngineRefusedError(
            f"the network {network!r} is not a sandbox's own",
            next_step="use none, bridge or the name of a network",
        )
    return network or "none"


def _capability(name: str) -> str:
    return name.upper().removeprefix("CAP_")
