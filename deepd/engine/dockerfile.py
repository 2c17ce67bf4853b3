"""The Dockerfile of a profile's `build`. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence

from deepd.errors import EngineRefusedError
from deepd.model.profile import Build, PackageManager

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")

_INSTALL: dict[PackageManager, str] = {
    # Debian's pip refuses to touch the system's packages unless it is told so; others ignore it.
    "pip": "PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore"
    " python3 -m pip install --no-cache-dir -- {}",
    "npm": "npm install --global -- {} && npm cache clean --force",
    "apt": "apt-get update && DEBIAN_FRONTEND=noninteractive"
    " apt-get install --yes --no-install-recommends -- {} && rm -rf /var/lib/apt/lists/*",
    "cargo": "cargo install --root /usr/local -- {}",
}


def render_dockerfile(build: Build) -> str:
    """Return the Dockerfile; packages are arguments and can be neither options nor shell."""
    if not _IMAGE.fullmatch(build.base_image):
        raise EngineRefusedError(
            f"{build.base_image!r} is not an image name", next_step="correct build.base_image"
        )
    lines = [f"FROM {build.base_image}", "USER 0:0"]
    if build.packages:
        lines.append(_run(install_command(build.packages, build.package_manager)))
    lines += map(_run, build.setup_commands)
    return "\n".join(lines) + "\n"


def install_command(packages: Sequence[str], manager: PackageManager) -> str:
    """Return the shell command that installs packages."""
    return _INSTALL[manager].format(" ".join(map(shlex.quote, packages)))


def _run(command: str) -> str:
    """Return one RUN as a JSON list: no newline or quote in a command can end the instruction."""
    return f"RUN {json.dumps(['/bin/sh', '-c', command])}"
