"""A checked shape to a frozen profile: defaults filled in, paths made real, order made equal."""

from __future__ import annotations

import os
from pathlib import Path

from deepd.config.document import Document
from deepd.config.host_path import is_within
from deepd.config.interrupt import read_interrupt_on
from deepd.config.paths import expanded
from deepd.config.policy import read_tests
from deepd.config.problem import Problem, file_problem
from deepd.config.rules import read_limits
from deepd.config.settings import Settings
from deepd.config.shape import ProfileFile
from deepd.config.volume import Ground, ground_of, read_volumes
from deepd.errors import BadRequestError
from deepd.model.ids import ProfileName, parse_profile_name
from deepd.model.passage import closed_folder
from deepd.model.profile import Approvals, Build, Local, Profile, Security, Volume

WORKSPACES = "workspaces"
"""The folder in the state folder, for profiles that name no `workspace_root`."""


def read_profile(
    path: Path, shape: ProfileFile, document: Document, settings: Settings
) -> tuple[Profile, list[Problem]]:
    """Return the profile, and what this machine has against it."""
    problems: list[Problem] = []
    if not shape.name:
        problems += _name_problems(path)
    root = settings.state_dir / WORKSPACES
    if shape.workspace_root:
        root = expanded(shape.workspace_root, path.resolve().parent)
    root = root.resolve()
    ground = ground_of(path, root, settings)
    problems += _root_problems(root, shape, document, ground, settings) or _passage_problems(
        root, shape, document
    )
    volumes, of_volumes = read_volumes(shape.volumes, document, ground)
    name = shape.name or path.stem
    profile = _profile(name, path, shape, document, volumes, root)
    return profile, problems + of_volumes


def _profile(
    name: str,
    path: Path,
    shape: ProfileFile,
    document: Document,
    volumes: tuple[Volume, ...],
    root: Path,
) -> Profile:
    return Profile(
        name=ProfileName(name),
        file=path,
        image=shape.image or "",
        build=_build(shape),
        volumes=volumes,
        work_dir=shape.work_dir,
        engine=shape.engine,
        sessions=tuple(shape.sessions),
        warm=shape.warm,
        workspace_root=root,
        auto_remove=shape.auto_remove,
        on_change=shape.on_change,
        idle_timeout=shape.idle_timeout or None,
        env=tuple(sorted(shape.env.items())),
        secrets=tuple(sorted(shape.secrets)),
        setup=tuple(shape.setup),
        user=shape.user,
        shell=shape.shell,
        limits=read_limits(shape),
        security=_security(shape),
        local=Local(fallback=shape.local.fallback, isolation=shape.local.isolation),
        interrupt_on=read_interrupt_on(shape.interrupt_on, document),
        approvals=_approvals(shape),
        tests=read_tests(shape, document),
    )


def _build(shape: ProfileFile) -> Build | None:
    table = shape.build
    if table is None:
        return None
    return Build(
        base_image=table.base_image,
        packages=tuple(table.packages),
        package_manager=table.package_manager,
        setup_commands=tuple(table.setup_commands),
    )


def _security(shape: ProfileFile) -> Security:
    table = shape.security
    return Security(
        network=table.network,
        read_only=table.read_only,
        cap_add=tuple(sorted(table.cap_add)),
        runtime=table.runtime,
    )


def _approvals(shape: ProfileFile) -> Approvals:
    table = shape.approvals
    return Approvals(
        default=table.default,
        timeout=table.timeout,
        on_timeout=table.on_timeout,
        remember=tuple(sorted(table.remember)),
        notify=tuple(table.notify),
    )


def _name_problems(path: Path) -> list[Problem]:
    try:
        parse_profile_name(path.stem)
    except BadRequestError as error:
        hint = f'{error.next_step}; or give it a name with name = "…"'
        return [file_problem(path, "the file's name is not a profile's name", hint)]
    return []


def _passage_problems(root: Path, shape: ProfileFile, document: Document) -> list[Problem]:
    """Say where plain processes of root's daemon, which are an ordinary user's, cannot come to."""
    is_plain = shape.engine == "local" and shape.local.isolation == "none"
    if not is_plain or os.geteuid() != 0 or shape.user == "root":
        return []
    numbers = () if shape.user == "workspace" else map(int, shape.user.split(":"))
    closed = closed_folder(root, *numbers)
    if closed is None:
        return []
    place = ("workspace_root",) if shape.workspace_root else ("local", "isolation")
    return [
        document.value_problem(
            place,
            f"calls run as an ordinary user, who cannot come to the workspaces in {root}: {closed}"
            " is closed to others",
            "set `workspace_root` to a folder that everybody may pass through, such as"
            ' "/srv/deepd", and name it in `allowed_roots` of deepd.toml',
        )
    ]


def _root_problems(
    root: Path, shape: ProfileFile, document: Document, ground: Ground, settings: Settings
) -> list[Problem]:
    """Say where sessions' folders may not be made."""
    place = ("workspace_root",)
    if not shape.workspace_root:
        return []
    if root.exists() and not root.is_dir():
        return [document.value_problem(place, "`workspace_root` is not a folder")]
    if is_within(root, settings.runtime_dir.resolve()):
        return [document.value_problem(place, "`workspace_root` is in the folder of the sockets")]
    allowed = (*ground.roots, settings.state_dir.resolve())
    if not any(is_within(root, folder) for folder in allowed):
        message = f"`workspace_root` is outside the allowed folders: {root}"
        folders = ", ".join(str(folder) for folder in allowed)
        return [document.value_problem(place, message, f"allowed are {folders}")]
    return []
