"""GuestCall: one call as its owner sees it while attached."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from deepd.errors import CallLostError, ProtocolError
from deepd.guest import fields
from deepd.guest.frames import MAX_PAYLOAD, FrameType
from deepd.guest.messages import milliseconds, parse_exit, terminal_size
from deepd.guest.pending import Pending
from deepd.guest.requests import Exit
from deepd.guest.signal import Signal
from deepd.model.call import Chunk
from deepd.model.ids import CallId

WINDOW = 256 * 1024
"""Bytes of output that the guest may send beyond what was acknowledged."""
_DATA_HEAD = 9
"""u64 offset, u8 stream."""


class Send(Protocol):
    """Sends one frame, buffered."""

    def __call__(
        self, type_: FrameType, channel: int, payload: bytes, *, fin: bool = False
    ) -> None: ...


class GuestCall:
    """A call in the guest: its output, its end, and what can be done to it.

    Output must be read and acknowledged for the call to go on: a command whose window is full
    waits, and its end is told after its last byte. Methods named `take_` are for the connection.
    """

    def __init__(
        self,
        call_id: CallId | None,
        channel: int,
        send: Send,
        drain: Callable[[], Awaitable[None]],
        *,
        offset: int = 0,
    ) -> None:
        self.id = call_id
        self.channel = channel
        self.release_at_end = False
        self.wants_file = False
        """Whether the guest may pass the file that it opened, instead of its bytes."""
        self.missed_file = False
        """Whether it did, and the descriptor was lost on the way."""
        self._send = send
        self._drain = drain
        self._received = offset
        self._acknowledged = offset
        self._pending = Pending(offset)
        self._discarding = False
        self._stdin_sent = 0
        self._stdin_credit = 0
        self._stdin_closed = False
        self._finished = False
        self._file: int | None = None
        self._exit: Exit | None = None
        self._lost: CallLostError | None = None
        self._output_changed = Signal()
        self._ended = Signal()
        self._credit_changed = Signal()

    @property
    def state(self) -> Literal["running", "finished"]:
        """Whether it was over when last heard of; its output may still be on the way."""
        return "finished" if self._finished else "running"

    @property
    def ended(self) -> bool:
        """Whether nothing more will be heard of it here: it is over, or lost."""
        return self._exit is not None or self._lost is not None

    @property
    def received(self) -> int:
        """The offset after the last byte that came."""
        return self._received

    @property
    def stdin_sent(self) -> int:
        """Bytes of input that the guest has, or that are on their way to it."""
        return self._stdin_sent

    async def read(self) -> Chunk | None:
        """Wait for output; `None` when there is no more. Raises `CallLostError`."""
        while True:
            if (chunk := self._pending.pop()) is not None:
                return chunk
            if self._exit is not None or self._discarding:
                return None
            if self._lost is not None:
                raise self._lost
            await self._output_changed.wait()

    def ack(self, offset: int) -> None:
        """Let the guest forget the output below the offset: it is stored."""
        if offset > self._received:
            raise ValueError(f"acknowledged {offset}, received only {self._received}")
        if offset > self._acknowledged:
            self._acknowledged = offset
            self._tell(FrameType.ACK, fields.u64(offset))

    async def wait(self) -> Exit:
        """Wait for the end, which comes after all output was read. Raises `CallLostError`."""
        while self._exit is None:
            if self._lost is not None:
                raise self._lost
            await self._ended.wait()
        return self._exit

    async def write_stdin(self, data: bytes) -> None:
        """Send input as the guest takes it; what comes after the call's end is dropped."""
        position = 0
        while position < len(data) and not self._stdin_closed:
            if self._lost is not None:
                raise self._lost
            if self._exit is not None:
                return
            room = min(self._stdin_credit - self._stdin_sent, MAX_PAYLOAD)
            if room <= 0:
                await self._credit_changed.wait()
                continue
            piece = data[position : position + room]
            self._tell(FrameType.STDIN, piece)
            self._stdin_sent += len(piece)
            position += len(piece)
            await self._drain()

    async def close_stdin(self) -> None:
        """Tell the end of the input."""
        if not self._stdin_closed and self._exit is None:
            self._stdin_closed = True
            self._tell(FrameType.STDIN, b"", fin=True)

    def passed_file(self) -> int | None:
        """Return the descriptor of the file that came in place of bytes; the caller closes it."""
        file, self._file = self._file, None
        return file

    def kill(self, grace: float = 0.5) -> None:
        """End it and all that it started: TERM, and KILL after the grace.

        After the call's own end this is for what it left running.
        """
        self._tell(FrameType.KILL, fields.u32(milliseconds(grace)))

    def signal(self, number: int) -> None:
        """Send a signal to its main process only."""
        self._tell(FrameType.SIGNAL, fields.u32(number))

    def resize(self, rows: int, cols: int) -> None:
        """Tell its terminal a new size."""
        self._tell(FrameType.RESIZE, terminal_size(rows) + terminal_size(cols))

    def discard(self) -> None:
        """Drop the output, here and to come, so that the call does not wait for a reader."""
        self._discarding = True
        self._pending = Pending(self._received)
        self.ack(self._received)
        self._output_changed.set()

    def abandon(self) -> None:
        """End it, read nothing more, and let the guest forget it."""
        if not self.ended:
            self.release_at_end = True
            self.kill(0)
            self.discard()

    def take_data(self, payload: bytes) -> None:
        """Queue a DATA frame that continues where the last one ended and fits the window."""
        offset = int.from_bytes(payload[:8], "little")
        if len(payload) < _DATA_HEAD or payload[8] not in (1, 2):
            raise ProtocolError("the guest sent output of no known stream")
        if offset != self._received:
            raise ProtocolError(
                f"the guest sent output from byte {offset} where {self._received} comes next"
            )
        received = offset + len(payload) - _DATA_HEAD
        if received - self._acknowledged > WINDOW:
            raise ProtocolError("the guest sent more output than it may before it is acknowledged")
        self._received = received
        if self._discarding:
            self.ack(received)
        else:
            self._pending.push(payload[8], memoryview(payload)[_DATA_HEAD:])
            self._output_changed.set()

    def take_credit(self, payload: bytes) -> None:
        """Note how much input may be sent in all."""
        self._stdin_credit = max(self._stdin_credit, fields.number(payload, 8))
        self._credit_changed.set()

    def take_file(self, descriptor: int | None) -> None:
        """Keep what was passed in place of bytes, where that was asked for."""
        if self.wants_file and not self._discarding:
            self.wants_file = False
            self._file = descriptor
            self.missed_file = descriptor is None
            return
        if descriptor is not None:
            os.close(descriptor)
        if not self._discarding:
            raise ProtocolError("the guest passed a file that was not asked for")

    def take_exit(self, payload: bytes) -> None:
        """Note the end."""
        end = parse_exit(payload)
        if end.size != self._received:
            raise ProtocolError(
                f"the guest ended a call after {end.size} bytes of output and sent {self._received}"
            )
        self._exit = end
        self._finished = True
        self._wake()

    def take_state(self, *, offset: int, stdin: int, finished: bool) -> None:
        """Take up a call that was followed, where the guest has it."""
        self._acknowledged = offset
        self._received = max(offset, self._received)
        self._pending = Pending(self._received)
        self._stdin_sent = stdin
        self._finished = finished

    def lose(self, error: CallLostError) -> None:
        """Note that nothing more will be heard of it here."""
        if self._exit is None and self._lost is None:
            self._lost = error
            self._wake()

    def _wake(self) -> None:
        self._output_changed.set()
        self._ended.set()
        self._credit_changed.set()

    def _tell(self, type_: FrameType, payload: bytes, *, fin: bool = False) -> None:
        if self._lost is None:
            self._send(type_, self.channel, payload, fin=fin)
