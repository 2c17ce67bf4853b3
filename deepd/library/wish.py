"""Wish: one sandbox as its user asked for it, checked; from it containers are made and found."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from deepd.config.paths import private_dir, runtime_dir
from deepd.engine.dockerfile import install_command
from deepd.errors import ArgumentsError
from deepd.library.mounts import checked_folder, read_volumes
from deepd.library.runtimes import DEFAULT_WORK_DIR, RuntimeConfig, find_runtime
from deepd.model.duration import parse_size
from deepd.model.ids import ProfileName, SessionName, parse_session_name
from deepd.model.profile import Limits, Profile, Security
from deepd.model.sandbox import SandboxSpec, sandbox_name

LIBRARY = ProfileName("library")
KEPT = ProfileName("library-kept")
"""In the label of containers that `stop()` only stops."""
UNNAMED = ProfileName("library-unnamed")
"""In the label of containers that nobody can ask for again once their object is gone."""
UNNAMED_LEASE = 300.0
"""Seconds; more than a stopped debugger mostly takes."""
LEAST_LEASE = 20.0
"""Seconds; a guest whose lease is not well above the time between two pings would end too soon."""


class SandboxOptions(TypedDict, total=False):
    """What a sandbox may use and reach; by keyword, to `DockerSandbox` and `SessionManager`."""

    network: str
    """`none` (the default), `bridge`, or the name of a network of the engine."""
    memory: int | str
    """Bytes, or a size such as `512m`; `1g` by default, swap included."""
    cpus: float
    """Cores; 2 by default."""
    pids: int
    """Processes at once; 256 by default."""
    output: int
    """Bytes kept of a command's output; 1 MiB by default."""
    output_kill: int
    """Bytes of output after which a command is ended; 64 MiB by default."""
    read_only: bool
    """Whether the container's own layer is read-only."""
    cap_add: Sequence[str]
    """Capabilities for PID 1; commands get none."""
    oci_runtime: str
    """The engine's low-level runtime, such as `runsc`; empty is its default."""
    user: str
    """`workspace` (the default: the owner of what is mounted at the work dir, else 1000:1000),
    `root`, or `UID:GID`."""
    env: Mapping[str, str]
    """Environment of every command, beside the runtime's."""
    docker_host: str
    """The engine's endpoint; empty is `DOCKER_HOST`, else the default socket."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One sandbox: what it is made of, whose it is and how it is found again."""

    session: SessionName
    is_named: bool
    """Whether the session's id was given, so that another object can go on with it."""
    profile: Profile
    runtime: RuntimeConfig | None
    workspace_root: Path | None
    """Where the session's workspace is; `None`: files go with the container."""
    docker_host: str
    instance: str
    """The same for all processes of a user that may share sandboxes: one root, one instance."""
    runtime_dir: Path
    """Where the locks of sandboxes without a root are."""

    @property
    def name(self) -> str:
        """The container's name."""
        return sandbox_name(self.instance, self.session)

    @property
    def key(self) -> tuple[str, str]:
        """What two wishes for one container have in common."""
        return self.docker_host, self.name

    @property
    def label(self) -> ProfileName:
        """The container's profile label."""
        if not self.profile.auto_remove:
            return KEPT
        return LIBRARY if self.is_named else UNNAMED

    @property
    def lease(self) -> float | None:
        """Seconds after which an abandoned guest ends by itself."""
        idle = self.profile.idle_timeout
        if self.label == UNNAMED:
            idle = min(idle or UNNAMED_LEASE, UNNAMED_LEASE)
        return None if idle is None else max(idle, LEAST_LEASE)

    def owners(self) -> Path:
        """Return the folder of the locks, made where it is missing, beside what they are for."""
        if self.workspace_root is not None:
            return private_dir(self.workspace_root / f".deepd-{os.geteuid()}")
        return private_dir(private_dir(self.runtime_dir) / "library")

    def spec(self, workspace: Path | None) -> SandboxSpec:
        """Return what the engine creates the container from."""
        profile = self.profile
        return SandboxSpec(
            instance=self.instance,
            session=self.session,
            warm_id="",
            profile=self.label,
            spec_hash=profile.container_hash(),
            generation=1,
            image=profile.image_ref,
            work_dir=profile.work_dir,
            workspace=workspace,
            volumes=profile.volumes,
            user=profile.user,
            shell=profile.shell,
            limits=profile.limits,
            security=profile.security,
        )


