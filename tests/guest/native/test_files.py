"""File operations: what they answer, and that a failed one changes nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.guest.driver import (
    CHMOD,
    FIN,
    LIST,
    MKDIR,
    NO_ID,
    READ,
    REALPATH,
    REMOVE,
    RENAME,
    SCAN,
    STAT,
    STDIN,
    SYMLINK,
    UTIME,
    WALK,
    WRITE,
    Driver,
    Entry,
    parse_record,
    parse_records,
)
from tests.guest.native.conftest import StartGuest

ENOENT, EACCES, EEXIST, ENOTDIR, EISDIR, EINVAL, ENOTEMPTY, EOVERFLOW, ESTALE = (
    2, 13, 17, 20, 21, 22, 39, 75, 116,
)  # fmt: skip
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can switch user")


def one(guest: Driver, kind: int, path: str, **values: Any) -> Entry:
    """Return the only record of an answer."""
    call = guest.file(kind, path, **values)
    assert call.code == 0, call.note
    (entry,) = parse_records(bytes(call.stdout))
    return entry


def content(guest: Driver, path: str, **values: Any) -> tuple[Entry, bytes]:
    """Read a file."""
    call = guest.file(READ, path, **values)
    assert call.code == 0, call.note
    entry, at = parse_record(bytes(call.stdout))
    return entry, bytes(call.stdout[at:])


def write(guest: Driver, path: str, data: bytes, **values: Any) -> int:
    """Write a file; return errno."""
    call = guest.file(WRITE, path, data, size=len(data), **values)
    if call.code == 0:
        (entry,) = parse_records(bytes(call.stdout))
        assert entry.name == path
    return call.errno


def left_in(folder: Path) -> list[str]:
    """Return the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_stat_tells_a_file_as_it_is(guest: Driver, work_dir: Path) -> None:
    (work_dir / "file").write_bytes(b"12345")
    (work_dir / "file").chmod(0o640)
    os.utime(work_dir / "file", ns=(1, 1_234_567_890_123_456_789))
    seen, real = one(guest, STAT, "file"), (work_dir / "file").stat()
    assert (seen.kind, seen.mode, seen.size) == (1, 0o640, 5)
    assert (seen.mtime_ns, seen.inode) == (1_234_567_890_123_456_789, real.st_ino)
    assert (seen.uid, seen.gid, seen.name) == (real.st_uid, real.st_gid, "file")


def test_a_link_is_followed_or_told(guest: Driver, work_dir: Path) -> None:
    (work_dir / "link").symlink_to("nowhere")
    assert guest.file(STAT, "link").errno == ENOENT
    seen = one(guest, STAT, "link", options=1)
    assert (seen.kind, seen.target) == (3, "nowhere")


def test_an_error_names_the_path(guest: Driver) -> None:
    call = guest.file(STAT, "missing")
    assert (call.how, call.code, call.errno) == (7, 1, ENOENT)
    assert "missing" in call.note


def test_a_folder_is_listed_with_odd_names(guest: Driver, work_dir: Path) -> None:
    names = {b"plain", b"new\nline", b"\xff\xfe", b"-rf", b".hidden", b" "}
    for name in names:
        (work_dir / os.fsdecode(name)).touch()
    found = parse_records(bytes(guest.file(LIST, ".").stdout))
    assert {os.fsencode(entry.name) for entry in found} == names


def test_a_folder_of_many_files_is_listed_whole(guest: Driver, work_dir: Path) -> None:
    for number in range(3000):
        (work_dir / f"a-longer-name-for-a-file-{number}").touch()
    assert len(parse_records(bytes(guest.file(LIST, ".").stdout))) == 3000


def test_a_range_of_a_file_is_read(guest: Driver, work_dir: Path) -> None:
    data = os.urandom(700_000)
    (work_dir / "file").write_bytes(data)
    assert content(guest, "file")[1] == data
    assert content(guest, "file", offset=500_000)[1] == data[500_000:]
    assert content(guest, "file", offset=10, size=300_000)[1] == data[10:300_010]
    assert content(guest, "file", offset=800_000)[1] == b""


def test_a_file_of_proc_that_has_no_size_is_read(guest: Driver) -> None:
    entry, data = content(guest, "/proc/version")
    assert entry.size == 0
    assert data.startswith(b"Linux")


