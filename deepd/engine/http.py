"""HTTP to an engine without the docker SDK: bounded or streamed, and without a thread.

A request takes a millisecond less than by the SDK. Everything read from the engine has a limit.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from deepd.engine.endpoint import Endpoint
from deepd.engine.fault import down, without_certificates
from deepd.engine.kept import Connection, Kept
from deepd.errors import EngineError, EngineTimeoutError

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with its whole body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the parsed body; what is not JSON is `EngineError`."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise EngineError("the engine's answer is not JSON") from error

    def message(self) -> str:
        """Return what an error's body says, for a person."""
        with suppress(ValueError, AttributeError, TypeError):
            return str(json.loads(self.body)["message"])
        return self.body.decode(errors="replace").strip()[:2000] or f"HTTP {self.status}"


def ssl_context(endpoint: Endpoint) -> ssl.SSLContext | None:
    """Return the context for an endpoint with certificates, else `None`."""
    folder = endpoint.certificates
    if folder is None:
        return None
    authority, certificate, key = (folder / f"{name}.pem" for name in ("ca", "cert", "key"))
    try:
        for file in (authority, certificate, key):
            file.open("rb").close()  # ssl does not name the file that it cannot read
        context = ssl.create_default_context(cafile=str(authority))
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise without_certificates(endpoint.url, error) from error
    return context


def render_request(endpoint: Endpoint, method: str, target: str, headers: dict[str, str]) -> bytes:
    """Return a request's head."""
    host = f"{endpoint.host}:{endpoint.port}" if endpoint.host else "localhost"
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Return status and headers (names in lower case) of an answer's head."""
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        status = int(first.split(" ", 2)[1])
    except (IndexError, ValueError):
        raise EngineError(
            "what answers is no container engine: it does not speak HTTP",
            next_step="check the engine's address (DOCKER_HOST)",
        ) from None
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return status, {name.strip().lower(): value.strip() for name, value in pairs}


async def request(
    endpoint: Endpoint,
    method: str,
    target: str,
    *,
    body: object = None,
    within: float,
    kept: Kept | None = None,
) -> Reply:
    """Send one request and return the whole answer, or `EngineTimeoutError` after `within` s.

    It goes over a connection that is `kept`, where there is one, and leaves its own there.
    """
    try:
        async with asyncio.timeout(within):
            return await _request(endpoint, method, target, body, kept)
    except TimeoutError:
        raise _silent(endpoint, method, within) from None


def _silent(endpoint: Endpoint, method: str, within: float) -> EngineTimeoutError:
    return EngineTimeoutError(
        f"the engine at {endpoint.url} did not answer {method} within {within:g} s",
        next_step="look at the engine's own log; deepd tries again by itself",
    )


async def stream(
    endpoint: Endpoint, target: str, *, within: float
) -> AsyncGenerator[tuple[int, bytes], None]:
    """GET and yield the status with each piece of the body, the first being empty.

    The deadline covers the head only; the body may take for ever.
    """
    deadline = asyncio.get_running_loop().time() + within
    try:
        async with asyncio.timeout_at(deadline):
            reader, writer = await _connect(endpoint)
    except TimeoutError:
        raise _silent(endpoint, "GET", within) from None
    try:
        try:
            async with asyncio.timeout_at(deadline):
                status, headers = await _exchange(endpoint, reader, writer, "GET", target, b"")
        except TimeoutError:
            raise _silent(endpoint, "GET", within) from None
        yield status, b""
        async for piece in _body(reader, headers):
            yield status, piece
    except (OSError, asyncio.IncompleteReadError):
        return
    finally:
        await _close(writer)


async def _request(
    endpoint: Endpoint, method: str, target: str, body: object, kept: Kept | None
) -> Reply:
    connection = kept and kept.take(endpoint)
    reader, writer = connection or await _connect(endpoint)
    may_keep = False
    try:
        data = b"" if body is None else json.dumps(body).encode()
        status, headers = await _exchange(
            endpoint, reader, writer, method, target, data, keep=kept is not None
        )
        collected = bytearray()
        has_body = method != "HEAD" and status not in {204, 304}
        if has_body:
            async for piece in _body(reader, headers):
                collected += piece
                if len(collected) > BODY_LIMIT:
                    raise EngineError(f"the engine's answer is larger than {BODY_LIMIT} bytes")
        may_keep = kept is not None and _stays_open(headers, has_body=has_body)
        return Reply(status, headers, bytes(collected))
    except asyncio.IncompleteReadError as error:
        raise down(endpoint.url, ConnectionResetError("it hung up in its answer")) from error
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        if endpoint.certificates is not None and isinstance(error, ConnectionError):
            # What it says before it hangs up on a stranger may be lost on its way.
            raise down(
                endpoint.url, ssl.SSLError(f"{error}; is our certificate refused?")
            ) from error
        raise down(endpoint.url, error) from error
    finally:
        if may_keep and kept is not None:
            kept.give(endpoint, (reader, writer))
        else:
            await _close(writer)


def _stays_open(headers: dict[str, str], *, has_body: bool) -> bool:
    """Tell whether a whole answer has been read and another request may follow it."""
    is_framed = not has_body or "transfer-encoding" in headers or "content-length" in headers
    return is_framed and headers.get("connection", "").lower() != "close"


async def _connect(endpoint: Endpoint) -> Connection:
    try:
        if endpoint.path:
            return await asyncio.open_unix_connection(endpoint.path, limit=HEAD_LIMIT)
        return await asyncio.open_connection(
            endpoint.host, endpoint.port, ssl=ssl_context(endpoint), limit=HEAD_LIMIT
        )
    except TimeoutError:
        raise
    except OSError as error:
        raise down(endpoint.url, error) from error


async def _exchange(
    endpoint: Endpoint,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    method: str,
    target: str,
    data: bytes,
    *,
    keep: bool = False,
) -> tuple[int, dict[str, str]]:
    headers = {} if keep else {"Connection": "close"}
    if data or method == "POST":
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
    writer.write(render_request(endpoint, method, target, headers) + data)
    await writer.drain()
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise EngineError("the head of the engine's answer is too long") from error
    return parse_head(head[:-4])


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := await _chunk_size(reader):
            yield await _exactly(reader, size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    elif "content-length" in headers:
        size = int(headers["content-length"])
        if size:
            yield await _exactly(reader, size)
    else:
        while piece := await reader.read(HEAD_LIMIT):
            yield piece


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    line = await reader.readuntil(b"\r\n")
    return int(line.split(b";")[0], 16)


async def _exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    if size > BODY_LIMIT:
        raise EngineError(f"the engine's answer is larger than {BODY_LIMIT} bytes")
    return await reader.readexactly(size)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