def make_wish(  # noqa: PLR0913 - by keyword only: the sandbox's own parameters
    *,
    image: str,
    work_dir: str,
    auto_remove: bool,
    runtime: RuntimeConfig | str | None,
    session_id: str | None,
    idle_timeout: float | None,
    volumes: Mapping[str, str] | None,
    workspace_root: str | os.PathLike[str] | None,
    options: SandboxOptions,
) -> Wish:
    """Return the wish, or raise `BadRequestError` or `ArgumentsError` for what cannot be meant."""
    if unknown := set(options) - set(SandboxOptions.__annotations__):
        raise TypeError(f"unexpected keyword arguments: {', '.join(sorted(unknown))}")
    # Without links, so that two ways to one folder are the same root.
    root = None if workspace_root is None else Path(workspace_root).expanduser().resolve()
    found = find_runtime(runtime)
    if found is not None and work_dir == DEFAULT_WORK_DIR:
        work_dir = found.work_dir
    env = {**(found.env_vars if found else {}), **options.get("env", {})}
    profile = Profile(
        name=LIBRARY,
        file=Path(),
        image=(found.image or found.base_image or "") if found else image,
        build=found.build if found else None,
        setup=_setup(found),
        volumes=read_volumes(volumes or {}),
        work_dir=checked_folder(work_dir, "the work dir"),
        workspace_root=root or Path(),
        auto_remove=auto_remove,
        idle_timeout=_seconds(idle_timeout),
        env=tuple(sorted(env.items())),
        user=options.get("user", "workspace"),
        limits=_limits(options),
        security=Security(
            network=options.get("network", "none"),
            read_only=options.get("read_only", False),
            cap_add=tuple(options.get("cap_add", ())),
            runtime=options.get("oci_runtime", ""),
        ),
    )
    if not profile.image_ref:
        raise ArgumentsError("the image has no name", next_step='such as "python:3.12-slim"')
    session = secrets.token_hex(6) if session_id is None else session_id
    if not isinstance(session, str):
        raise ArgumentsError(f"the session id must be a text, not {type(session).__name__}")
    return Wish(
        session=parse_session_name(session),
        is_named=session_id is not None,
        profile=profile,
        runtime=found,
        workspace_root=root,
        docker_host=options.get("docker_host", ""),
        instance=_instance(root or runtime_dir()),
        runtime_dir=runtime_dir(),
    )


def _instance(place: Path) -> str:
    digest = hashlib.sha256(f"{os.geteuid()}\0{place}".encode()).hexdigest()
    return f"lib-{digest[:10]}"


def _setup(runtime: RuntimeConfig | None) -> tuple[str, ...]:
    """Return what is run in each new container, for a runtime that keeps no image."""
    if runtime is None or runtime.cache_image or not runtime.adds:
        return ()
    install = install_command(tuple(runtime.packages), runtime.package_manager)
    return (*([install] if runtime.packages else []), *runtime.setup_commands)


def _limits(options: SandboxOptions) -> Limits:
    usual = Limits()
    memory = options.get("memory", usual.memory)
    try:
        size = parse_size(memory) if isinstance(memory, str) else int(memory)
    except ValueError as error:
        raise ArgumentsError(f"memory: {error}") from None
    limits = Limits(
        memory=size,
        cpus=options.get("cpus", usual.cpus),
        pids=options.get("pids", usual.pids),
        output=options.get("output", usual.output),
        output_kill=options.get("output_kill", usual.output_kill),
    )
    for name in ("memory", "cpus", "pids", "output", "output_kill"):
        if not getattr(limits, name) > 0:
            raise ArgumentsError(f"{name} must be more than 0")
    return limits


def _seconds(idle_timeout: float | None) -> float | None:
    if idle_timeout is not None and not idle_timeout >= 0:
        raise ArgumentsError("idle_timeout must be 0 or more seconds", next_step="0 is never")
    return idle_timeout or None
