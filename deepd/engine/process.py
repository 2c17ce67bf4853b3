"""A guest as a plain child process: the stream over its pipes, as an engine's attach gives it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from deepd.engine.lane import Lane
from deepd.errors import EngineDownError, EngineError, EngineRefusedError

_READ_BUFFER = 1 << 20
"""Bytes that wait for a reader before the pipe is left alone."""


class GuestProcess(asyncio.SubprocessProtocol):
    """The child and its pipes, which outlive attachments; output without one is lost."""

    def __init__(self) -> None:
        self._attached: ProcessStream | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._exited = asyncio.get_running_loop().create_future()
        self._closed = asyncio.get_running_loop().create_future()
        self._output_ended = False
        self._paused = False
        self._reads = True
        self._writable: list[asyncio.Future[None]] = []

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._started.get_pid()

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; `None` while it runs."""
        return self._started.get_returncode()

    def open(self) -> ProcessStream:
        """Attach; a former attachment ends."""
        if self._attached is not None:
            self._attached.feed_eof()
        stream = ProcessStream(self)
        if self._output_ended:
            stream.feed_eof()
        else:
            self._attached = stream
            self.resume_reading()
        return stream

    async def wait(self) -> int:
        """Wait until the child has ended and return its exit code."""
        await asyncio.shield(self._exited)
        return cast("int", self.returncode)

    async def stop(self, grace: float = 1.0) -> None:
        """End the child: TERM, KILL after the grace; already ended is no error."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._started.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(grace):
                    await self.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._started.kill()
                await self.wait()
        # Bytes still to be sent would keep the pipe open, and a loop that ends first would leak it.
        stdin = cast("asyncio.WriteTransport", self._started.get_pipe_transport(0))
        if not stdin.is_closing():
            stdin.abort()
        self._started.close()
        await asyncio.shield(self._closed)

    def detach(self, stream: ProcessStream) -> None:
        """Let output be dropped again when that stream was the one attached."""
        if self._attached is stream:
            self._attached = None
            self.resume_reading()

    def write(self, data: bytes) -> None:
        """Send to the child's stdin, buffered; dropped when the child is gone."""
        pipe = cast("asyncio.WriteTransport", self._started.get_pipe_transport(0))
        if not pipe.is_closing():
            pipe.write(data)

    async def drain(self) -> None:
        """Wait until the buffer is small again; raise `EngineError` when the child is gone."""
        if self._output_ended or self.returncode is not None:
            raise EngineError("the guest's process has ended")
        if self._paused:
            waiter = asyncio.get_running_loop().create_future()
            self._writable.append(waiter)
            await waiter

    def pause_reading(self) -> None:
        """Leave the child's output in its pipe."""
        self._pipe(1).pause_reading()
        self._reads = False

    def resume_reading(self) -> None:
        """Take the child's output again."""
        pipe = self._pipe(1)
        # Our own mark: a pipe of Python 3.11.2, Debian 12's, cannot be asked whether it is read.
        if not self._reads and not self._output_ended and not pipe.is_closing():
            pipe.resume_reading()
            self._reads = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The child runs."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It printed something."""
        if self._attached is not None and fd == 1:
            self._attached.feed(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """It closed a pipe, or is gone."""
        if fd == 1:
            self._output_ended = True
            if self._attached is not None:
                self._attached.feed_eof()
        self.resume_writing()

    def process_exited(self) -> None:
        """It is gone."""
        if not self._exited.done():
            self._exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """It is gone, and so are its pipes."""
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        """Its stdin is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """Its stdin has room again."""
        self._paused = False
        for waiter in self._writable:
            if not waiter.done():
                waiter.set_result(None)
        self._writable.clear()

    @property
    def _started(self) -> asyncio.SubprocessTransport:
        if self._transport is None:
            raise EngineDownError("the guest's process was not started")
        return self._transport

    def _pipe(self, fd: int) -> asyncio.ReadTransport:
        return cast("asyncio.ReadTransport", self._started.get_pipe_transport(fd))


class ProcessStream:
    """One attachment to a guest's process: a `ByteStream`."""

    lane: Lane | None = None

    def __init__(self, process: GuestProcess) -> None:
        self.process = process
        self._received: list[bytes] = []
        self._size = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """Wait for at least one byte; `b""` is the end."""
        while not self._received and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        received, self._received = self._received, []
        if self._size >= _READ_BUFFER and not self._ended:
            self.process.resume_reading()
        self._size = 0
        return received[0] if len(received) == 1 else b"".join(received)

    def write(self, data: bytes) -> None:
        """Send bytes to the guest, buffered."""
        if not self._ended:
            self.process.write(data)

    async def drain(self) -> None:
        """Wait until the buffer is small again; raise `EngineError` when the guest is gone."""
        if self._ended:
            raise EngineError("the guest's stream has ended")
        await self.process.drain()

    async def aclose(self) -> None:
        """Let go; the guest goes on."""
        self.feed_eof()
        self.process.detach(self)

    def feed(self, data: bytes) -> None:
        """Take what the guest printed."""
        self._received.append(data)
        self._size += len(data)
        if self._size >= _READ_BUFFER:
            self.process.pause_reading()
        self._wake()

    def feed_eof(self) -> None:
        """Note that nothing more comes."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def spawn_guest(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stderr: int = subprocess.DEVNULL,
) -> ProcessStream:
    """Start a guest as a child of this process and attach to it; end it with `process.stop()`."""
    loop = asyncio.get_running_loop()
    try:
        _, process = await loop.subprocess_exec(
            GuestProcess,
            *argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise EngineRefusedError(f"cannot start the guest {argv[0]}: {error.strerror}") from error
    return process.open()
