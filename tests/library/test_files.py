"""Files: what users of the old library relied on, and what it got wrong; on the real engine."""

from __future__ import annotations

import os
import time
from pathlib import PurePosixPath

import pytest

from deepd import DockerSandbox, FileError
from deepd.errors import ArgumentsError

pytestmark = pytest.mark.docker


@pytest.fixture
def place(sandbox: DockerSandbox, request: pytest.FixtureRequest) -> str:
    """Return an empty folder in the sandbox."""
    folder = f"/workspace/{abs(hash(request.node.name))}"
    assert sandbox.execute(f"rm -rf {folder}; mkdir {folder}").exit_code == 0
    return folder


def test_a_whole_file_is_its_text(sandbox: DockerSandbox, place: str) -> None:
    assert sandbox.write(f"{place}/data.json", '{"key": "value"}').path == f"{place}/data.json"
    assert sandbox.read(f"{place}/data.json") == '{"key": "value"}'


def test_a_long_file_is_read_in_pages(sandbox: DockerSandbox, place: str) -> None:
    sandbox.write(f"{place}/long", "".join(f"line {number}\n" for number in range(5000)))
    first = sandbox.read(f"{place}/long")
    assert first.startswith("line 0\nline 1\n")
    assert first.endswith("line 1999\n[... 3000 more lines. Use offset=2000 to read more.]")
    last = sandbox.read(f"{place}/long", offset=4998)
    assert last == "line 4998\nline 4999\n"
    assert sandbox.read(f"{place}/long", offset=5000) == "[End of file]"


def test_an_empty_file_is_empty_and_a_missing_one_is_an_error(
    sandbox: DockerSandbox, place: str
) -> None:
    assert sandbox.write(f"{place}/empty", "").error is None
    assert sandbox.read(f"{place}/empty") == ""
    assert sandbox.read_bytes(f"{place}/empty") == b""
    assert sandbox.read(f"{place}/missing") == (
        f"Error: cannot read {place}/missing: no such file or folder"
    )
    with pytest.raises(FileError, match="no such file"):
        sandbox.read_bytes(f"{place}/missing")


def test_a_directory_cannot_be_read_or_written(sandbox: DockerSandbox, place: str) -> None:
    sandbox.write(f"{place}/folder/inside", "kept")
    assert sandbox.read(f"{place}/folder") == f"Error: cannot read {place}/folder: it is a folder"
    refused = sandbox.write(f"{place}/folder", "over it")
    assert refused.path is None
    assert refused.error == f"cannot write {place}/folder: it is a folder"
    assert sandbox.read(f"{place}/folder/inside") == "kept"


def test_eight_mebibytes_of_anything_come_back_the_same(sandbox: DockerSandbox, place: str) -> None:
    data = os.urandom(8 << 20)
    assert sandbox.write(f"{place}/data", data).error is None
    assert sandbox.read_bytes(f"{place}/data") == data


def test_a_write_goes_through_a_link_and_keeps_mode_and_owner(
    sandbox: DockerSandbox, place: str
) -> None:
    sandbox.execute(f"cd {place}; echo old > target; chmod 755 target; ln -s target link")
    assert sandbox.write(f"{place}/link", "new\n").error is None
    assert sandbox.edit(f"{place}/link", "new", "newer").occurrences == 1
    listed = sandbox.execute(f"cd {place}; stat -c '%a %u:%g %F' target link; cat target").output
    assert listed == "755 1000:1000 regular file\n777 1000:1000 symbolic link\nnewer\n"


def test_nobody_sees_half_a_write(sandbox: DockerSandbox, place: str) -> None:
    sandbox.write(f"{place}/big", b"a" * (4 << 20))
    sandbox.execute(
        f"cd {place}; (for i in $(seq 200); do stat -c %s big; sleep 0.005; done > sizes) &"
    )
    sandbox.write(f"{place}/big", b"b" * (4 << 20))
    sizes = sandbox.execute(f"sleep 0.3; sort -u {place}/sizes").output.split()
    assert sizes == [str(4 << 20)]
    assert sandbox.execute(f"ls -A {place}").output.split() == ["big", "sizes"]


def test_an_edit_that_is_not_found_or_ambiguous_changes_nothing(
    sandbox: DockerSandbox, place: str
) -> None:
    path = f"{place}/app.py"
    sandbox.write(path, "a = 1\nb = 1\n")
    missing = sandbox.edit(path, "c = 1", "c = 2")
    assert missing.error is not None
    assert missing.error.startswith(f"the text to replace is not in {path}")
    twice = sandbox.edit(path, "= 1", "= 2")
    assert twice.error is not None
    assert twice.error.startswith(f"the text to replace is 2 times in {path}")
    assert "replace all" in twice.error
    assert sandbox.read(path) == "a = 1\nb = 1\n"
    done = sandbox.edit(path, "= 1", "= 2", replace_all=True)
    assert (done.path, done.occurrences, done.error) == (path, 2, None)
    assert sandbox.read(path) == "a = 2\nb = 2\n"
    assert "no such file" in str(sandbox.edit(f"{place}/none", "a", "b").error)


def test_a_glob_finds_files_at_every_depth_with_their_sizes(
    sandbox: DockerSandbox, place: str
) -> None:
    for name in ("top.py", "src/a.py", "src/deep/er/b.py", "src/c.txt"):
        sandbox.write(f"{place}/{name}", name)
    found = sandbox.glob_info("**/*.py", place)
    assert [(info.path, info.size, info.is_dir) for info in found] == [
        (f"{place}/src/a.py", 8, False),
        (f"{place}/src/deep/er/b.py", 16, False),
        (f"{place}/top.py", 6, False),
    ]
    below = sandbox.glob_info("src/**/*.py", place)
    assert [info.name for info in below] == ["a.py", "b.py"]