def test_only_regular_files_are_read(guest: Driver, work_dir: Path) -> None:
    os.mkfifo(work_dir / "fifo")
    assert guest.file(READ, "fifo").errno == EINVAL
    assert guest.file(READ, ".").errno == EISDIR
    assert guest.file(READ, "/dev/zero").errno == EINVAL
    assert guest.file(READ, "none").errno == ENOENT


def test_a_written_file_is_there_whole_with_ordinary_rights(guest: Driver, work_dir: Path) -> None:
    data = os.urandom(2_000_000)
    assert write(guest, "file", data) == 0
    assert (work_dir / "file").read_bytes() == data
    assert stat.S_IMODE((work_dir / "file").stat().st_mode) == 0o644
    assert write(guest, "script", b"x", mode=0o755) == 0
    assert stat.S_IMODE((work_dir / "script").stat().st_mode) == 0o755
    assert left_in(work_dir) == ["file", "script"]


def test_replacing_keeps_the_mode_and_goes_through_links(guest: Driver, work_dir: Path) -> None:
    (work_dir / "inner").mkdir()
    target = work_dir / "inner" / "target"
    target.write_text("old")
    target.chmod(0o751)
    (work_dir / "one").symlink_to("two")
    (work_dir / "two").symlink_to("inner/target")
    assert write(guest, "one", b"new") == 0
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o751
    assert (work_dir / "one").is_symlink()
    assert left_in(work_dir / "inner") == ["target"]


def test_a_link_to_nothing_is_written_through(guest: Driver, work_dir: Path) -> None:
    (work_dir / "link").symlink_to("made")
    assert write(guest, "link", b"x") == 0
    assert (work_dir / "made").read_text() == "x"


def test_links_in_a_circle_are_an_error(guest: Driver, work_dir: Path) -> None:
    (work_dir / "a").symlink_to("b")
    (work_dir / "b").symlink_to("a")
    assert write(guest, "a", b"x") == 40


def test_a_new_file_is_only_made_where_there_is_none(guest: Driver, work_dir: Path) -> None:
    assert write(guest, "file", b"1", options=1) == 0
    assert write(guest, "file", b"2", options=1) == EEXIST
    (work_dir / "link").symlink_to("elsewhere")
    assert write(guest, "link", b"2", options=1) == EEXIST
    assert left_in(work_dir) == ["file", "link"]


def test_parents_are_made_when_asked(guest: Driver, work_dir: Path) -> None:
    assert write(guest, "a/b/c", b"x") == ENOENT
    assert write(guest, "a/b/c", b"x", options=4) == 0
    assert (work_dir / "a/b/c").read_text() == "x"


def test_appending_keeps_the_file_and_adds(guest: Driver, work_dir: Path) -> None:
    (work_dir / "file").write_text("one\n")
    inode = (work_dir / "file").stat().st_ino
    assert write(guest, "file", b"two\n", options=2) == 0
    assert (work_dir / "file").read_text() == "one\ntwo\n"
    assert (work_dir / "file").stat().st_ino == inode
    assert write(guest, "new", b"x", options=2) == 0
    assert left_in(work_dir) == ["file", "new"]


def test_appending_keeps_what_others_put_there_meanwhile(guest: Driver, work_dir: Path) -> None:
    call = guest.open(kind=WRITE, path="file", size=6, options=2)
    guest.send(STDIN, b"our", call.channel)
    guest.until(lambda: left_in(work_dir))  # it has looked, and receives
    (work_dir / "file").write_text("theirs\n")
    guest.send(STDIN, b"s!\n", call.channel, FIN)
    guest.wait(lambda: call.exit is not None)
    assert call.code == 0
    assert (work_dir / "file").read_text() == "theirs\nours!\n"
    assert left_in(work_dir) == ["file"]


@pytest.mark.parametrize(("size", "word"), [(4, "more"), (6, "fewer")])
def test_bytes_that_do_not_fit_the_size_change_nothing(
    guest: Driver, work_dir: Path, size: int, word: str
) -> None:
    (work_dir / "file").write_text("old")
    call = guest.file(WRITE, "file", b"12345", size=size)
    assert (call.code, call.errno) == (1, EINVAL)
    assert word in call.note
    assert (work_dir / "file").read_text() == "old"
    assert left_in(work_dir) == ["file"]


