"""Images: found here, pulled or built, once however many sandboxes wait for the same one."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deepd.engine.base import Progress
from deepd.engine.docker_client import DockerClient
from deepd.engine.dockerfile import render_dockerfile
from deepd.engine.fault import no_image, pull_failed
from deepd.engine.progress import PullProgress, read_step
from deepd.errors import (
    EngineDownError,
    EngineError,
    EngineRefusedError,
    EngineTimeoutError,
    ImageNotFoundError,
)
from deepd.model.profile import Build

if TYPE_CHECKING:
    from docker import APIClient

PULL_TIMEOUT = 1800.0
BUILD_TIMEOUT = 3600.0

Tell = Callable[[str, float | None], None]


class _Work:
    """One pull or build under way, and who wants to hear of it."""

    def __init__(self) -> None:
        self.listeners: list[Progress] = []
        self.task: asyncio.Task[str] | None = None
        self.stopped = threading.Event()
        """Set when the last one who waited has gone."""
        self._loop = asyncio.get_running_loop()

    def tell(self, text: str, fraction: float | None) -> None:
        """Pass on what the engine printed; called in the thread that reads it."""
        if self.stopped.is_set():
            raise _StoppedError
        self._loop.call_soon_threadsafe(self._tell, text, fraction)

    def _tell(self, text: str, fraction: float | None) -> None:
        for listener in list(self.listeners):
            listener(text, fraction)


class _StoppedError(Exception):
    """Nobody waits any more; leaving the engine's stream makes it stop as well."""


class Images:
    """The images of one engine."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        self._works: dict[str, _Work] = {}

    async def ensure(self, image: str, progress: Progress) -> str:
        """Return the digest of an image, pulling it where it is missing."""
        if digest := await self._find(image):
            return digest
        if image.startswith("deepd-build:"):
            raise no_image(image, "it is built here, and has not been built yet")
        return await self._share(image, progress, lambda work: self._pull(image, work))

    async def build(self, build: Build, progress: Progress) -> str:
        """Return the digest of a build, building it where it is missing."""
        if digest := await self._find(build.tag()):
            return digest
        dockerfile = render_dockerfile(build)
        await self.ensure(build.base_image, progress)
        return await self._share(
            build.tag(), progress, lambda work: self._build(build, dockerfile, work)
        )

    async def _find(self, image: str) -> str | None:
        """Return the digest of an image that is here."""
        path = f"/images/{quote(image)}/json"
        try:
            found = await self._client.do(f"cannot look for {image}", "GET", path, image=image)
        except ImageNotFoundError:
            return None
        return str(found.json()["Id"])

    async def _share(
        self, key: str, progress: Progress, start: Callable[[_Work], Awaitable[str]]
    ) -> str:
        """Join the work for this key or begin it; it ends when the last who waits has gone."""
        work = self._works.get(key)
        if work is None:
            work = self._works[key] = _Work()
            work.task = asyncio.create_task(self._finish(key, work, start), name=f"image:{key}")
        assert work.task is not None  # noqa: S101 - set where the work was made
        work.listeners.append(progress)
        try:
            return await asyncio.shield(work.task)
        finally:
            work.listeners.remove(progress)
            if not work.listeners and not work.task.done():
                work.stopped.set()
                self._forget(key, work)
                work.task.cancel()

    async def _finish(self, key: str, work: _Work, start: Callable[[_Work], Awaitable[str]]) -> str:
        try:
            return await start(work)
        finally:
            self._forget(key, work)

    def _forget(self, key: str, work: _Work) -> None:
        if self._works.get(key) is work:
            del self._works[key]

    async def _pull(self, image: str, work: _Work) -> str:
        repository, tag = split_tag(image)

        def pull(api: APIClient) -> None:
            work.tell(f"pulling {image}", None)
            lines = api.pull(repository, tag=tag, stream=True, decode=True)
            _read_pull(lines, image, work.tell)

        await self._slowly(f"cannot pull {image}", pull, PULL_TIMEOUT, image)
        if digest := await self._find(image):
            return digest
        raise no_image(image)

    async def _build(self, build: Build, dockerfile: str, work: _Work) -> str:
        def run(api: APIClient) -> None:
            lines = api.build(
                fileobj=io.BytesIO(dockerfile.encode()),
                tag=build.tag(),
                rm=True,
                forcerm=True,
                decode=True,
                labels={"deepd.build": build.tag()},
            )
            _read_build(lines, build, work.tell)

        await self._slowly(f"cannot build on {build.base_image}", run, BUILD_TIMEOUT, "")
        if digest := await self._find(build.tag()):
            return digest
        raise EngineError(f"the engine says it built {build.tag()}, and does not have it")

    async def _slowly(
        self, doing: str, function: Callable[[APIClient], None], within: float, image: str
    ) -> None:
        try:
            await self._client.call_slowly(doing, function, within=within, image=image)
        except (EngineDownError, EngineTimeoutError, EngineRefusedError):
            raise
        except EngineError as error:
            if image:
                raise pull_failed(image, error.detail.removeprefix(f"{doing}: ")) from error
            raise


def split_tag(image: str) -> tuple[str, str]:
    """Return an image's repository and its tag or digest, `latest` where it names neither."""
    repository, at, digest = image.partition("@")
    if at:
        return repository, digest
    repository, colon, tag = image.rpartition(":")
    if colon and "/" not in tag:
        return repository, tag
    return image, "latest"


def _read_pull(lines: Iterable[dict[str, Any]], image: str, tell: Tell) -> None:
    progress = PullProgress()
    for line in lines:
        if "error" in line:
            raise pull_failed(image, str(line["error"]))
        tell(f"pulling {image}", progress.feed(line))


def _read_build(lines: Iterable[dict[str, Any]], build: Build, tell: Tell) -> None:
    printed: list[str] = []
    doing, fraction = f"building on {build.base_image}", 0.0
    for line in lines:
        text = str(line.get("stream", ""))
        printed = [*printed, text][-40:]
        if "error" in line:
            tail = "".join(printed)[-2000:].strip()
            raise EngineRefusedError(
                f"cannot build on {build.base_image}: {line['error']}\n{tail}".strip(),
                next_step="correct `build` in the profile; the last lines above say why",
            )
        if step := read_step(text):
            doing, fraction = step
        tell(doing, fraction)
