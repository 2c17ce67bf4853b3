"""The guest's stream over two named pipes: they outlive the daemon, and so does what is in them."""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from deepd.engine.lane import Lane
from deepd.errors import EngineError

BUFFER_LIMIT = 1024 * 1024
"""Bytes kept for a guest that does not read before its owner has to wait."""
_PIPE_SIZE = 1 << 20
_READ_SIZE = 256 * 1024


class FifoStream:
    """A `ByteStream`; the pipes' other ends are the guest's own, and end with it."""

    lane: Lane | None = None

    def __init__(self, stdin: Path, stdout: Path) -> None:
        """Open both; `EngineError` when no guest has them."""
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._ended = False
        self._readable: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        flags = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            # Without a reader, which is the guest, opening for writing fails at once.
            self._in = os.open(stdin, os.O_WRONLY | flags)
        except OSError as error:
            raise EngineError("cannot attach to the sandbox: it is not running") from error
        try:
            self._out = os.open(stdout, os.O_RDONLY | flags)
        except OSError as error:
            os.close(self._in)
            raise EngineError(f"cannot attach to the sandbox: {error.strerror}") from error
        for descriptor in (self._in, self._out):
            with suppress(OSError):  # only a gain in speed, and some users have no more
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)

    async def read(self) -> bytes:
        """Wait for at least one byte; `b""` is the end."""
        while not self._ended:
            try:
                data = os.read(self._out, _READ_SIZE)
            except BlockingIOError:
                await self._wait_until_readable()
                continue
            if data:
                return data
            self._end()
        return b""

    def write(self, data: bytes) -> None:
        """Send bytes to the guest, buffered."""
        if self._ended:
            return
        is_first = not self._buffer
        self._buffer += data
        if is_first:
            self._flush()

    async def drain(self) -> None:
        """Wait until the buffer is small again; raise `EngineError` when the guest is gone."""
        await self._writable.wait()
        if self._ended:
            raise EngineError("the stream to the sandbox has ended")

    async def aclose(self) -> None:
        """Let go; the guest goes on."""
        self.close()

    def close(self) -> None:
        """Let go at once; what the guest has not taken is dropped."""
        self._end()
        if self._in >= 0:
            os.close(self._in)
            os.close(self._out)
            self._in = self._out = -1

    async def _wait_until_readable(self) -> None:
        self._readable = self._loop.create_future()
        self._loop.add_reader(self._out, self._wake)
        try:
            await self._readable
        finally:
            self._readable = None
            if self._out >= 0:
                self._loop.remove_reader(self._out)

    def _wake(self) -> None:
        if self._readable is not None and not self._readable.done():
            self._readable.set_result(None)

    def _flush(self) -> None:
        try:
            with memoryview(self._buffer) as view:
                sent = os.write(self._in, view)
            del self._buffer[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._end()
            return
        if self._buffer:
            self._loop.add_writer(self._in, self._flush)
        else:
            self._loop.remove_writer(self._in)
        if len(self._buffer) > BUFFER_LIMIT:
            self._writable.clear()
        else:
            self._writable.set()

    def _end(self) -> None:
        """Wake everybody who waits."""
        self._ended = True
        self._buffer.clear()
        self._writable.set()
        if self._in >= 0:
            self._loop.remove_writer(self._in)
            self._loop.remove_reader(self._out)
        self._wake()
