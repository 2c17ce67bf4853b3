"""The folders of sessions and of warm sandboxes under a profile's workspace root."""

from __future__ import annotations

import secrets
from pathlib import Path

from deepd.model.profile import Profile

_WARM = ".warm-"


def has_workspace(profile: Profile) -> bool:
    """Tell whether each session has a folder of its own: not when a volume is at `work_dir`."""
    return not any(volume.target == profile.work_dir for volume in profile.volumes)


def new_warm_id(instance: str) -> str:
    """Return an id that names its instance: a workspace root may be shared by several."""
    return f"{instance}-{secrets.token_hex(5)}"


def warm_name(warm_id: str) -> str:
    """Return the name of a warm sandbox's folder; no session's name begins with a dot."""
    return f"{_WARM}{warm_id}"


def abandoned_folders(root: Path, instance: str, in_use: frozenset[str]) -> list[str]:
    """Return the names of this instance's warm folders that no sandbox has any more."""
    found = (folder.name for folder in root.glob(f"{_WARM}{instance}-*"))
    return [name for name in found if name.removeprefix(_WARM) not in in_use]
