"""A second, synchronous implementation of the guest's wire: two of them check each other."""

from __future__ import annotations

import os
import secrets
import select
import socket
import struct
import subprocess
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

HELLO, PING, OPEN, STDIN, ACK, KILL, RESIZE, FOLLOW, RELEASE, LEASE, SIGNAL, LANE = range(1, 13)
WELCOME, PONG, OPENED, DATA, CREDIT, EXIT, STATE, LANED, PASSED = range(65, 74)
EXITED, SIGNALLED, TIMED_OUT, KILLED, OUTPUT, NOT_STARTED, FILE = range(1, 8)
STAT, LIST, READ, WRITE, MKDIR, REMOVE, RENAME, REALPATH, WALK, SCAN, SYMLINK, CHMOD, UTIME = range(
    32, 45
)
SHELL_FLAG, PTY, STDIN_FLAG, MERGE = 1, 2, 4, 8
FIN = 1
SYNC = bytes.fromhex("7f6465657064 0d0a1a00 53594e43 f59c")
RESYNC = bytes(65_536) + SYNC
MAX_PAYLOAD = 65_520
PATIENCE = 30.0
TAGS = {"id": 1, "kind": 2, "arg": 3, "env": 4, "cwd": 5, "flags": 6, "timeout": 7, "grace": 8}
TAGS |= {"output_kill": 9, "rows": 10, "cols": 11, "path": 20, "path2": 21, "offset": 22}
TAGS |= {"size": 23, "mode": 24, "options": 25, "glob": 26, "match": 27, "needle": 28}
TAGS |= {"given": 29}
SIZES = {"output_kill": "<Q", "offset": "<Q", "size": "<Q", "rows": "<H", "cols": "<H"}
SIZES |= {"given": "<Q"}
NO_ID = bytes(16)

Value = int | str | bytes


@dataclass(frozen=True)
class Frame:
    """One frame as it came."""

    type: int
    flags: int
    channel: int
    payload: bytes


@dataclass(frozen=True)
class Entry:
    """A record."""

    kind: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    inode: int
    name: str
    target: str

    @property
    def match(self) -> bytes:
        """The field that asks for the same file again."""
        return struct.pack("<QQQ", self.mtime_ns, self.inode, self.size)


@dataclass
class Call:
    """What was heard of one channel."""

    channel: int
    id: bytes
    status: int | None = None
    why: str = ""
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    offset: int = 0
    credit: int = 0
    state: tuple[int, int, int] | None = None
    exit: dict[int, bytes] | None = None
    acks: bool = True
    keeps: bool = True
    wrong: str = ""

    def number(self, tag: int) -> int:
        """Return an integer field of EXIT."""
        assert self.exit is not None
        return int.from_bytes(self.exit[tag], "little")

    @property
    def how(self) -> int:
        """How it ended."""
        return self.number(1)

    @property
    def code(self) -> int:
        """With which code."""
        return self.number(2)

    @property
    def errno(self) -> int:
        """And which errno."""
        return self.number(3)

    @property
    def note(self) -> str:
        """What it says about that."""
        assert self.exit is not None
        return self.exit[8].decode()


def encode(kind: int, payload: bytes = b"", channel: int = 0, flags: int = 0) -> bytes:
    """Return one frame."""
    tail = struct.pack("<BBHI", kind, flags, 0, channel)
    crc = zlib.crc32(payload, zlib.crc32(tail))
    return struct.pack("<II", len(payload), crc) + tail + payload


def one_field(tag: int, value: bytes) -> bytes:
    """Return one field."""
    return struct.pack("<BI", tag, len(value)) + value


def fields(values: Iterable[tuple[str, Value]]) -> bytes:
    """Return the fields of a call."""
    out = bytearray()
    for name, value in values:
        if isinstance(value, int):
            raw = struct.pack(SIZES.get(name, "<I"), value)
        else:
            raw = value.encode() if isinstance(value, str) else value
        out += one_field(TAGS[name], raw)
    return bytes(out)


