"""Make: what a new container needs: its image, its folders, and what is installed in it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from deepd.engine.base import Engine
from deepd.engine.workspace import prepare_workspace
from deepd.errors import SandboxError
from deepd.guest.requests import Execute, How
from deepd.library.mounts import make_missing
from deepd.library.wish import Wish
from deepd.sandbox.sandbox import Sandbox

logger = logging.getLogger(__name__)

SETUP_TIMEOUT = 1800.0
"""Seconds that each installing command may take."""
_TAIL = 2000


def prepare_folders(wish: Wish) -> Path | None:
    """Make the host's folders that are missing and return the workspace to mount, if any."""
    profile = wish.profile
    make_missing(profile.volumes)
    is_covered = any(volume.target == profile.work_dir for volume in profile.volumes)
    if wish.workspace_root is None or is_covered:
        return None
    return prepare_workspace(wish.workspace_root, wish.session)


async def prepare(engine: Engine, wish: Wish) -> Path | None:
    """Have the image and the folders there; return the workspace to mount, if any."""

    def tell(doing: str, done: float | None) -> None:
        logger.info("%s%s", doing, "" if done is None else f" {done:.0%}")

    if wish.profile.build is not None:
        await engine.build_image(wish.profile.build, tell)
    else:
        await engine.ensure_image(wish.profile.image, tell)
    return await asyncio.to_thread(prepare_folders, wish)


async def run_setup(sandbox: Sandbox, wish: Wish) -> None:
    """Run what a runtime without an image of its own installs; raise `SandboxError` if it fails."""
    for command in wish.profile.setup:
        request = Execute(  # noqa: S604 - in the sandbox, which is there to run it
            args=(command,),
            shell=True,
            env=dict(wish.profile.env),
            merge=True,
            timeout=SETUP_TIMEOUT,
        )
        result = await sandbox.execute(request, keep=64 * 1024)
        if result.exit.how is not How.EXITED or result.exit.code:
            printed = result.output.decode(errors="replace").strip()[-_TAIL:]
            raise SandboxError(
                f"`{command}` failed with exit code {result.exit.code}: {printed}",
                next_step="installing in the sandbox takes `network`; with cache_image=True it is"
                " done in an image instead",
            )