def test_a_write_whose_owner_is_lost_changes_nothing(
    start_guest: StartGuest, work_dir: Path
) -> None:
    guest = start_guest()
    guest.hello()
    call = guest.open(kind=WRITE, path="file", size=5)
    guest.wait(lambda: call.credit)
    guest.send(STDIN, b"123", call.channel)
    guest.until(lambda: left_in(work_dir))
    guest.close()
    assert left_in(work_dir) == []


def test_a_killed_write_leaves_no_temporary_file(guest: Driver, work_dir: Path) -> None:
    call = guest.open(kind=WRITE, path="file", size=5)
    guest.until(lambda: left_in(work_dir))
    guest.kill(call)
    assert guest.end(call).how == 4
    assert left_in(work_dir) == []


def test_a_write_can_ask_that_the_file_is_still_the_same(guest: Driver, work_dir: Path) -> None:
    (work_dir / "file").write_text("old")
    seen, _ = content(guest, "file")
    (work_dir / "file").write_text("changed")
    assert write(guest, "file", b"new", match=seen.match) == ESTALE
    assert (work_dir / "file").read_text() == "changed"
    seen, _ = content(guest, "file")
    assert write(guest, "file", b"new", match=seen.match) == 0
    assert (work_dir / "file").read_text() == "new"
    assert write(guest, "gone", b"new", match=seen.match) == ESTALE


def test_a_change_while_the_bytes_arrive_is_noticed(guest: Driver, work_dir: Path) -> None:
    (work_dir / "file").write_text("old")
    seen, _ = content(guest, "file")
    call = guest.open(kind=WRITE, path="file", size=3, match=seen.match)
    guest.until(lambda: len(left_in(work_dir)) > 1)
    (work_dir / "file").write_text("changed")
    guest.stdin(call, b"new")
    assert guest.end(call).errno == ESTALE
    assert (work_dir / "file").read_text() == "changed"


def test_only_a_file_can_be_replaced(guest: Driver, work_dir: Path) -> None:
    (work_dir / "folder").mkdir()
    os.mkfifo(work_dir / "fifo")
    assert write(guest, "folder", b"x") == EISDIR
    assert write(guest, "new/", b"x") == EISDIR
    assert write(guest, "fifo", b"x") == EINVAL


@as_root
def test_a_file_of_another_owner_keeps_its_owner(start_guest: StartGuest, work_dir: Path) -> None:
    (work_dir / "file").write_text("old and longer")
    (work_dir / "file").chmod(0o666)
    guest = start_guest(user="1234:2345")
    guest.hello()
    assert write(guest, "file", b"new") == 0
    assert (work_dir / "file").read_text() == "new"
    assert (work_dir / "file").stat().st_uid == 0
    (work_dir / "file").chmod(0o644)
    assert write(guest, "file", b"newer") == EACCES
    assert left_in(work_dir) == ["file"]


@as_root
def test_a_writable_file_in_a_folder_that_is_not_is_written(
    start_guest: StartGuest, work_dir: Path
) -> None:
    (work_dir / "closed").mkdir(0o755)
    (work_dir / "closed/file").write_text("old")
    os.chown(work_dir / "closed/file", 1234, 2345)
    guest = start_guest(user="1234:2345")
    guest.hello()
    assert write(guest, "closed/file", b"new") == 0
    assert (work_dir / "closed/file").read_text() == "new"
    assert write(guest, "closed/file", b"+", options=2) == 0
    assert (work_dir / "closed/file").read_text() == "new+"
    assert write(guest, "closed/other", b"new") == EACCES


@as_root
def test_files_are_made_and_read_as_the_user(start_guest: StartGuest, work_dir: Path) -> None:
    (work_dir / "secret").write_text("x")
    (work_dir / "secret").chmod(0o600)
    guest = start_guest(user="1234:2345")
    guest.hello()
    assert guest.file(READ, "secret").errno == EACCES
    assert write(guest, "mine", b"x") == 0
    made = (work_dir / "mine").stat()
    assert (made.st_uid, made.st_gid) == (1234, 2345)


def test_folders_are_made(guest: Driver, work_dir: Path) -> None:
    assert guest.file(MKDIR, "a").code == 0
    assert guest.file(MKDIR, "a").errno == EEXIST
    assert guest.file(MKDIR, "b/c").errno == ENOENT
    assert guest.file(MKDIR, "b/c/d", options=1, mode=0o700).code == 0
    assert guest.file(MKDIR, "b/c/d", options=1).code == 0
    assert stat.S_IMODE((work_dir / "b/c/d").stat().st_mode) == 0o700
    (work_dir / "file").touch()
    assert guest.file(MKDIR, "file/x", options=1).errno == ENOTDIR


