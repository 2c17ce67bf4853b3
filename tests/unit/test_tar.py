"""Reading archives: as tarfile writes them, and as somebody with bad intentions does."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepd.errors import ArgumentsError, TooLargeError
from deepd.sandbox.extract import ArchiveLimits, Place
from deepd.sandbox.tar import Entry, TarReader, parse_pax


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    info.mode = 0o4755
    return info


def tar(members: list[tuple[tarfile.TarInfo, bytes]], format_: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


async def stream(data: bytes, piece: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), piece):
        yield data[start : start + piece]


async def unpack(data: bytes, piece: int = 1000) -> list[tuple[Entry, bytes]]:
    reader = TarReader(stream(data, piece))
    return [(e, b"".join([p async for p in reader.content()])) async for e in reader.entries()]


names = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=150)


@given(
    st.lists(st.tuples(names, st.binary(max_size=1500)), max_size=4),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(1, 3000),
)
@settings(max_examples=100)
async def test_what_tarfile_writes_is_read_back(
    files: list[tuple[str, bytes]], format_: int, piece: int
) -> None:
    got = await unpack(tar([(member(name), data) for name, data in files], format_), piece)
    assert [(entry.name, data) for entry, data in got] == files


async def test_kinds_and_modes_are_kept_without_setuid() -> None:
    got = await unpack(
        tar([(member("d", tarfile.DIRTYPE), b""), (member("l", tarfile.SYMTYPE, "d"), b"")])
    )
    assert [entry for entry, _ in got] == [
        Entry("dir", "d", "", 0o755, 0),
        Entry("link", "l", "d", 0o755, 0),
    ]


async def test_content_that_is_not_read_is_skipped() -> None:
    data = tar([(member("a"), b"x" * 5000), (member("b"), b"y")])
    reader = TarReader(stream(data, 700))
    assert [entry.name async for entry in reader.entries()] == ["a", "b"]


@pytest.mark.parametrize(
    "kind", [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S", b"?"]
)
async def test_anything_but_files_folders_and_links_is_refused(kind: bytes) -> None:
    with pytest.raises(ArgumentsError, match="neither"):
        await unpack(tar([(member("x", kind, "y"), b"")]))


@pytest.mark.parametrize(
    "data",
    [
        b"not a tar" * 200,
        tar([(member("a"), b"x" * 2000)])[:1024],
        b"x",
        b"",
        tar([(member("a" * 200), b"")]).replace(b" path=", b"!path="),
    ],
)
async def test_what_is_no_whole_archive_is_refused(data: bytes) -> None:
    with pytest.raises(ArgumentsError):
        await unpack(data)


async def test_an_endless_name_is_refused() -> None:
    info = member("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    info.size = 1 << 40
    with pytest.raises(ArgumentsError, match="unreasonable"):
        await unpack(info.tobuf(tarfile.GNU_FORMAT))


@given(st.binary(max_size=3000))
@settings(deadline=None)
async def test_random_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ArgumentsError):
        await unpack(b"\1" + data)


@given(st.binary(max_size=300))
def test_random_attributes_are_refused_or_read(data: bytes) -> None:
    with contextlib.suppress(ArgumentsError):
        parse_pax(data)


def entry(name: str, target: str = "", size: int = 0) -> Entry:
    return Entry("link" if target else "file", name, target, 0o644, size)


@pytest.mark.parametrize(
    "entries",
    [
        [entry("../x")],
        [entry("a/../../x")],
        [entry("/etc/passwd")],
        [entry("a\0b")],
        [entry("l", "/etc")],
        [entry("l", "..")],
        [entry("a/l", "../..")],
        [entry("a/l", "b/../../..")],
        [entry("l", "x\0y")],
        [Entry("link", "l", "", 0o777, 0)],
        [entry(".", "x")],
        [entry("l", "a"), entry("l/x")],
        [entry("a/l", ".."), entry("a/l/m", "..")],
    ],
)
def test_what_leads_out_of_the_folder_is_refused(entries: list[Entry]) -> None:
    place = Place(ArchiveLimits())
    for good in entries[:-1]:
        place.admit(good)
    with pytest.raises(ArgumentsError):
        place.admit(entries[-1])


def test_links_that_stay_inside_are_fine() -> None:
    place = Place(ArchiveLimits())
    assert place.admit(entry("./a/l", "../b/./c")) == ("a", "l")
    assert place.admit(entry("m", "a")) == ("m",)
    assert place.admit(entry("m")) == ("m",), "a file in place of a link"
    assert place.admit(entry("./")) == ()


def test_bombs_are_refused() -> None:
    for limits, entries in (
        (ArchiveLimits(entries=2), [entry("a"), entry("b"), entry("c")]),
        (ArchiveLimits(size=10), [entry("a", size=6), entry("b", size=5)]),
        (ArchiveLimits(depth=3), [entry("a/b/c/d")]),
    ):
        place = Place(limits)
        for one in entries[:-1]:
            place.admit(one)
        with pytest.raises(TooLargeError):
            place.admit(entries[-1])
