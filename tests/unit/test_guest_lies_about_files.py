"""A guest that lies about files: the caller gets an error, and nothing grows or leads anywhere."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace

import pytest

from deepd.errors import ArgumentsError, FileError, ProtocolError
from deepd.guest.connection import Guest
from deepd.guest.fields import field, parse_fields, u32, u64
from deepd.guest.frames import Frame, FrameType
from deepd.guest.records import MAX_RECORD, Record, encode_record
from deepd.guest.requests import Execute, Kind
from deepd.sandbox.sandbox import Sandbox
from tests.unit.peer import Peer, settle

FILE = Record("file", 0o644, 1000, 1000, 5, 10, 77, "name", "")
FOLDER = replace(FILE, kind="dir", size=0, name="folder")


def answering(answers: dict[Kind, bytes], errno: int = 0) -> Callable[[Peer, Frame], None]:
    """Answer each file operation with the output that is set for its kind."""

    def answer(peer: Peer, frame: Frame) -> None:
        if frame.type != FrameType.OPEN:
            return
        kind = Kind(int.from_bytes(dict(parse_fields(frame.payload))[2], "little"))
        output = answers.get(kind, b"")
        peer.opened(frame.channel)
        peer.say(FrameType.CREDIT, frame.channel, u64(1 << 20))
        for start in range(0, len(output), 60_000):
            peer.data(frame.channel, start, output[start : start + 60_000])
        end = field(1, u32(7)) + field(7, u64(len(output)))
        if errno:
            end += field(2, u32(1)) + field(3, u32(errno)) + field(8, b"said by the guest")
        peer.say(FrameType.EXIT, frame.channel, end)

    return answer


async def sandbox(answers: dict[Kind, bytes], errno: int = 0) -> Sandbox:
    return Sandbox(await Guest.connect(Peer(answering(answers, errno)).stream))


async def test_an_honest_guest_is_believed() -> None:
    box = await sandbox({Kind.READ: encode_record(FILE) + b"hello", Kind.STAT: encode_record(FILE)})
    assert await box.read("a") == b"hello"
    assert (await box.stat("a")).path == "/workspace/a"
    await box.guest.aclose()


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "", "a/../../x", "..", "a/..", "a\0b"], ids=repr
)
async def test_names_that_lead_out_are_refused(name: str) -> None:
    lie = encode_record(replace(FILE, name=name, size=0))
    box = await sandbox(
        {
            Kind.STAT: encode_record(FOLDER),
            Kind.LIST: lie,
            Kind.WALK: encode_record(replace(FOLDER, name=name)),
            Kind.SCAN: lie,
        }
    )
    with pytest.raises(ProtocolError):
        await box.ls("a")
    with pytest.raises(ProtocolError):
        await box.glob("**/*")
    with pytest.raises(ProtocolError):
        _ = [piece async for piece in box.archive("a")]
    await box.guest.aclose()


@pytest.mark.parametrize(
    "output",
    [
        b"\1\0",
        u32(3) + b"abc",
        u32(MAX_RECORD + 1) + bytes(100),
        encode_record(FILE)[:-1],
        encode_record(FILE).replace(b"\1", b"\x09", 1),
        u32(41) + encode_record(FILE)[4:43] + b"ab",
    ],
)
async def test_records_that_do_not_add_up_are_refused(output: bytes) -> None:
    box = await sandbox({Kind.LIST: output, Kind.STAT: output})
    with pytest.raises(ProtocolError):
        await box.ls("a")
    with pytest.raises(ProtocolError):
        await box.stat("a")
    await box.guest.aclose()


async def test_a_read_that_never_ends_is_cut_at_what_was_asked() -> None:
    box = await sandbox({Kind.READ: encode_record(FILE) + bytes(500)})
    with pytest.raises(ProtocolError, match="more of a file"):
        await box.read("a", size=10)
    with pytest.raises(ProtocolError, match="more of a file"):
        _ = [piece async for piece in box.stream("a", size=10)]
    await box.guest.aclose()


@pytest.mark.parametrize(
    "scan",
    [
        encode_record(replace(FILE, size=1 << 40)),
        encode_record(FOLDER),
        encode_record(replace(FILE, size=100)) + b"too few",
    ],
)
async def test_a_search_is_not_fooled(scan: bytes) -> None:
    box = await sandbox({Kind.SCAN: scan})
    with pytest.raises(ProtocolError):
        await box.grep("x")
    await box.guest.aclose()


async def test_an_answer_that_is_missing_or_too_much_is_refused() -> None:
    for stat in (b"", encode_record(FILE) * 2 + b"more"):
        box = await sandbox({Kind.STAT: stat, Kind.WRITE: stat, Kind.REALPATH: b"relative"})
        with pytest.raises(ProtocolError):
            await box.stat("a")
        with pytest.raises(ProtocolError):
            await box.write("a", b"data")
        with pytest.raises(ProtocolError):
            await box.realpath("a")
        await box.guest.aclose()


@pytest.mark.parametrize(
    ("errno", "name", "sentence"),
    [
        (2, "ENOENT", "cannot write /workspace/a: no such file or folder"),
        (21, "EISDIR", "cannot write /workspace/a: it is a folder"),
        (28, "ENOSPC", "cannot write /workspace/a: no space is left"),
        (5, "EIO", "cannot write /workspace/a: said by the guest"),
        (9999, "", "cannot write /workspace/a: said by the guest"),
    ],
)
async def test_a_failure_is_a_sentence_that_names_the_path(
    errno: int, name: str, sentence: str
) -> None:
    box = await sandbox({}, errno)
    with pytest.raises(FileError) as caught:
        await box.write("./a", b"data")
    assert (str(caught.value), caught.value.errno_name) == (sentence, name)
    assert await box.exists("a") is False if errno == 2 else True
    await box.guest.aclose()


async def test_an_archive_is_what_the_guest_has_and_nothing_else() -> None:
    box = await sandbox(
        {
            Kind.STAT: encode_record(FOLDER),
            Kind.WALK: encode_record(FOLDER)
            + encode_record(replace(FILE, kind="link", name="link", target="folder/file"))
            + encode_record(replace(FILE, kind="other", name="fifo")),
            Kind.SCAN: encode_record(replace(FILE, name="folder/file", mode=0o6755)) + b"hello",
        }
    )
    data = b"".join([piece async for piece in box.archive(".")])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [(m.name, m.mode, m.linkname) for m in tar] == [
            ("folder", 0o644, ""),
            ("link", 0o644, "folder/file"),
            ("folder/file", 0o755, ""),
        ]
        content = tar.extractfile("folder/file")
        assert content is not None
        assert content.read() == b"hello"
    await box.guest.aclose()


async def test_a_search_that_has_enough_ends_the_walk() -> None:
    entries = b"".join(encode_record(replace(FILE, name=f"f{n}")) for n in range(3000))
    peer = Peer()

    def answer(peer: Peer, frame: Frame) -> None:
        if frame.type == FrameType.OPEN:
            peer.opened(frame.channel)
            peer.data(frame.channel, 0, entries[:60_000])
        if frame.type == FrameType.KILL:
            peer.exit(frame.channel, 60_000, how=4)

    peer._answer = answer
    box = Sandbox(await Guest.connect(peer.stream))
    assert len(await box.glob("**/f*", limit=10)) == 10
    await settle(lambda: peer.of(FrameType.KILL))
    assert not box.guest.closed
    await box.guest.aclose()


async def test_a_cancelled_command_is_killed_and_released() -> None:
    def answer(peer: Peer, frame: Frame) -> None:
        if frame.type == FrameType.OPEN:
            peer.opened(frame.channel)
        if frame.type == FrameType.KILL:
            peer.exit(frame.channel, how=4)

    peer = Peer(answer)
    box = Sandbox(await Guest.connect(peer.stream))
    running = asyncio.create_task(box.execute(Execute(("sleep", "60"))))
    await settle(lambda: peer.of(FrameType.OPEN))
    await settle()
    running.cancel()
    await settle(lambda: peer.of(FrameType.RELEASE))
    assert len(peer.of(FrameType.KILL)) == 1
    await box.guest.aclose()


@pytest.mark.parametrize("path", ["", "a\0b"])
async def test_a_path_that_makes_no_sense_is_refused(path: str) -> None:
    box = await sandbox({})
    with pytest.raises(ArgumentsError):
        await box.read(path)
    with pytest.raises(ArgumentsError, match="size"):
        await box.write("a", box.stream("b"))
    await box.guest.aclose()