def test_removing_is_deep_and_never_through_a_link(guest: Driver, work_dir: Path) -> None:
    (work_dir / "keep").mkdir()
    (work_dir / "keep/file").touch()
    deep = work_dir / "tree"
    for _ in range(30):
        deep = deep / ("d" * 30)
    deep.mkdir(parents=True)
    (deep / "file").touch()
    for number in range(50):
        (work_dir / "tree" / f"folder{number}").mkdir()
        (work_dir / "tree" / f"folder{number}/file").touch()
    (work_dir / "tree/link").symlink_to("../keep")
    (work_dir / "alias").symlink_to("keep")
    assert guest.file(REMOVE, "tree").errno == ENOTEMPTY
    assert guest.file(REMOVE, "tree", options=1).code == 0
    assert guest.file(REMOVE, "alias", options=1).code == 0
    assert guest.file(REMOVE, "tree", options=1).errno == ENOENT
    assert left_in(work_dir) == ["keep"]
    assert left_in(work_dir / "keep") == ["file"]


def test_a_tree_deeper_than_any_path_can_be_removed(guest: Driver, work_dir: Path) -> None:
    script = "import os\nfor _ in range(3000):\n os.mkdir('d'); os.chdir('d')"
    assert guest.end(guest.open("python3", "-c", script)).code == 0
    assert guest.file(WALK, ".").code == 0
    assert guest.file(REMOVE, "d", options=1).code == 0
    assert left_in(work_dir) == []


def test_renaming_replaces_unless_it_must_not(guest: Driver, work_dir: Path) -> None:
    (work_dir / "a").write_text("a")
    (work_dir / "b").write_text("b")
    assert guest.file(RENAME, "a", path2="b", options=1).errno == EEXIST
    assert guest.file(RENAME, "a", path2="b").code == 0
    assert (work_dir / "b").read_text() == "a"
    assert guest.file(RENAME, "b", path2="c", options=1).code == 0
    assert left_in(work_dir) == ["c"]


def test_a_real_path_may_end_in_what_is_missing(guest: Driver, work_dir: Path) -> None:
    real = os.path.realpath(work_dir)
    (work_dir / "folder").mkdir()
    (work_dir / "link").symlink_to("folder")
    assert bytes(guest.file(REALPATH, "link/..").stdout).decode() == real
    assert guest.file(REALPATH, "link/new").errno == ENOENT
    assert (
        bytes(guest.file(REALPATH, "link/new", options=1).stdout).decode() == f"{real}/folder/new"
    )
    missing = guest.file(REALPATH, "none/../none/new", options=1)
    assert bytes(missing.stdout).decode() == f"{real}/none/new"


def test_links_modes_and_times_are_set(guest: Driver, work_dir: Path) -> None:
    assert guest.file(SYMLINK, "link", path2="some/where").code == 0
    assert (work_dir / "link").readlink() == Path("some/where")
    (work_dir / "file").touch()
    assert guest.file(CHMOD, "file", mode=0o600).code == 0
    assert guest.file(UTIME, "file", offset=1_500_000_000_000_000_007).code == 0
    seen = one(guest, STAT, "file")
    assert (seen.mode, seen.mtime_ns) == (0o600, 1_500_000_000_000_000_007)


def tree(work_dir: Path) -> None:
    """Make a few files."""
    for path, data in {
        "a.py": b"import os\n",
        "src/b.py": b"x = 1\n",
        "src/deep/c.txt": b"text",
        "src/data.bin": b"\0binary",
        ".hidden/d.py": b"hidden",
        "src/.e.py": b"",
    }.items():
        (work_dir / path).parent.mkdir(parents=True, exist_ok=True)
        (work_dir / path).write_bytes(data)
    (work_dir / "loop").symlink_to(".")


def test_a_walk_tells_parents_before_children_and_follows_no_link(
    guest: Driver, work_dir: Path
) -> None:
    tree(work_dir)
    names = [entry.name for entry in parse_records(bytes(guest.file(WALK, ".").stdout))]
    assert set(names) == {
        "a.py", "src", "src/b.py", "src/deep", "src/deep/c.txt", "src/data.bin", ".hidden",
        ".hidden/d.py", "src/.e.py", "loop",
    }  # fmt: skip
    assert all(
        "/" not in name or names.index(name.rpartition("/")[0]) < names.index(name)
        for name in names
    )
    shown = parse_records(bytes(guest.file(WALK, ".", options=1).stdout))
    assert not [entry.name for entry in shown if "/." in f"/{entry.name}"]


