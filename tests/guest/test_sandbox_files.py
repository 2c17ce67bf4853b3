"""Files through a real guest: what is read, what a write keeps, and what errors say."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deepd.errors import ArgumentsError, ConflictError, FileError
from deepd.model.ids import new_call_id
from deepd.sandbox import files
from deepd.sandbox.sandbox import Sandbox


async def pieces(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_what_is_written_is_read_back(sandbox: Sandbox, workspace: Path) -> None:
    data = bytes(range(256)) * 5000
    for content in (b"", b"\0", data):
        written = await sandbox.write("dir/sub/file", content)
        assert (written.path, written.size) == (f"{workspace}/dir/sub/file", len(content))
        assert await sandbox.read("dir/sub/file") == content
    await sandbox.write("streamed", pieces(data), size=len(data))
    assert b"".join([p async for p in sandbox.stream("streamed")]) == data
    assert leftovers(workspace) == ["dir", "streamed"]


async def test_a_range_is_read(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "f").write_bytes(b"0123456789")
    assert await sandbox.read("f", 3) == b"3456789"
    assert await sandbox.read("f", 3, 4) == b"3456"
    assert await sandbox.read("f", 8, 100) == b"89"
    assert await sandbox.read("f", 50) == b""
    assert await sandbox.read("f", 0, 0) == b""
    assert [p async for p in sandbox.stream("f", 2, 3)] == [b"234"]


async def test_a_stream_that_is_left_early_ends_its_call(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "big").write_bytes(bytes(4 << 20))
    stream = sandbox.stream("big")
    assert await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert await sandbox.read("big", 0, 10) == bytes(10)


async def test_files_that_the_kernel_makes_up_are_read(sandbox: Sandbox) -> None:
    assert b"MemTotal" in await sandbox.read("/proc/meminfo")


async def test_a_write_keeps_the_mode_and_goes_through_links(
    sandbox: Sandbox, workspace: Path
) -> None:
    target = workspace / "target"
    target.write_text("old")
    target.chmod(0o750)
    (workspace / "link").symlink_to("target")
    await sandbox.write("link", b"new")
    assert (workspace / "link").is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o750
    await sandbox.write("target", b"newer", mode=0o600)
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
async def test_a_write_keeps_the_owner(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "f").write_text("old")
    os.chown(workspace / "f", 0, 0)
    await sandbox.write("f", b"new")
    await sandbox.edit("f", "new", "newer")
    status = (workspace / "f").stat()
    assert (status.st_uid, status.st_gid) == (0, 0)


async def test_a_write_onto_a_folder_is_an_error_and_harms_nothing(
    sandbox: Sandbox, workspace: Path
) -> None:
    (workspace / "folder").mkdir()
    (workspace / "folder" / "kept").write_text("kept")
    with pytest.raises(FileError) as caught:
        await sandbox.write("folder", b"data")
    assert str(caught.value) == f"cannot write {workspace}/folder: it is a folder"
    assert caught.value.errno_name == "EISDIR"
    assert leftovers(workspace) == ["folder"]
    assert leftovers(workspace / "folder") == ["kept"]


async def test_writes_can_be_exclusive_append_and_spare_parents(
    sandbox: Sandbox, workspace: Path
) -> None:
    await sandbox.write("f", b"one", exclusive=True)
    with pytest.raises(FileError) as caught:
        await sandbox.write("f", b"two", exclusive=True)
    assert caught.value.errno_name == "EEXIST"
    await sandbox.write("f", b"+two", append=True)
    assert (workspace / "f").read_text() == "one+two"
    with pytest.raises(FileError) as caught:
        await sandbox.write("no/parent", b"", parents=False)
    assert caught.value.errno_name == "ENOENT"


@pytest.mark.parametrize("size", [3, 100])
async def test_a_write_of_another_size_than_told_changes_nothing(
    sandbox: Sandbox, workspace: Path, size: int
) -> None:
    (workspace / "f").write_text("before")
    with pytest.raises(FileError):
        await asyncio.wait_for(sandbox.write("f", pieces(b"some data"), size=size), 30)
    assert (workspace / "f").read_text() == "before"
    assert leftovers(workspace) == ["f"]


async def test_a_write_whose_source_fails_changes_nothing(
    sandbox: Sandbox, workspace: Path
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"begun"
        raise RuntimeError("the source is gone")

    (workspace / "f").write_text("before")
    with pytest.raises(RuntimeError):
        await sandbox.write("f", broken(), size=10)
    assert await sandbox.read("f") == b"before"


async def test_readers_see_the_old_or_the_new_and_nothing_between(
    sandbox: Sandbox, workspace: Path
) -> None:
    contents = {bytes([n]) * 300_000 for n in range(2)}
    for content in contents:
        await sandbox.write("f", content)

    async def write() -> None:
        for content in [*contents] * 5:
            await sandbox.write("f", content)

    writing = asyncio.create_task(write())
    while not writing.done():
        assert await sandbox.read("f") in contents
    await writing


async def test_a_matched_write_refuses_a_file_that_changed(
    sandbox: Sandbox, workspace: Path
) -> None:
    (workspace / "f").write_text("one")
    record, _ = await files.read_version(sandbox.guest, sandbox.absolute("f"))
    (workspace / "f").write_text("other")
    with pytest.raises(FileError) as caught:
        await sandbox.write("f", b"mine", match=record.version)
    assert caught.value.errno_name == "ESTALE"
    assert (workspace / "f").read_text() == "other"


async def test_edits_replace_once_or_everywhere(sandbox: Sandbox, workspace: Path) -> None:
    file = workspace / "f.py"
    file.write_text("a = 1\nb = 1\nc = é\n")
    assert await sandbox.edit("f.py", "a = 1", "a = 2") == 1
    assert await sandbox.edit("f.py", "é", "e") == 1
    with pytest.raises(ArgumentsError, match="not in"):
        await sandbox.edit("f.py", "nowhere", "x")
    assert await sandbox.edit("f.py", " = ", "=", replace_all=True) == 3
    assert file.read_text() == "a=2\nb=1\nc=e\n"


async def test_edits_that_cannot_be_meant_leave_the_file_alone(
    sandbox: Sandbox, workspace: Path
) -> None:
    file = workspace / "f"
    file.write_text("x x")
    before = file.stat()
    for old, message in (("x", "2 times"), ("y", "not in"), ("", "empty")):
        with pytest.raises(ArgumentsError, match=message):
            await sandbox.edit("f", old, "z")
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    with pytest.raises(FileError) as caught:
        await sandbox.edit("missing", "a", "b")
    assert caught.value.errno_name == "ENOENT"


async def test_edits_at_the_same_time_all_count(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "f").write_text("a b c d")
    await asyncio.gather(*(sandbox.edit("f", old, old.upper()) for old in "abcd"))
    assert (workspace / "f").read_text() == "A B C D"


async def test_an_edit_by_id_happens_once(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "f").write_text("a")
    call_id = new_call_id()
    assert await sandbox.edit("f", "a", "aa", call_id=call_id) == 1
    with pytest.raises(ConflictError):
        await sandbox.edit("f", "aa", "x", call_id=call_id)
    assert (workspace / "f").read_text() == "aa"


async def test_paths_are_told_as_they_are(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "f").write_text("hello")
    (workspace / "d").mkdir()
    (workspace / "l").symlink_to("f")
    (workspace / "broken").symlink_to("nowhere")
    os.mkfifo(workspace / "p")
    stat = await sandbox.stat("./f")
    expected = (workspace / "f").stat()
    assert (stat.path, stat.kind, stat.size) == (f"{workspace}/f", "file", 5)
    assert (stat.mtime_ns, stat.uid, stat.mode) == (
        expected.st_mtime_ns,
        expected.st_uid,
        expected.st_mode & 0o7777,
    )
    assert (await sandbox.stat("l")).kind == "file"
    link = await sandbox.stat("l", follow=False)
    assert (link.kind, link.target) == ("link", "f")
    assert [(e.path.rsplit("/", 1)[1], e.kind) for e in await sandbox.ls()] == [
        ("broken", "link"),
        ("d", "dir"),
        ("f", "file"),
        ("l", "link"),
        ("p", "other"),
    ]
    assert await sandbox.exists("f")
    assert not await sandbox.exists("broken")
    assert not await sandbox.exists("f/x")
    assert await sandbox.realpath("l") == str((workspace / "f").resolve())
    assert await sandbox.realpath("new", missing=True) == f"{workspace.resolve()}/new"


async def test_a_real_path_is_found_though_its_parts_are_missing(
    sandbox: Sandbox, workspace: Path
) -> None:
    root = workspace.resolve()
    (root / "a" / "b").mkdir(parents=True)
    (root / "f").write_bytes(b"data")
    links = {
        "rel": "b",
        "up": "../out",
        "far": "/missing//folder/./x",
        "twice": "rel/../up",
        "self": ".",
    }
    for name, target in links.items():
        (root / "a" / name).symlink_to(target)
    for path in (
        "a/rel/new",
        "a/rel/..",
        "a/up/new/newer",
        "a/up/..",
        "a/up/../a/rel",
        "a/far/y",
        "a/far/../../y",
        "a/twice/y",
        "a/self/self/rel",
        "missing/../a/rel",
        "missing/deeper/../../../..",
        "f/child",
        "f/..",
        "/",
        "/..",
        "//etc///./",
    ):
        expected = os.path.realpath(root / path)
        assert await sandbox.realpath(path, missing=True) == expected, path


async def test_a_loop_of_links_has_no_real_path(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "one").symlink_to("two")
    (workspace / "two").symlink_to("one")
    for path in ("one", "one/below"):
        with pytest.raises(FileError) as caught:
            await sandbox.realpath(path, missing=True)
        assert caught.value.errno_name == "ELOOP"


async def test_a_real_path_never_grows_over_its_room(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "long").symlink_to("/".join(["x" * 200] * 19))
    with pytest.raises(FileError) as caught:
        await sandbox.realpath("long/" + "/".join(["y" * 200] * 3), missing=True)
    assert caught.value.errno_name == "ENAMETOOLONG"


async def test_names_that_are_no_text_come_and_go_unchanged(
    sandbox: Sandbox, workspace: Path
) -> None:
    name = os.fsdecode(b"\xff\n odd")
    await sandbox.write(name, b"data")
    [entry] = await sandbox.ls()
    assert await sandbox.read(entry.path) == b"data"
    assert leftovers(workspace) == [name]


async def test_folders_are_made_moved_and_removed(sandbox: Sandbox, workspace: Path) -> None:
    await sandbox.mkdir("a/b/c")
    await sandbox.mkdir("a/b/c")
    with pytest.raises(FileError):
        await sandbox.mkdir("a", parents=False)
    await sandbox.write("a/f", b"x")
    with pytest.raises(FileError) as caught:
        await sandbox.remove("a")
    assert caught.value.errno_name in ("ENOTEMPTY", "EISDIR")
    await sandbox.rename("a", "z")
    await sandbox.mkdir("other")
    (workspace / "outside").mkdir()
    (workspace / "outside" / "kept").touch()
    await sandbox.symlink("z/link", "../outside")
    await sandbox.remove("z", recursive=True)
    assert leftovers(workspace) == ["other", "outside"]
    assert leftovers(workspace / "outside") == ["kept"]
    await sandbox.write("f", b"1")
    await sandbox.write("g", b"2")
    with pytest.raises(FileError) as caught:
        await sandbox.rename("f", "g", exclusive=True)
    assert caught.value.errno_name == "EEXIST"
    await sandbox.chmod("f", 0o700)
    assert (workspace / "f").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("missing", "no such file or folder"),
        ("folder", "it is a folder"),
        ("file/x", "a part of the path is not a folder"),
        ("fifo", "it is neither a file nor a folder"),
        ("loop", "too many links lead from one to the next"),
        ("x" * 300, "the name is too long"),
    ],
)
async def test_what_cannot_be_read_says_why(
    sandbox: Sandbox, workspace: Path, path: str, sentence: str
) -> None:
    (workspace / "folder").mkdir()
    (workspace / "file").touch()
    (workspace / "loop").symlink_to("loop")
    os.mkfifo(workspace / "fifo")
    with pytest.raises(FileError) as caught:
        await asyncio.wait_for(sandbox.read(path), 30)
    assert str(caught.value).endswith(sentence)
    assert str(workspace) in str(caught.value)
