"""Lanes: the folders of all lanes of one instance, and whether an engine can mount them.

They are in the state folder, beside the workspaces, and outlive the daemon as containers do: one
that was stopped could not start again if the source of a mount had gone with a logout.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import struct
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepd.engine.endpoint import Endpoint
from deepd.errors import EngineError, EngineRefusedError, EngineTimeoutError
from deepd.model.ids import ContainerId
from deepd.model.sandbox import Sandbox

logger = logging.getLogger(__name__)

_NAME = re.compile("[0-9a-f]{12}")
_CREDENTIALS = struct.Struct("3i")


class Lanes:
    """Makes the folders that sandboxes mount, and removes them with their sandboxes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._former = self._names()
        """Those of an earlier daemon, until it is known whose they are."""

    def make(self) -> str:
        """Make a folder and return its name; `OSError` where that cannot be."""
        name = secrets.token_hex(6)
        self.restore(name)
        return name

    def path(self, name: str) -> Path:
        """Return where a folder is, on this machine."""
        return self._root / name

    def restore(self, name: str) -> None:
        """Make it again where somebody removed it: a container that mounts it must start."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.path(name)
        path.mkdir(exist_ok=True)
        path.chmod(0o711)  # the guest may be another user here; the folder above keeps others out

    def remove(self, name: str) -> None:
        """Remove one that no container mounts any more."""
        if _NAME.fullmatch(name):
            path = self.path(name)
            with suppress(OSError):
                for left in path.iterdir():
                    left.unlink()
                path.rmdir()

    def sweep(self, used: Collection[str]) -> None:
        """Remove those that an earlier daemon made and no container mounts."""
        for name in self._former:
            if name not in used:
                self.remove(name)
        self._former = []

    def _names(self) -> list[str]:
        try:
            return [path.name for path in self._root.iterdir()]
        except OSError:
            return []


class SandboxLanes:
    """Which sandbox of one engine mounts which folder; without a root none does."""

    def __init__(self, root: Path | None, endpoint: Endpoint) -> None:
        self._lanes = Lanes(root) if root else None
        self._endpoint = endpoint
        self._obstacle: str | None = None if root else "none is wanted"
        """Why there are none; `None` while that is not known."""
        self._of: dict[ContainerId, str] = {}

    @property
    def known(self) -> bool:
        """Whether the engine has been asked enough to tell if it can mount a lane."""
        return self._obstacle is not None

    def learn(self, about: Mapping[str, Any]) -> None:
        """Hear what the engine says about itself."""
        if self._obstacle is None:
            self._obstacle = obstacle(self._endpoint, about)
            if self._obstacle:
                logger.info("sandboxes are reached through their engine: %s", self._obstacle)

    def make(self) -> Path | None:
        """Make a folder for a new sandbox; `None` where there is to be none."""
        if self._lanes is None or self._obstacle != "":
            return None
        try:
            return self._lanes.path(self._lanes.make())
        except OSError as error:
            logger.info("a sandbox is reached through its engine: %s", error)
            return None

    def is_refused(self, lane: Path | None, error: EngineError) -> bool:
        """Take back the folder of a sandbox that was not made, and tell if that was the cause."""
        if self._lanes is None or lane is None or isinstance(error, EngineTimeoutError):
            return False  # or it may still be made, with its folder
        self._lanes.remove(lane.name)
        if not isinstance(error, EngineRefusedError) or str(lane) not in error.detail:
            return False
        self._obstacle = "the engine does not see our folders"
        logger.info("sandboxes are reached through their engine: %s", error)
        return True

    def made(self, container: ContainerId, lane: Path | None) -> None:
        """Note whose folder it is."""
        if lane is not None:
            self._of[container] = lane.name

    def observed(self, sandboxes: Iterable[Sandbox]) -> None:
        """Note all that there are; what nobody mounts of former folders is removed."""
        found = {sandbox.id: sandbox.lane for sandbox in sandboxes if sandbox.lane}
        self._of |= found
        if self._lanes is not None:
            self._lanes.sweep(found.values())

    def path(self, container: ContainerId) -> Path | None:
        """Return the folder in which a sandbox's guest can be met."""
        name = self._of.get(container)
        return self._lanes.path(name) if self._lanes and name else None

    def restore(self, container: ContainerId) -> None:
        """Make sure of a folder without which the engine would refuse to start the sandbox."""
        name = self._of.get(container)
        if self._lanes and name:
            with suppress(OSError):  # the engine says then what is wrong
                self._lanes.restore(name)

    def removed(self, container: ContainerId) -> None:
        """Remove the folder of a sandbox that is no more."""
        name = self._of.pop(container, None)
        if self._lanes and name:
            self._lanes.remove(name)


def is_lane_name(text: str) -> bool:
    """Tell whether a label's text can be the name of a lane's folder."""
    return _NAME.fullmatch(text) is not None


def obstacle(endpoint: Endpoint, about: Mapping[str, Any]) -> str:
    """Return why an engine, by what it says `about` itself, can mount no lane; empty: it can."""
    here = os.uname()
    if not endpoint.path:
        return "the engine is not asked by a Unix socket"
    if (about.get("KernelVersion"), about.get("Name")) != (here.release, here.nodename):
        return "the engine is on another machine"
    if any(str(option).startswith("name=userns") for option in about.get("SecurityOptions") or []):
        return "the engine's containers have other users than this machine"
    if _owner(endpoint.path) not in {0, os.geteuid()}:
        return "the engine is another user's, who may not come to our folders"
    return ""


def _owner(path: str) -> int:
    """Return the user who listens at a socket; -1 where that cannot be told."""
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(0)
            asking.connect(path)
            raw = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return -1
    return int(_CREDENTIALS.unpack(raw)[1])
