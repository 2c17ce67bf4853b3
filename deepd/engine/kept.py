"""Kept connections: an engine's, open for the next request; TLS and ssh take long to make one."""

from __future__ import annotations

import asyncio
import select

from deepd.engine.endpoint import Endpoint

MOST = 8
"""Connections that nobody uses and that are kept all the same."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Kept:
    """Connections whose last answer was read to its end."""

    def __init__(self) -> None:
        self._idle: list[tuple[Endpoint, Connection]] = []
        self._is_closed = False

    def take(self, endpoint: Endpoint) -> Connection | None:
        """Return one to this endpoint on which nothing has come since: no byte, and no end."""
        while self._idle:
            to, (reader, writer) = self._idle.pop()
            if to == endpoint and not _is_readable(writer) and _is_silent(reader):
                return reader, writer
            writer.transport.abort()
        return None

    def give(self, endpoint: Endpoint, connection: Connection) -> None:
        """Keep one for the next request, or close it where enough are kept or none is wanted."""
        if len(self._idle) < MOST and not self._is_closed:
            self._idle.append((endpoint, connection))
        else:
            connection[1].transport.abort()

    async def aclose(self) -> None:
        """Close all, and those that come from now on."""
        self._is_closed = True
        while self._idle:
            _, (_, writer) = self._idle.pop()
            writer.transport.abort()
            try:
                await writer.wait_closed()
            except OSError:
                continue


def _is_readable(writer: asyncio.StreamWriter) -> bool:
    """Tell whether something, or its end, has come to the socket that the loop has not seen yet."""
    if writer.is_closing():
        return True
    poll = select.poll()
    poll.register(writer.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _is_silent(reader: asyncio.StreamReader) -> bool:
    """Tell whether the loop has read nothing either: then a read has to wait, and is given up."""
    reading = reader.read(1)
    try:
        reading.send(None)
    except (StopIteration, OSError):
        return False
    reading.close()
    return True