def test_a_listing_tells_files_from_folders_and_reads_as_a_mapping_too(
    sandbox: DockerSandbox, place: str
) -> None:
    sandbox.write(f"{place}/folder/.hidden", "x")
    sandbox.write(f"{place}/file", "four")
    file, folder = sandbox.ls_info(place)
    assert (file.name, file.path, file.is_dir, file.size) == ("file", f"{place}/file", False, 4)
    assert dict(folder) == {
        "name": "folder",
        "path": f"{place}/folder",
        "is_dir": True,
        "size": None,
    }
    assert file["size"] == file.get("size") == 4
    assert [info["name"] for info in sandbox.ls_info(f"{place}/folder")] == [".hidden"]
    with pytest.raises(FileError, match="no such file"):
        sandbox.ls_info(f"{place}/nowhere")


def test_a_pattern_with_quotes_is_only_a_pattern(sandbox: DockerSandbox, place: str) -> None:
    sandbox.write(f"{place}/quotes", 'it\'s "quoted" $(touch /workspace/owned) `x`; rm -rf /\n')
    for pattern in ("it's", '"quoted"', r"\$\(touch", "`x`; rm"):
        found = sandbox.grep_raw(pattern, place)
        assert isinstance(found, list)
        assert [(match.path, match.line_number) for match in found] == [(f"{place}/quotes", 1)]
    assert sandbox.grep_raw("'; touch /workspace/owned; echo '", place) == []
    assert not sandbox.exists("/workspace/owned")


def test_a_search_takes_linear_time_for_any_pattern(sandbox: DockerSandbox, place: str) -> None:
    sandbox.write(f"{place}/line", "a" * 200_000 + "b\n")
    began = time.monotonic()
    assert sandbox.grep_raw("(a+)+$", f"{place}/line") == []
    assert time.monotonic() - began < 5


def test_one_file_and_some_files_can_be_searched(sandbox: DockerSandbox, place: str) -> None:
    for name in ("a.py", "b.txt", ".hidden.py"):
        sandbox.write(f"{place}/{name}", f"first\ndef main(): {name}\n")
    found = sandbox.grep_raw("def main", f"{place}/a.py")
    assert [dict(match) for match in found if not isinstance(match, str)] == [
        {"path": f"{place}/a.py", "line_number": 2, "line": "def main(): a.py"}
    ]
    assert len(sandbox.grep_raw("def main", place)) == 2
    assert len(sandbox.grep_raw("def main", place, glob="*.py")) == 1
    assert len(sandbox.grep_raw("def main", place, ignore_hidden=False)) == 3


def test_what_cannot_be_searched_is_a_text(sandbox: DockerSandbox, place: str) -> None:
    bad = sandbox.grep_raw("(", place)
    assert isinstance(bad, str)
    assert bad.startswith("Error:")
    missing = sandbox.grep_raw("x", f"{place}/nowhere")
    assert isinstance(missing, str)
    assert "no such file" in missing


def test_relative_paths_begin_at_the_work_dir(sandbox: DockerSandbox) -> None:
    assert sandbox.write("relative.txt", "here").path == "/workspace/relative.txt"
    assert sandbox.read("relative.txt") == "here"
    assert sandbox.exists("relative.txt")
    assert not sandbox.exists("nothing.txt")


def test_paths_may_be_pathlib_s(sandbox: DockerSandbox, place: str) -> None:
    file = PurePosixPath(place) / "ü" / "file.txt"
    assert sandbox.write(file, "text").path == str(file)
    assert sandbox.edit(file, "text", "texts").occurrences == 1
    assert (sandbox.read(file), sandbox.read_bytes(file)) == ("texts", b"texts")
    assert sandbox.exists(file)
    assert [info.path for info in sandbox.ls_info(file.parent)] == [str(file)]
    assert [info.path for info in sandbox.glob_info("*.txt", file.parent)] == [str(file)]
    assert len(sandbox.grep_raw("text", file)) == 1
    assert "not bytes" in str(sandbox.write(place.encode(), "x").error)  # type: ignore[arg-type]


def test_names_that_are_no_text_are_listed_and_can_be_used(
    sandbox: DockerSandbox, place: str
) -> None:
    sandbox.execute(f"cd {place}; printf hello > \"$(printf 'bad\\377name')\"")
    (info,) = sandbox.ls_info(place)
    assert os.fsencode(info.name) == b"bad\xffname"
    assert sandbox.read(info.path) == "hello"
    assert sandbox.write(info.path, "again").error is None
    assert [match.path for match in sandbox.grep_raw("again", place) if match] == [info.path]  # type: ignore[union-attr]


def test_the_page_s_own_file_at_the_root_can_be_written(sandbox: DockerSandbox) -> None:
    assert sandbox.write("/test.py", "print('hello')").error is None
    assert sandbox.execute("python3 /test.py").output == "hello\n"


def test_what_cannot_be_meant_is_an_error_in_the_result(sandbox: DockerSandbox) -> None:
    assert sandbox.read("relative.txt", offset=-1).startswith("Error: the offset")
    assert sandbox.write("", "x").error == "the path is empty"
    assert "NUL" in str(sandbox.write("a\0b", "x").error)
    assert sandbox.edit("relative.txt", "", "x").error == "the text to replace is empty"
    with pytest.raises(ArgumentsError, match="the pattern is empty"):
        sandbox.glob_info("")
