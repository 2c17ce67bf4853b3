"""Archives that a sandbox sends land below the named folder, or nowhere."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepd.cli.cp import Remote, parse_place
from deepd.cli.pack import pack_file, pack_folder
from deepd.cli.unpack import unpack_file, unpack_folder
from deepd.errors import ForbiddenError, ProtocolError


def archive(*entries: tuple[str, bytes, str | bytes]) -> Iterator[bytes]:
    """Return a tar of (name, type, content or target), in odd pieces."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = kind, 0o644 if kind != tarfile.DIRTYPE else 0o755
            if isinstance(content, str):
                entry.linkname = content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    data = buffer.getvalue()
    return (data[at : at + 700] for at in range(0, len(data), 700))


FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil", FILE, b"x")],
        [("a/../../evil", FILE, b"x")],
        [("link", LINK, "/etc")],
        [("link", LINK, "../..")],
        [("a", FOLDER, b""), ("a/link", LINK, "../../evil")],
        [("link", LINK, "later/../evil"), ("later", LINK, ".")],
        [("hard", HARD, "/etc/passwd")],
        [("hard", HARD, "../outside")],
        [("dev", tarfile.CHRTYPE, b"")],
        [("pipe", tarfile.FIFOTYPE, b"")],
        [("n" * 5000, FILE, b"x")],
        [("x", LINK, "d/" * 3000)],
    ],
)
def test_what_would_leave_the_folder_is_refused(
    tmp_path: Path, entries: list[tuple[str, bytes, str | bytes]]
) -> None:
    target = tmp_path / "target"
    with pytest.raises(ForbiddenError):
        unpack_folder(archive(*entries), target)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert not [path for path in target.rglob("*") if path.is_symlink() or path.is_file()]


def test_a_file_behind_a_link_of_the_archive_is_not_written_through_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "target"
    (target / "inner").mkdir(parents=True)
    with pytest.raises((OSError, ForbiddenError)):
        unpack_folder(archive(("link", LINK, "inner"), ("link/file", FILE, b"x")), target)
    assert not (target / "inner" / "file").exists()


def test_a_link_that_was_there_before_is_not_followed_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "target"
    target.mkdir()
    (target / "link").symlink_to(outside)
    with pytest.raises(ForbiddenError):
        unpack_folder(archive(("link/file", FILE, b"x")), target)
    assert not list(outside.iterdir())


def test_an_absolute_name_lands_below_the_folder(tmp_path: Path) -> None:
    unpack_folder(archive(("/abs/file", FILE, b"x")), tmp_path / "target")
    assert (tmp_path / "target" / "abs" / "file").read_bytes() == b"x"


def test_bits_that_give_rights_away_are_dropped(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("tool")
    entry.mode, entry.size = 0o6777, 1
    data = entry.tobuf() + b"x" + bytes(511) + bytes(1024)
    unpack_file(iter([data]), tmp_path / "tool")
    assert (tmp_path / "tool").stat().st_mode & 0o7777 == 0o755


def test_one_file_takes_the_place_of_another_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"before")
    whole = b"".join(archive(("file", FILE, b"y" * 5000)))
    with pytest.raises(tarfile.ReadError):
        unpack_file(iter([whole[:2000]]), target)
    assert target.read_bytes() == b"before"
    unpack_file(iter([whole]), target)
    assert target.read_bytes() == b"y" * 5000
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_no_file_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError):
        unpack_file(archive(("file", FOLDER, b"")), tmp_path / "file")


def test_a_folder_packs_and_unpacks_to_the_same(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / "empty").mkdir(parents=True)
    (source / "deep" / ("long" * 50)).write_bytes(b"x" * 600_000)
    (source / "\udcff").write_bytes(b"odd name")
    (source / "link").symlink_to("deep/empty")
    unpack_folder(pack_folder(source), tmp_path / "copy")
    names = {path.relative_to(source) for path in source.rglob("*")}
    assert {path.relative_to(tmp_path / "copy") for path in (tmp_path / "copy").rglob("*")} == names
    assert (tmp_path / "copy" / "\udcff").read_bytes() == b"odd name"


def test_a_file_that_shrinks_while_it_is_read_is_an_error() -> None:
    with pytest.raises(OSError, match="shorter"):
        list(pack_file("name", io.BytesIO(b"abc"), 4, 0o644))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("main:src", Remote("main", "src")),
        ("main:", Remote("main", ".")),
        ("main:/a:b", Remote("main", "/a:b")),
        ("./a:b", "./a:b"),
        ("/a:b", "/a:b"),
        ("dir/a:b", "dir/a:b"),
        ("file", "file"),
        ("-", "-"),
    ],
)
def test_a_place_is_in_a_session_when_a_name_and_a_colon_come_first(
    text: str, place: Remote | str
) -> None:
    assert parse_place(text) == place