def test_a_walk_that_was_limited_says_so(guest: Driver, work_dir: Path) -> None:
    tree(work_dir)
    call = guest.file(WALK, ".", size=3)
    assert len(parse_records(bytes(call.stdout))) == 3
    assert (call.code, call.errno) == (0, EOVERFLOW)
    assert guest.file(WALK, ".", size=10).errno == 0


@as_root
def test_a_walk_counts_what_it_cannot_read(start_guest: StartGuest, work_dir: Path) -> None:
    tree(work_dir)
    (work_dir / "src").chmod(0o700)
    guest = start_guest(user="1234:2345")
    guest.hello()
    call = guest.file(WALK, ".")
    assert call.code == 0
    assert call.note == "1 could not be read"


def scanned(data: bytes) -> dict[str, bytes]:
    """Return the files of a SCAN."""
    found, at = {}, 0
    while at < len(data):
        entry, at = parse_record(data, at)
        found[entry.name] = data[at : at + entry.size]
        at += entry.size
    return found


def test_a_scan_brings_the_bytes_of_text_files(guest: Driver, work_dir: Path) -> None:
    tree(work_dir)
    (work_dir / "long").write_bytes(b"line\n" * 50_000)
    found = scanned(bytes(guest.file(SCAN, ".", options=1).stdout))
    assert found.pop("long") == b"line\n" * 50_000
    assert found == {"a.py": b"import os\n", "src/b.py": b"x = 1\n", "src/deep/c.txt": b"text"}
    globbed = scanned(bytes(guest.file(SCAN, ".", glob="*.py").stdout))
    assert set(globbed) == {"a.py", "src/b.py", ".hidden/d.py", "src/.e.py"}
    assert "src/data.bin" in scanned(bytes(guest.file(SCAN, ".", options=2).stdout))
    assert "long" not in scanned(bytes(guest.file(SCAN, ".", offset=1000).stdout))
    assert scanned(bytes(guest.file(SCAN, "src/b.py").stdout)) == {"b.py": b"x = 1\n"}


@pytest.mark.parametrize("at", [0, 65_530, 65_536, 131_066, 299_994])
def test_a_scan_leaves_out_files_without_the_needle(guest: Driver, work_dir: Path, at: int) -> None:
    tree(work_dir)
    (work_dir / "long").write_bytes(b"-" * at + b"needle" + b"-" * (300_000 - at - 6))
    (work_dir / "other").write_bytes(b"needl-" * 50_000)
    found = scanned(bytes(guest.file(SCAN, ".", needle="needle").stdout))
    assert {name: len(data) for name, data in found.items()} == {"long": 300_000}
    assert "long" in scanned(bytes(guest.file(SCAN, ".", needle="-").stdout))
    assert scanned(bytes(guest.file(SCAN, "src/b.py", needle="y").stdout)) == {}


def test_a_walk_tells_only_the_names_that_were_asked_for(guest: Driver, work_dir: Path) -> None:
    tree(work_dir)
    found = parse_records(bytes(guest.file(WALK, ".", glob="*.py").stdout))
    assert {entry.name for entry in found} == {"a.py", "src/b.py", ".hidden/d.py", "src/.e.py"}
    folder = parse_records(bytes(guest.file(WALK, ".", glob="deep").stdout))
    assert [entry.name for entry in folder] == ["src/deep"]


def test_an_anonymous_read_leaves_no_trace(guest: Driver, work_dir: Path) -> None:
    (work_dir / "file").write_bytes(bytes(1_000_000))
    stuck = guest.open(call_id=NO_ID, kind=READ, path="file", acks=False)
    guest.wait(lambda: stuck.offset > 200_000)
    guest.hello()
    guest.wait(lambda: len(list(Path(f"/proc/{guest.process.pid}/task").iterdir())) == 1)
    assert content(guest, "file")[1] == bytes(1_000_000)


def test_reading_is_quick(guest: Driver, work_dir: Path) -> None:
    (work_dir / "file").write_bytes(bytes(32 << 20))
    call = guest.open(call_id=NO_ID, kind=READ, path="file")
    call.keeps = False
    guest.end(call)
    assert call.number(6) < 10e6
