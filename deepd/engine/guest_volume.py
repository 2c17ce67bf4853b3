"""The volume through which the guest's binary reaches every sandbox of an engine.

It is named by the binary's hash and filled once per engine, through a container that is never
started: that works for remote engines and read-only sandboxes as well. Several processes may come
at the same time: the name of the filling container is the lock among them. Who fills one removes
those of former guests that no container mounts any more.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import re
import tarfile
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepd.engine.base import GUEST_PATH
from deepd.engine.docker_client import DockerClient
from deepd.engine.fault import NameTakenError, NoContainerError
from deepd.errors import EngineError, EngineTimeoutError
from deepd.guest.binary import guest_binary

if TYPE_CHECKING:
    from docker import APIClient

LABEL = "deepd.guest"
"""On the volume and its filling container; its value is the binary's hash."""

_FOLDER = GUEST_PATH.rpartition("/")[0]
_WRITTEN_AT = 1_000_000_000
"""The file's time. The engine sets it last: a file that has it is whole."""
_DOING = "cannot bring the guest to the engine"
_PATIENCE = 2.0
"""Seconds after which a filling container is taken for one whose process died."""

_OURS = re.compile("deepd-guest-[0-9a-f]{16}")
YOUNG = 3600.0
"""Seconds; a volume that is younger may be another process's that is about to use it."""


class GuestVolume:
    """Knows whether this engine has the guest, and puts it there."""

    def __init__(
        self, client: DockerClient, binary: Path | None = None, *, young: float = YOUNG
    ) -> None:
        """Use this binary instead of the one that was built for the engine's machine."""
        self._client = client
        self._binary = binary
        self._young = young
        self._content = b""
        self._digest = ""
        self._filling = asyncio.Lock()
        self._is_filled = False

    async def name(self) -> str:
        """Return the volume's name for the engine's architecture."""
        return f"deepd-guest-{await self._hash()}"

    async def wait_until_filled(self, container: str) -> None:
        """Return when the guest is in the volume that this container, not yet started, mounts."""
        if self._is_filled:
            return
        async with self._filling:
            if not self._is_filled and not await self._has_guest(container):
                await self._fill(container)
            self._is_filled = True

    async def refill(self, container: str) -> None:
        """Do it again: somebody pruned the volume, and the engine made an empty one."""
        self._is_filled = False
        await self.wait_until_filled(container)

    async def _fill(self, like: str) -> None:
        """Fill the volume, or wait for the process that is filling it."""
        name = await self.name()
        image = await self._image(like)
        try:
            async with asyncio.timeout(self._client.timeout):
                while not await self._has_guest(like):
                    filler = await self._try_lock(name, image)
                    if filler is None:
                        await self._wait_for_other(name, like)
                    else:
                        await self._put(filler)
                        await self._remove_former(name)
        except TimeoutError:
            raise EngineTimeoutError(f"{_DOING}: it took too long") from None

    async def _try_lock(self, name: str, image: str) -> str | None:
        """Return the id of a new filling container, or `None` when there is one already."""
        body = _filler(name, image, await self._hash())
        query = {"name": name}
        try:
            made = await self._client.do(
                _DOING, "POST", "/containers/create", query=query, body=body
            )
        except NameTakenError:
            return None
        return str(made.json()["Id"])

    async def _wait_for_other(self, name: str, like: str) -> None:
        """Wait until the filling container has gone; remove it when its process must have died."""
        loop = asyncio.get_running_loop()
        first, deadline = await self._find(name), loop.time() + _PATIENCE
        while first is not None and await self._find(name) == first:
            if await self._has_guest(like):
                return
            if loop.time() > deadline:
                await self._remove(first)
                return
            await asyncio.sleep(0.02)

    async def _put(self, filler: str) -> None:
        archive = _archive(await self._load())

        def put(api: APIClient) -> bool:
            return bool(api.put_archive(filler, _FOLDER, archive))

        try:
            # Another process may have lost its patience with us: then look again.
            with suppress(NoContainerError):
                # A file that is whole is left alone: somebody may be starting from it.
                if not await self._has_guest(filler):
                    await self._client.call(_DOING, put)
        finally:
            await self._remove(filler)

    async def _remove_former(self, name: str) -> None:
        """Remove volumes of other guests; the engine refuses for those that are mounted.

        A daemon that comes back to one finds it empty, and fills it again.
        """
        filters = {"filters": json.dumps({"name": ["deepd-guest-"]})}
        with suppress(EngineError):
            listed = (await self._client.ask("GET", "/volumes", query=filters)).json()
            for volume in listed.get("Volumes") or []:
                former = str(volume.get("Name", ""))
                if former != name and _OURS.fullmatch(former) and _age(volume) > self._young:
                    await self._client.ask("DELETE", f"/volumes/{former}")

    async def _has_guest(self, container: str) -> bool:
        """Tell whether the container's mount has the whole file, by the time it bears."""
        reply = await self._client.ask(
            "HEAD", f"/containers/{container}/archive", query={"path": GUEST_PATH}
        )
        with suppress(KeyError, ValueError, TypeError):
            stat = json.loads(base64.b64decode(reply.headers["x-docker-container-path-stat"]))
            written_at = datetime.fromisoformat(stat["mtime"]).timestamp()
            size = len(await self._load())
            return bool(written_at == _WRITTEN_AT and stat["size"] == size)
        return False

    async def _image(self, container: str) -> str:
        return str((await self._client.inspect(container, doing=_DOING))["Image"])

    async def _find(self, name: str) -> str | None:
        """Return the id of the filling container, if there is one now."""
        reply = await self._client.ask("GET", f"/containers/{name}/json")
        return str(reply.json()["Id"]) if reply.status == 200 else None

    async def _remove(self, container: str) -> None:
        with suppress(EngineError):
            await self._client.do(
                "cannot remove a container",
                "DELETE",
                f"/containers/{container}",
                query={"force": "1", "v": "1"},
            )

    async def _hash(self) -> str:
        if not self._digest:  # asked for at every create, and half a millisecond
            self._digest = hashlib.sha256(await self._load()).hexdigest()[:16]
        return self._digest

    async def _load(self) -> bytes:
        if not self._content:
            machine = (await self._client.server()).machine
            self._content = (self._binary or guest_binary(machine)).read_bytes()
        return self._content


def _age(volume: dict[str, Any]) -> float:
    """Return the seconds since a volume was made; none for what does not say."""
    with suppress(KeyError, ValueError, TypeError):
        return time.time() - datetime.fromisoformat(volume["CreatedAt"]).timestamp()
    return 0.0


def _filler(volume: str, image: str, guest: str) -> dict[str, Any]:
    mount = {
        "Type": "volume",
        "Source": volume,
        "Target": _FOLDER,
        "VolumeOptions": {"NoCopy": True, "Labels": {LABEL: guest}},
    }
    return {
        "Image": image,
        "Entrypoint": [GUEST_PATH],
        "Cmd": [],
        "Labels": {LABEL: guest},
        "HostConfig": {"Mounts": [mount], "NetworkMode": "none"},
    }


def _archive(data: bytes) -> bytes:
    """Return a tar with the one file, owned by root and executable for all."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(Path(GUEST_PATH).name)
        entry.size, entry.mode, entry.mtime = len(data), 0o755, _WRITTEN_AT
        archive.addfile(entry, io.BytesIO(data))
        end = archive.offset
    # Without the padding: Podman stops reading at the end, and takes what is left for an error.
    return buffer.getvalue()[: end + 2 * tarfile.BLOCKSIZE]