def parse_fields(payload: bytes) -> list[tuple[int, bytes]]:
    """Return the fields of an answer."""
    found, at = [], 0
    while at < len(payload):
        tag, size = struct.unpack_from("<BI", payload, at)
        assert at + 5 + size <= len(payload)
        found.append((tag, payload[at + 5 : at + 5 + size]))
        at += 5 + size
    return found


def parse_record(data: bytes, at: int = 0) -> tuple[Entry, int]:
    """Return the record at an offset, and where the next byte is."""
    (length,) = struct.unpack_from("<I", data, at)
    numbers = struct.unpack_from("<BIIIQQQ", data, at + 4)
    (name_size,) = struct.unpack_from("<H", data, at + 41)
    name = data[at + 43 : at + 43 + name_size]
    target = data[at + 43 + name_size : at + 4 + length]
    assert at + 4 + length <= len(data)
    kind, mode, uid, gid, size, mtime_ns, inode = numbers
    texts = os.fsdecode(name), os.fsdecode(target)
    return Entry(kind, mode, uid, gid, size, mtime_ns, inode, *texts), at + 4 + length


def parse_records(data: bytes) -> list[Entry]:
    """Return records that stand one after the other."""
    found, at = [], 0
    while at < len(data):
        entry, at = parse_record(data, at)
        found.append(entry)
    return found


class Reader:
    """Frames out of bytes, hunting for SYNC first."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.hunting = True

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are whole now."""
        self._bytes += data
        found = []
        while (frame := self._next()) is not None:
            found.append(frame)
        return found

    def _next(self) -> Frame | None:
        if self.hunting:
            at = self._bytes.find(SYNC)
            if at < 0:
                del self._bytes[: max(0, len(self._bytes) - 15)]
                return None
            del self._bytes[: at + 16]
            self.hunting = False
        if len(self._bytes) < 16:
            return None
        length, crc, kind, flags, zero, channel = struct.unpack_from("<IIBBHI", self._bytes)
        if length > MAX_PAYLOAD or zero or (length == 0 and crc == 0):
            self.hunting = True
            return self._next()
        if len(self._bytes) < 16 + length:
            return None
        whole = bytes(self._bytes[8 : 16 + length])
        del self._bytes[: 16 + length]
        if zlib.crc32(whole) != crc:  # half a frame of the former attachment
            self.hunting = True
            return self._next()
        return Frame(kind, flags, channel, whole[8:])


