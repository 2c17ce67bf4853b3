"""Volumes of a profile: what may be mounted where, and what never."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import PydanticCustomError

from deepd.config.document import Document
from deepd.config.host_path import HostPathError, is_within, resolve
from deepd.config.kind import inner_path
from deepd.config.paths import config_dir, expanded
from deepd.config.problem import Problem
from deepd.config.settings import Settings
from deepd.config.shape import VolumeTable
from deepd.model.profile import Volume

_ENGINE_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_OWN_VOLUMES = "deepd-"
_SYSTEM = tuple(Path(folder) for folder in ("/proc", "/sys", "/dev", "/run"))


@dataclass(frozen=True, slots=True)
class Ground:
    """What the sources of one profile's volumes are measured against; real paths."""

    profile: Path
    """The profile's own file."""
    roots: tuple[Path, ...]
    """Where sources may be."""
    kept: tuple[tuple[str, Path], ...]
    """What no sandbox may see, and what to call it."""
    fixed: tuple[tuple[str, Path], ...]
    """What no sandbox may change."""


def ground_of(profile: Path, workspace_root: Path, settings: Settings) -> Ground:
    """Return the ground of a profile's volumes."""
    real = profile.resolve()
    implied = [root for root in (Path.home(), real.parent) if root != Path("/")]
    roots = tuple(root.resolve() for root in settings.allowed_roots or implied)
    kept = [
        ("deepd's state folder", settings.state_dir),
        ("the folder of deepd's sockets", settings.runtime_dir),
        ("the sessions' workspaces", workspace_root),
    ]
    host = settings.docker_host or os.environ.get("DOCKER_HOST", "")
    socket = host.removeprefix("unix://") if host.startswith("unix://") else "/var/run/docker.sock"
    kept.append(("the engine's socket", Path(socket)))
    podman = settings.podman_host or os.environ.get("CONTAINER_HOST", "")
    if podman.startswith("unix://"):
        kept.append(("podman's socket", Path(podman.removeprefix("unix://"))))
    return Ground(
        real,
        roots,
        tuple((name, path.resolve()) for name, path in kept),
        (("this profile", real), ("deepd's settings", config_dir().resolve())),
    )


def read_volumes(
    entries: Sequence[str | VolumeTable], document: Document, ground: Ground
) -> tuple[tuple[Volume, ...], list[Problem]]:
    """Return the volumes by target, and what is wrong with each."""
    volumes: list[Volume] = []
    problems: list[Problem] = []
    places: dict[str, int] = {}
    for number, entry in enumerate(entries):
        path = ("volumes", number)
        try:
            volume = _read(entry, ground)
        except HostPathError as error:
            message = f"`volumes[{number}]` {error.reason}"
            problems.append(document.value_problem(path, message, error.hint))
            continue
        if volume.target in places:
            first = document.at_value(("volumes", places[volume.target]))
            message = f"`{volume.target}` is mounted twice"
            problems.append(document.value_problem(path, message, f"first in line {first.line}"))
        places.setdefault(volume.target, number)
        volumes.append(volume)
    for volume, outer in _exchangeable(volumes):
        path = ("volumes", places[volume.target])
        message = f"`{volume.source}` lies in {outer.source}, which the sandbox may write"
        hint = "the sandbox could exchange it for a link: mount one of the two read-only"
        problems.append(document.value_problem(path, message, hint))
    return tuple(sorted(volumes, key=lambda volume: volume.target)), problems


def _exchangeable(volumes: Sequence[Volume]) -> Iterator[tuple[Volume, Volume]]:
    """Yield each bind that lies below another one that is writable, and that one."""
    binds = [volume for volume in volumes if volume.type == "bind"]
    for volume in binds:
        for outer in binds:
            below = Path(outer.source) in Path(volume.source).parents
            if below and not outer.read_only:
                yield volume, outer
                break


def _read(entry: str | VolumeTable, ground: Ground) -> Volume:
    table = _parse(entry) if isinstance(entry, str) else entry
    if table.type == "volume":
        if not _ENGINE_VOLUME.fullmatch(table.source):
            raise HostPathError("is not the name of an engine's volume")
        if table.source.startswith(_OWN_VOLUMES):
            raise HostPathError("is a volume that deepd keeps for itself")
        return Volume(table.source, table.target, table.read_only, "volume")
    source = _bind_source(table, ground)
    return Volume(str(source), table.target, table.read_only, "bind")


def _parse(text: str) -> VolumeTable:
    """Return the long form of `source:target` and `source:target:ro`."""
    parts = text.split(":")
    if len(parts) not in {2, 3} or not parts[0]:
        raise HostPathError('must be "source:target" or "source:target:ro"')
    if parts[2:] not in ([], ["ro"], ["rw"]):
        raise HostPathError(f"has an unknown mode `{parts[2]}`", "write `ro` or `rw`")
    try:
        target = inner_path(parts[1])
    except PydanticCustomError as error:
        context = error.context or {}
        raise HostPathError(f"has a target that {context['reason']}", context["hint"]) from None
    return VolumeTable(source=parts[0], target=target, read_only=parts[2:] == ["ro"])


def _bind_source(table: VolumeTable, ground: Ground) -> Path:
    try:
        source, status = resolve(expanded(table.source, ground.profile.parent), ground.roots)
    except HostPathError as error:
        if error.reason.startswith("does not exist") and _ENGINE_VOLUME.fullmatch(table.source):
            example = f'{{source = "{table.source}", target = "{table.target}", type = "volume"}}'
            raise HostPathError(error.reason, f"an engine's volume is written {example}") from None
        raise
    if source == Path("/"):
        raise HostPathError("may not be this machine's whole file system")
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        raise HostPathError("is neither a folder nor a regular file")
    for system in _SYSTEM:
        if is_within(source, system):
            raise HostPathError(f"lies in {system}")
    _check_kept(source, table, ground)
    if not any(is_within(source, root) for root in ground.roots):
        roots = ", ".join(str(root) for root in ground.roots)
        raise HostPathError(
            f"is outside the folders that volumes may come from: {source}",
            f"allowed are {roots}; `allowed_roots` in deepd.toml adds others",
        )
    return source


def _check_kept(source: Path, table: VolumeTable, ground: Ground) -> None:
    for name, kept in ground.kept:
        if is_within(source, kept) or is_within(kept, source):
            raise HostPathError(f"would show the sandbox {name}: {kept}")
    for name, fixed in ground.fixed:
        if not table.read_only and (is_within(source, fixed) or is_within(fixed, source)):
            raise HostPathError(
                f"would let the sandbox change {name}: {fixed}",
                "mount it read-only (`:ro`), or keep the profile in another folder",
            )
