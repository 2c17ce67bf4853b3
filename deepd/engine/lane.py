"""Lane: a folder that a sandbox sees read-only, and the guest who is met in it.

Every process of the sandbox may come to the meeting. Who is taken is the one that has the token,
which only the guest's stdin was told, and the process id that the engine gives for the guest.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LANE_PATH = "/.deepd-lane"
"""Where the folder is inside a sandbox."""

TOKEN_SIZE = 32
_BACKLOG = 64
_MOST = 64
"""Connections that are kept until the guest says that it has come; more are closed at once."""
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Lane:
    """The folder of one sandbox, and who its guest is on this machine."""

    folder: Path
    pid: int = 0
    """Of the guest; 0: not known, and the token alone decides."""

    def meet(self) -> Meeting:
        """Listen in the folder; `OSError` where that cannot be. For use by `with`."""
        return Meeting(self)


class Meeting:
    """A socket in a lane's folder for as long as the guest is waited for."""

    def __init__(self, lane: Lane) -> None:
        self.name = secrets.token_hex(8)
        self.token = secrets.token_bytes(TOKEN_SIZE)
        self._pid = lane.pid
        self._came: list[socket.socket] = []
        self._loop = asyncio.get_running_loop()
        self._folder = os.open(lane.folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            # By its descriptor, as the folder's own path may be longer than an address.
            path = f"/proc/self/fd/{self._folder}/{self.name}"
            self._socket.bind(path)
            Path(path).chmod(0o666)  # the guest may be another user here, without privileges
            self._socket.listen(_BACKLOG)
        except BaseException:
            self._let_go()
            raise
        self._loop.add_reader(self._socket, self._accept)

    def __enter__(self) -> Meeting:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of everybody who was not taken; there is nothing to come to any more."""
        self._loop.remove_reader(self._socket)
        self._let_go()

    def take(self, boot: bytes) -> socket.socket | None:
        """Return the connection of the guest with this boot id, who says that it has come.

        It said so after it connected and proved itself, so nothing is waited for here.
        """
        self._accept()
        proof = self.token + boot
        for number, came in enumerate(self._came):
            if hmac.compare_digest(_received(came, len(proof)), proof):
                return self._came.pop(number)
        return None

    def _accept(self) -> None:
        for _ in range(_MOST):
            try:
                came, _address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError:
                continue  # it has left already
            came.setblocking(False)  # noqa: FBT003 - its only argument
            if len(self._came) < _MOST and self._may_be_guest(came):
                self._came.append(came)
            else:
                came.close()

    def _may_be_guest(self, came: socket.socket) -> bool:
        """Tell by the process id that the kernel noted when it connected."""
        raw = came.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid = _CREDENTIALS.unpack(raw)[0]
        # A kernel that shows us no id, as to a daemon in a container, says nothing about it.
        return not self._pid or not pid or pid == self._pid

    def _let_go(self) -> None:
        for left in (*self._came, self._socket):
            left.close()
        self._came.clear()
        with suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=self._folder)
        os.close(self._folder)


def _received(came: socket.socket, size: int) -> bytes:
    """Return what is there, at most so much."""
    try:
        return came.recv(size)
    except OSError:
        return b""