class Driver:
    """One guest and what was heard of it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self.reader = Reader()
        self.outbox = bytearray()
        self.calls: dict[int, Call] = {}
        self.frames: list[Frame] = []
        self.welcome: list[tuple[int, bytes]] = []
        self.ended = False
        self.descriptors: list[int] = []
        """Those that came over the lane; the test closes them."""
        self._lane: socket.socket | None = None
        self._channel = 0
        self._nonce = b""

    def move(self, connection: socket.socket) -> None:
        """Speak over a lane from now on, beginning with a whole frame."""
        connection.setblocking(False)  # noqa: FBT003 - its only argument
        self._in = self._out = connection.fileno()
        self._lane = connection
        self.reader = Reader()
        self.reader.hunting = False
        self.ended = False

    def move_back(self) -> None:
        """Speak over the process's pipes again."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin.fileno(), self.process.stdout.fileno()
        self._lane = None
        self.reader = Reader()
        self.outbox.clear()
        self.ended = False

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        self.outbox += data

    def send(self, kind: int, payload: bytes = b"", channel: int = 0, flags: int = 0) -> None:
        """Queue a frame."""
        self.write(encode(kind, payload, channel, flags))

    def give(self, path: str, descriptor: int, inode: int, size: int, **values: Any) -> Call:
        """Send a WRITE with a descriptor beside its frame, and wait for OPENED."""
        assert self._lane is not None
        assert not self.outbox
        call = self.channel()
        items: dict[str, Value] = {
            "id": call.id,
            "kind": WRITE,
            "path": path,
            "size": size,
            "given": inode,
        }
        payload = fields([*items.items(), *values.items()])
        socket.send_fds(self._lane, [encode(OPEN, payload, call.channel, FIN)], [descriptor])
        self.wait(lambda: call.status is not None)
        return call

    def _receive(self) -> bytes:
        if self._lane is None:
            return os.read(self._out, 1 << 18)
        data, descriptors, _, _ = socket.recv_fds(self._lane, 1 << 18, 16)
        self.descriptors += descriptors
        return data

    def step(self, timeout: float) -> None:
        """Send and receive once."""
        readable, writable, _ = select.select(
            [] if self.ended else [self._out], [self._in] if self.outbox else [], [], timeout
        )
        if writable:
            try:
                sent = os.write(self._in, self.outbox[: 1 << 18])
            except BrokenPipeError:
                sent = len(self.outbox)
            del self.outbox[:sent]
        if readable:
            try:
                data = self._receive()
            except ConnectionResetError:
                data = b""
            self.ended = not data
            for frame in self.reader.feed(data):
                self._hear(frame)

    def wait(self, condition: Callable[[], object], timeout: float = PATIENCE) -> None:
        """Go on until something is true."""
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"not within {timeout} s"
            assert not self.ended, "the guest ended"
            self.step(left)

    def until(self, condition: Callable[[], object], timeout: float = PATIENCE) -> None:
        """Go on until something is true that no frame tells."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout} s"
            self.step(0.01)

    def idle(self, seconds: float) -> None:
        """Go on for a while, to hear what should not come."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self.ended:
            self.step(left)

    def _hear(self, frame: Frame) -> None:
        self.frames.append(frame)
        del self.frames[:-1000]
        if frame.type == WELCOME:
            found = parse_fields(frame.payload)
            if dict(found).get(1) == self._nonce:
                self.welcome = found
            return
        call = self.calls.get(frame.channel)
        if call is not None and self.welcome:
            self._hear_call(call, frame)

    def _hear_call(self, call: Call, frame: Frame) -> None:
        if frame.type == OPENED:
            call.status, call.why = (
                int.from_bytes(frame.payload[:4], "little"),
                frame.payload[4:].decode(),
            )
        elif frame.type == CREDIT:
            call.credit = int.from_bytes(frame.payload, "little")
        elif frame.type == STATE:
            call.state = struct.unpack("<IQQ", frame.payload)
        elif frame.type == EXIT:
            call.exit = dict(parse_fields(frame.payload))
        elif frame.type == DATA:
            offset, stream = struct.unpack_from("<QB", frame.payload)
            data = frame.payload[9:]
            if offset != call.offset or call.exit is not None or not data:
                call.wrong = f"DATA at {offset}, expected {call.offset}"
            call.offset = offset + len(data)
            if call.keeps:
                (call.stdout if stream == 1 else call.stderr).extend(data)
            if call.acks:
                self.send(ACK, struct.pack("<Q", call.offset), call.channel)

    def hello(self, *, lease: int = 0, version: int = 1) -> dict[int, bytes]:
        """Begin an attachment."""
        self._nonce = secrets.token_bytes(8)
        self.welcome = []
        self.calls = {}
        self.write(RESYNC)
        payload = one_field(1, self._nonce) + one_field(2, struct.pack("<I", version))
        self.send(HELLO, payload + one_field(3, struct.pack("<I", lease)))
        self.wait(lambda: self.welcome)
        return dict(self.welcome)

    def channel(self, call_id: bytes = b"") -> Call:
        """Return a fresh channel."""
        self._channel += 1
        call = Call(self._channel, call_id or secrets.token_bytes(16))
        self.calls[call.channel] = call
        return call

    def open(
        self,
        *args: str | bytes,
        call_id: bytes = b"",
        env: Mapping[str, str] | None = None,
        acks: bool = True,
        **values: Any,
    ) -> Call:
        """Send OPEN and wait for OPENED."""
        call = self.channel(call_id)
        call.acks = acks
        items: list[tuple[str, Value]] = [("id", call.id), *values.items()]
        items += [("arg", arg) for arg in args]
        items += [("env", f"{name}={value}") for name, value in (env or {}).items()]
        payload = fields(items)
        for at in range(0, max(1, len(payload)), MAX_PAYLOAD):
            last = at + MAX_PAYLOAD >= len(payload)
            self.send(OPEN, payload[at : at + MAX_PAYLOAD], call.channel, FIN if last else 0)
        self.wait(lambda: call.status is not None)
        return call

    def shell(self, command: str, *, flags: int = 0, call_id: bytes = b"", **values: Any) -> Call:
        """Open a command text."""
        return self.open(command, call_id=call_id, flags=flags | SHELL_FLAG, **values)

    def end(self, call: Call, timeout: float = PATIENCE) -> Call:
        """Wait for EXIT."""
        assert call.status == 0, call.why
        self.wait(lambda: call.exit is not None, timeout)
        assert not call.wrong, call.wrong
        return call

    def end_of(self, call: Call) -> Call:
        """Wait for OPENED and EXIT of a call that was sent by hand."""
        self.wait(lambda: call.status is not None)
        return self.end(call)

    def run(self, command: str, **values: Any) -> Call:
        """Run a command text to its end."""
        return self.end(self.shell(command, **values))

    def file(self, kind: int, path: str, data: bytes | None = None, **values: Any) -> Call:
        """Do a file operation to its end."""
        call_id = NO_ID if kind in (STAT, LIST, READ, REALPATH, WALK, SCAN) else b""
        call = self.open(call_id=call_id, kind=kind, path=path, **values)
        if data is not None and call.status == 0:
            self.stdin(call, data)
        return self.end(call)

    def stdin(self, call: Call, data: bytes, *, fin: bool = True, sent: int = 0) -> None:
        """Send input as its credit allows, from where it was left."""
        while sent < len(data) and call.exit is None:
            self._wait_for_credit(call, sent)
            piece = data[sent : min(call.credit, sent + MAX_PAYLOAD)]
            self.send(STDIN, piece, call.channel)
            sent += len(piece)
        if fin:
            self.send(STDIN, b"", call.channel, FIN)

    def _wait_for_credit(self, call: Call, sent: int) -> None:
        self.wait(lambda: call.credit > sent or call.exit is not None)

    def kill(self, call: Call, grace_ms: int = 0) -> None:
        """Send KILL."""
        self.send(KILL, struct.pack("<I", grace_ms), call.channel)

    def follow(self, call_id: bytes, offset: int = 0, *, acks: bool = True) -> Call:
        """Send FOLLOW and wait for STATE."""
        call = self.channel(call_id)
        call.offset, call.status, call.acks = offset, 0, acks
        self.send(FOLLOW, call_id + struct.pack("<Q", offset), call.channel)
        self.wait(lambda: call.state is not None)
        return call

    def release(self, call: Call) -> None:
        """Send RELEASE."""
        self.send(RELEASE, call.id)

    def ping(self) -> None:
        """Wait until everything that was sent before has been heard."""
        nonce = secrets.token_bytes(8)
        self.send(PING, nonce)
        self.wait(lambda: any(f.type == PONG and f.payload == nonce for f in self.frames))

    def close(self) -> int:
        """End the guest by the end of its input; return its exit code."""
        process = self.process
        try:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
            return process.wait(10)
        finally:
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


def start(argv: list[str], *, env: Mapping[str, str] | None = None) -> Driver:
    """Start a guest on pipes."""
    return Driver(
        subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=None if env is None else dict(env),
        )
    )
