"""The docker SDK behind a door: late import, pinned version, deadlines, errors translated once."""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from deepd.engine import http
from deepd.engine.endpoint import Endpoint
from deepd.engine.fault import down, refused
from deepd.engine.kept import Kept
from deepd.engine.ssh import Tunnel
from deepd.engine.thread import Door
from deepd.errors import EngineDownError, EngineError, EngineTimeoutError

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

T = TypeVar("T")

VERSION_TIMEOUT = 15.0
"""For the first question to an engine, in seconds: docker answers in a millisecond, podman asks
programs of its own first, which takes a second, and more than five on a loaded machine."""

CLOSE_TIMEOUT = 2.0

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class Server:
    """What an engine says of itself before anything else is asked."""

    api_version: str
    version: str
    machine: str
    """As `uname -m` has it."""
    components: Mapping[str, str]
    """Name to version, such as `runc`."""
    own_api_version: str = ""
    """Of an API that is not Docker's, beside it."""


class DockerClient:
    """One engine's API; makes no connection before the first call."""

    def __init__(self, endpoint: Endpoint, *, timeout: float) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self._kept = Kept()
        self._quick = Door(at_once=32)
        self._slow = Door(at_once=8)
        self._made: tuple[str, APIClient] | None = None
        """The SDK's client, and the version that it is pinned to."""
        self._server: Server | None = None
        self._asking: asyncio.Task[Server] | None = None
        self._making = asyncio.Lock()
        self._tunnel = Tunnel(endpoint) if endpoint.ssh else None
        self._opening = asyncio.Lock()

    async def server(self) -> Server:
        """Return what the engine is, asked once and again after it was down.

        The SDK's own constructor would ask too, and hang for ever on an engine that is stopped.
        """
        if self._server is None:
            # Whoever comes meanwhile gets the same answer: podman takes most of a second for it.
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask_server(), name="ask for the version")
                self._asking.add_done_callback(self._asked)
            return await asyncio.shield(self._asking)
        return self._server

    async def _ask_server(self) -> Server:
        reply = await self._ask_version()
        if reply.status != 200:
            raise refused(reply.status, reply.message(), doing="cannot ask for the version")
        self._server = _read_server(reply.json())
        return self._server

    def _asked(self, asking: asyncio.Task[Server]) -> None:
        self._asking = None
        if not asking.cancelled():
            asking.exception()  # it was told to those who still waited

    async def _ask_version(self) -> http.Reply:
        if self._tunnel is None:
            within = min(self.timeout, VERSION_TIMEOUT)
            return await http.request(self.endpoint, "GET", "/version", within=within)
        async with self._opening:
            self.endpoint = await self._tunnel.open()
        try:
            return await http.request(self.endpoint, "GET", "/version", within=self.timeout)
        except EngineDownError as error:
            raise self._tunnel.error() or error from error

    async def call(self, doing: str, function: Callable[[APIClient], T], *, image: str = "") -> T:
        """Return what `function` returns, run in a thread; its errors come as ours."""

        def run(api: APIClient) -> T:
            return self._translated(api, function, doing, image)

        try:
            api = await self._api()
            return await self._quick.call(lambda: run(api), within=self.timeout, doing=doing)
        except EngineDownError:
            self._server = None  # what comes back may be another version
            raise

    async def call_slowly(
        self, doing: str, function: Callable[[APIClient], T], *, within: float, image: str = ""
    ) -> T:
        """Do the same for what takes minutes, a pull or a build, on a connection of its own."""
        version = (await self.server()).api_version
        replies: list[Response] = []

        def run() -> T:
            api = _make_api(self.endpoint, version, within)
            with _closed_in_the_end(api, replies):
                return self._translated(api, function, doing, image)

        try:
            return await self._slow.call(run, within=within, doing=doing)
        except (asyncio.CancelledError, EngineTimeoutError):
            _hang_up(replies)
            raise

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> http.Reply:
        """Send one request without the SDK and return the answer, whatever its status."""
        return await self.ask_plainly(method, await self.target(path, query), body=body)

    async def ask_plainly(self, method: str, target: str, *, body: object = None) -> http.Reply:
        """Do the same with a path that names its own version."""
        try:
            return await http.request(
                self.endpoint, method, target, body=body, within=self.timeout, kept=self._kept
            )
        except EngineDownError:
            self._server = None  # what comes back may be another version
            raise

    async def do(
        self,
        doing: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        image: str = "",
    ) -> http.Reply:
        """Send one request without the SDK and return the answer; a refusal is raised."""
        try:
            reply = await self.ask(method, path, query=query, body=body)
        except EngineTimeoutError as error:
            raise EngineTimeoutError(
                f"{doing}: {error.detail}; it may still do it", next_step=error.next_step
            ) from error
        if reply.status >= 400:
            raise refused(reply.status, reply.message(), doing=doing, image=image)
        return reply

    async def inspect(self, container: str, *, doing: str) -> dict[str, Any]:
        """Return what the engine knows of a container."""
        found: dict[str, Any] = (
            await self.do(doing, "GET", f"/containers/{container}/json")
        ).json()
        return found

    async def target(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """Return a path below the pinned version, with its query."""
        version = (await self.server()).api_version
        return f"/v{version}{path}" + (f"?{urlencode(query)}" if query else "")

    async def aclose(self) -> None:
        """Wait a moment for calls that were left behind, so that nothing comes after; then close.

        What does not end in time is left to itself, and its connections close with it.
        """
        if self._asking is not None:
            self._asking.cancel()
        await self._quick.wait_until_idle(CLOSE_TIMEOUT)
        self._close()
        await self._kept.aclose()
        if self._tunnel is not None:
            await self._tunnel.aclose()

    def _close(self) -> None:
        if self._made is not None:
            self._made[1].close()
            self._made = None

    async def _api(self) -> APIClient:
        version = (await self.server()).api_version
        async with self._making:
            if self._made is None or self._made[0] != version:
                self._close()
                api = await self._quick.call(
                    lambda: _make_api(self.endpoint, version, self.timeout),
                    within=self.timeout,
                    doing="cannot load the docker SDK",
                )
                self._made = version, api
            return self._made[1]

    def _translated(
        self, api: APIClient, function: Callable[[APIClient], T], doing: str, image: str
    ) -> T:
        import docker.errors  # noqa: PLC0415 - late: it takes 100 ms
        import requests.exceptions  # noqa: PLC0415 - comes with it

        try:
            return function(api)
        except docker.errors.APIError as error:
            raise refused(
                error.status_code or 500, str(error.explanation or error), doing=doing, image=image
            ) from error
        except requests.exceptions.Timeout as error:
            raise EngineTimeoutError(
                f"{doing}: the engine did not answer; it may still do it"
            ) from error
        except requests.exceptions.ConnectionError as error:
            root = _root(error)
            _close_unconnected(root)
            raise down(self.endpoint.url, root) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise EngineError(f"{doing}: {error}") from error


def _make_api(endpoint: Endpoint, version: str, timeout: float) -> APIClient:
    from docker import APIClient  # noqa: PLC0415 - late: it takes 100 ms
    from docker.errors import DockerException  # noqa: PLC0415
    from docker.tls import TLSConfig  # noqa: PLC0415

    folder = endpoint.certificates
    try:
        tls = folder and TLSConfig(
            client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
            ca_cert=str(folder / "ca.pem"),
            verify=True,
        )
        api = APIClient(
            base_url=endpoint.sdk_url,
            version=version,
            timeout=timeout,  # type: ignore[arg-type] # seconds; the stubs know whole ones only
            tls=tls or False,
            max_pool_size=32,
        )
        # Else REQUESTS_CA_BUNDLE would replace the engine's authority, and proxies come between.
        api.trust_env = False
        return api
    except DockerException as error:
        raise EngineError(f"the docker SDK cannot be used with {endpoint.url}: {error}") from error


@contextmanager
def _closed_in_the_end(api: APIClient, replies: list[Response]) -> Iterator[None]:
    """Note the replies, and close what the SDK leaves open when one is not read to the end."""
    api.hooks["response"].append(lambda reply, **_: replies.append(reply))
    try:
        yield
    finally:
        for reply in replies:
            reply.close()
        api.close()


def _hang_up(replies: list[Response]) -> None:
    """End the replies under the thread that reads them: the engine then stops its work too."""
    for reply in list(replies):
        connection = getattr(reply.raw, "connection", None)
        descriptor: socket.socket | None = getattr(connection, "sock", None)
        if descriptor is not None:
            with suppress(OSError):
                descriptor.shutdown(socket.SHUT_RDWR)


def _read_server(raw: Mapping[str, Any]) -> Server:
    arch = str(raw.get("Arch", ""))
    own = [part.get("Details") or {} for part in raw.get("Components") or []]
    return Server(
        api_version=str(raw.get("ApiVersion", "")),
        version=str(raw.get("Version", "")),
        machine=_MACHINES.get(arch, arch),
        components={
            str(part.get("Name", "")): str(part.get("Version", ""))
            for part in raw.get("Components") or []
        },
        own_api_version=str(own[0].get("APIVersion", "")) if own else "",
    )


def _close_unconnected(error: BaseException) -> None:
    """Close the socket of a connect that failed: the SDK leaves that to the garbage collector."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        left = frame.f_locals.get("sock")
        if isinstance(left, socket.socket):
            left.close()


def _root(error: BaseException) -> BaseException:
    """Return the operating system's error below what requests and urllib3 wrap around it."""
    found: BaseException | None = error
    for _ in range(10):
        if found is None or (isinstance(found, OSError) and found.errno):
            break
        inner = next((arg for arg in found.args if isinstance(arg, BaseException)), None)
        found = inner or found.__cause__ or found.__context__
    return found or error
