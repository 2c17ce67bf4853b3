"""Guest: the owner's end of one attachment to a sandbox's guest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets

from deepd.engine.base import ByteStream
from deepd.engine.lane import Lane
from deepd.engine.lane_stream import LaneStream
from deepd.errors import (
    CallLostError,
    DeepdError,
    EngineError,
    EngineTimeoutError,
    GoneError,
    ProtocolError,
)
from deepd.guest import fields
from deepd.guest.call import GuestCall
from deepd.guest.frames import MAX_PAYLOAD, RESYNC, Decoder, Frame, FrameType, encode, encode_pieces
from deepd.guest.messages import encode_id, encode_request, parse_welcome
from deepd.guest.opening import Answer, Opening
from deepd.guest.requests import Execute, FileOp, GuestInfo, Kind, Option
from deepd.guest.signal import Signal
from deepd.guest.switch import UnsureError, switch
from deepd.model.ids import CallId

logger = logging.getLogger(__name__)

VERSION = 1
PING_EVERY = 5.0
_SMALL = 64 * 1024
"""Requests up to that size are sent without waiting for the stream's buffer."""


class Guest:
    """One attachment: calls are opened, followed and heard of here until the stream ends.

    What comes from the guest is checked as it comes. A guest that breaks the rules loses its
    stream and nothing else: the calls here raise `CallLostError`, and the daemon attaches anew.
    """

    info: GuestInfo

    @classmethod
    async def connect(
        cls, stream: ByteStream, *, lease: float | None = None, deadline: float = 5.0
    ) -> Guest:
        """Say hello and wait for the answer; the stream belongs to the guest from here on.

        Raises `ProtocolError`, `EngineTimeoutError`, or what the stream raises.
        """
        guest = cls(stream)
        try:
            await guest._greet(lease, deadline)
            if stream.lane is not None and not await guest._take(stream.lane):
                await guest._greet(lease, deadline)
        except BaseException:
            await guest._stream.aclose()
            raise
        guest._reader = asyncio.create_task(guest._read(), name="guest")
        guest._ping()
        return guest

    def __init__(self, stream: ByteStream) -> None:
        self.closed = False
        self.error: DeepdError | None = None
        """Why the stream ended, when it was not closed from here."""
        self._stream = stream
        self._decoder = Decoder()
        self._calls: dict[int, GuestCall] = {}
        self._channels: dict[CallId, int] = {}
        self._answers: dict[int, Answer] = {}
        """Who waits for OPENED or STATE on a channel."""
        self._last_channel = 0
        self._may_pass = True
        self._done = Signal()
        self._reader: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = 0.0

    @property
    def has_lane(self) -> bool:
        """Whether it is reached without the engine in between."""
        return isinstance(self._stream, LaneStream)

    @property
    def passes(self) -> bool:
        """Whether descriptors can go between here and the guest."""
        return self._may_pass and isinstance(self._stream, LaneStream)

    def pass_no_more(self) -> None:
        """Send bytes instead: something between here and the guest takes descriptors away."""
        self._may_pass = False

    def silent_for(self) -> float:
        """Return the seconds since the guest was last heard of; it answers a ping every 5 s."""
        return asyncio.get_running_loop().time() - self._heard_at

    def open(self, call_id: CallId | None, request: Execute | FileOp) -> Opening:
        """Ask for a call at once; awaiting what is returned gives it.

        Without an id only a file operation that changes nothing. Raises `CallLostError` when the
        stream has ended; awaiting raises that too, `ConflictError` for an id that the guest has
        seen, `LimitError` for too many calls, `ArgumentsError` for what makes no sense.
        """
        payload = encode_request(call_id, request)
        call = self._add(call_id)
        call.wants_file = _asks_for_file(request)
        self._write(encode_pieces(FrameType.OPEN, call.channel, payload))
        drained = self._drain if len(payload) > _SMALL else None
        return Opening(call, self._answers[call.channel], drained, self._forget)

    def open_given(self, call_id: CallId, request: FileOp, descriptor: int) -> Opening | None:
        """Ask for a WRITE whose bytes are in a file that goes along; see `open()`.

        `None`: it was not asked for, as a descriptor cannot be passed now. Awaiting raises
        `NotGivenError` when the guest did not get it: then nothing was done.
        """
        if not self.passes or not isinstance(self._stream, LaneStream):
            return None
        payload = encode_request(call_id, request)
        if len(payload) > MAX_PAYLOAD:
            return None
        call = self._add(call_id)
        frame = encode(FrameType.OPEN, call.channel, payload, fin=True)
        if not self._stream.write_passing(frame, descriptor):
            self._forget(call)
            del self._answers[call.channel]
            return None
        return Opening(call, self._answers[call.channel], None, self._forget)

    async def follow(self, call_id: CallId, *, offset: int = 0) -> GuestCall | None:
        """Take up a call that was opened before, with its output from the offset on.

        `None`: the guest has never seen it, so it never started. Raises `GoneError` when it was
        released. A `GuestCall` of the same id that was had before is lost.
        """
        former = self._calls.get(self._channels.get(call_id, 0))
        call = self._add(call_id, offset)
        if former is not None:
            former.lose(CallLostError("the call is followed from elsewhere"))
        self._send(FrameType.FOLLOW, call.channel, encode_id(call_id) + fields.u64(offset))
        answer = await self._answers[call.channel]
        if former is not None:
            self._calls.pop(former.channel, None)
        state = int.from_bytes(answer[:4], "little")
        if state in (1, 2):
            return call
        self._forget(call)
        if state == 3:
            raise GoneError(f"the result of call {call_id[:8]} was taken before and is not kept")
        return None

    def release(self, call_id: CallId) -> None:
        """Let the guest forget a finished call: its result is stored. The id stays refused."""
        self._send(FrameType.RELEASE, 0, encode_id(call_id))

    def abandon(self, call_id: CallId) -> None:
        """End a call that was opened here, read nothing more of it and let the guest forget it."""
        call = self._calls.get(self._channels.get(call_id, 0))
        if call is None:
            self.release(call_id)
        else:
            call.abandon()

    async def set_lease(self, seconds: float | None) -> None:
        """Have the guest end by itself after so long without work and owner; `None`: never."""
        self._send(FrameType.LEASE, 0, fields.u32(_lease(seconds)))
        await self._drain()

    async def wait_closed(self) -> None:
        """Wait until the stream has ended, from whichever side."""
        while not self.closed:
            await self._done.wait()

    async def aclose(self) -> None:
        """Let go of the stream; calls go on in the guest."""
        self._close(None)
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait((self._reader,))
        await self._stream.aclose()

    async def _take(self, lane: Lane) -> bool:
        """Go on over the lane where that can be; `False`: the guest must be greeted again."""
        try:
            taken = await switch(self._stream, self._decoder, lane, bytes.fromhex(self.info.boot))
        except UnsureError as error:
            logger.info("no lane to a sandbox: %s", error)
            return False
        if taken is not None:
            self._stream = taken
            self._decoder = Decoder()
            self._decoder.hunting = False
            self._decoder.expect_no_loss()
        return True

    async def _greet(self, lease: float | None, deadline: float) -> None:
        nonce = secrets.token_bytes(8)
        self._decoder = Decoder()
        hello = (
            fields.field(1, nonce)
            + fields.field(2, fields.u32(VERSION))
            + fields.field(3, fields.u32(_lease(lease)))
        )
        self._stream.write(RESYNC + encode(FrameType.HELLO, 0, hello))
        try:
            async with asyncio.timeout(deadline):
                await self._wait_welcome(nonce)
        except TimeoutError as error:
            raise EngineTimeoutError(
                f"the sandbox's guest did not answer within {deadline:g} s",
                next_step="the sandbox may be paused or the engine stuck: look again",
            ) from error

    async def _wait_welcome(self, nonce: bytes) -> None:
        """Drop all frames up to the one that answers our hello: they are another owner's."""
        while data := await self._stream.read():
            frames = self._decoder.feed(data)
            for index, frame in enumerate(frames):
                if frame.type != FrameType.WELCOME:
                    continue
                answered, info = parse_welcome(frame.payload)
                if answered != nonce:
                    continue
                if info.version != VERSION:
                    raise ProtocolError(
                        f"the guest speaks version {info.version} and deepd version {VERSION}",
                        next_step="remove the sandbox, so that it is made with this version",
                    )
                self.info = info
                self._heard_at = asyncio.get_running_loop().time()
                self._decoder.expect_no_loss()
                for later in frames[index + 1 :]:
                    self._dispatch(later)
                return
        raise ProtocolError("the guest's stream ended before it said hello")

    async def _read(self) -> None:
        error: DeepdError | None = None
        try:
            error = await self._read_frames()
        except (ProtocolError, EngineError) as stopped:
            logger.warning("a guest's stream is closed: %s", stopped)
            error = stopped
        finally:
            self._close(error)
        await self._stream.aclose()

    async def _read_frames(self) -> DeepdError:
        if isinstance(self._stream, LaneStream):
            self._stream.hand_over(self._hear)
        while data := await self._stream.read():
            self._hear(data)
        return EngineError("the guest's stream has ended")

    def _hear(self, data: bytes) -> None:
        frames = self._decoder.feed(data)
        if frames:
            self._heard_at = asyncio.get_running_loop().time()
        for frame in frames:
            self._dispatch(frame)
        if self._decoder.losses:
            raise ProtocolError(
                "bytes of the guest's stream were lost, or another process has attached to it"
            )

    def _dispatch(self, frame: Frame) -> None:
        """Hand a frame to its call; anything unexpected is a `ProtocolError`."""
        type_, _, channel, payload = frame
        call = self._calls.get(channel)
        if type_ == FrameType.PONG and len(payload) == 8:
            return
        if call is None:
            raise ProtocolError(f"the guest sent frame {type_} on channel {channel}, not in use")
        answer = self._answers.get(channel)
        if answer is not None:
            self._take_answer(call, answer, frame)
        elif type_ == FrameType.DATA:
            call.take_data(payload)
        elif type_ == FrameType.CREDIT:
            call.take_credit(payload)
        elif type_ == FrameType.FILE and isinstance(self._stream, LaneStream):
            call.take_file(self._stream.take_passed())
        elif type_ == FrameType.EXIT:
            call.take_exit(payload)
            self._forget(call)
            if call.release_at_end and call.id is not None:
                self.release(call.id)
        else:
            raise ProtocolError(f"the guest sent frame {type_} where it means nothing")

    def _take_answer(self, call: GuestCall, answer: Answer, frame: Frame) -> None:
        payload = frame.payload
        if frame.type == FrameType.STATE and len(payload) == 20:
            state = int.from_bytes(payload[:4], "little")
            acknowledged = int.from_bytes(payload[4:12], "little")
            stdin = int.from_bytes(payload[12:], "little")
            call.take_state(offset=acknowledged, stdin=stdin, finished=state == 2)
        elif frame.type != FrameType.OPENED or len(payload) < 4:
            raise ProtocolError(f"the guest answered a request with frame {frame.type}")
        del self._answers[frame.channel]
        if not answer.done():
            answer.set_result(payload)
        elif frame.type == FrameType.OPENED and payload[:4] != fields.u32(0):
            self._forget(call)  # refused, and whoever asked was cancelled

    def _add(self, call_id: CallId | None, offset: int = 0) -> GuestCall:
        if self.closed:
            raise CallLostError("the sandbox's stream is closed")
        self._last_channel += 1
        call = GuestCall(call_id, self._last_channel, self._send, self._drain, offset=offset)
        self._calls[call.channel] = call
        self._answers[call.channel] = asyncio.get_running_loop().create_future()
        if call_id is not None:
            self._channels[call_id] = call.channel
        return call

    def _forget(self, call: GuestCall) -> None:
        self._calls.pop(call.channel, None)
        if call.id is not None and self._channels.get(call.id) == call.channel:
            del self._channels[call.id]

    def _ping(self) -> None:
        loop = asyncio.get_running_loop()
        self._send(FrameType.PING, 0, fields.u64(int(loop.time() * 1e6)))
        self._timer = loop.call_later(PING_EVERY, self._ping)

    def _send(self, type_: FrameType, channel: int, payload: bytes, *, fin: bool = False) -> None:
        self._write(encode(type_, channel, payload, fin=fin))

    def _write(self, data: bytes) -> None:
        if not self.closed:
            self._stream.write(data)

    async def _drain(self) -> None:
        """Wait for the stream's buffer; a stream that is gone shows in the calls themselves."""
        with contextlib.suppress(EngineError):
            await self._stream.drain()

    def _close(self, error: DeepdError | None) -> None:
        if self.closed:
            return
        self.closed = True
        self.error = error
        if self._timer is not None:
            self._timer.cancel()
        lost = CallLostError(
            f"the sandbox's stream ended under the call: {error}"
            if error
            else "the sandbox's stream was closed under the call"
        )
        for call in self._calls.values():
            call.lose(lost)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(lost)
                # Whoever was to hear it may have been cancelled.
                answer.exception()
        self._calls.clear()
        self._answers.clear()
        self._channels.clear()
        self._done.set()


def _asks_for_file(request: Execute | FileOp) -> bool:
    return (
        isinstance(request, FileOp)
        and request.kind is Kind.READ
        and bool(request.options & Option.READ_PASS)
    )


def _lease(seconds: float | None) -> int:
    return 0 if not seconds else min(max(1, math.ceil(seconds)), 0xFFFF_FFFF)
