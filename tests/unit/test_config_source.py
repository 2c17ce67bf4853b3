"""A profile is read only when nobody else could have written it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest

from deepd.config.problem import Problem
from deepd.config.source import MAX_BYTES, Source, _is_private_group, read_source
from tests.unit.profile_texts import IMAGE, write


def refusal(file: Path) -> Problem:
    problem = read_source(file)
    assert isinstance(problem, Problem)
    return problem


def test_the_text_is_read_with_plain_line_ends(tmp_path: Path) -> None:
    file = write(tmp_path, b"a = 1\r\nb = 2\n")
    assert read_source(file) == Source(file, "a = 1\nb = 2\n")


def test_a_file_that_others_may_write_is_refused_with_the_command_that_mends_it(
    tmp_path: Path,
) -> None:
    file = write(tmp_path, IMAGE)
    for mode in (0o646, 0o666):
        file.chmod(mode)
        assert "can be written by others" in refusal(file).message
        assert f"chmod go-w {file}" in refusal(file).hint
    file.chmod(0o644)
    assert isinstance(read_source(file), Source)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_or_group_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, IMAGE)
    os.chown(file, 0, 1234)
    file.chmod(0o664)
    assert "can be written by others" in refusal(file).message
    os.chown(file, 4321, 4321)
    file.chmod(0o644)
    assert refusal(file).message == "belongs to another user (uid 4321)"


def test_only_a_group_of_one_person_counts_as_private() -> None:
    private = [
        user
        for user in pwd.getpwall()
        if user.pw_uid and (user.pw_name, []) in groups_of(user.pw_gid)
    ]
    if not private:
        pytest.skip("no user of this machine has a group of its own")
    assert all(_is_private_group(user.pw_uid, user.pw_gid) for user in private)
    assert not any(_is_private_group(user.pw_uid, 0) for user in private)
    assert not _is_private_group(0, 0)
    assert not _is_private_group(4_000_000, 4_000_000)


def groups_of(gid: int) -> list[tuple[str, list[str]]]:
    return [(group.gr_name, group.gr_mem) for group in grp.getgrall() if group.gr_gid == gid]


def test_nothing_but_a_regular_file_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    assert refusal(pipe).message == "is not a regular file"
    assert refusal(tmp_path).message == "is not a regular file"
    assert refusal(Path("/dev/zero")).message == "is not a regular file"
    assert refusal(tmp_path / "none.toml").message == "cannot be read: No such file or directory"
    assert "not the name of a file" in refusal(tmp_path / "a\0b").message


def test_a_link_is_judged_by_what_it_leads_to(tmp_path: Path) -> None:
    file = write(tmp_path, IMAGE)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    assert isinstance(read_source(link), Source)
    file.chmod(file.stat().st_mode | stat.S_IWOTH)
    assert "can be written by others" in refusal(link).message


def test_a_file_of_more_than_64_kib_is_refused(tmp_path: Path) -> None:
    assert isinstance(read_source(write(tmp_path, "#" * MAX_BYTES)), Source)
    assert refusal(write(tmp_path, "#" * (MAX_BYTES + 1))).message == "is larger than 64 KiB"


def test_a_byte_that_is_not_utf8_is_shown_in_its_place(tmp_path: Path) -> None:
    problem = refusal(write(tmp_path, b'a = 1\r\nb = "\xc3\xa9\xff"\n'))
    assert (problem.position.line, problem.position.column) == (2, 7)
    assert problem.message == "byte 0xff is not UTF-8"
    problem = refusal(write(tmp_path, b"\xef\xbb\xbfa = 1\n"))
    assert problem.message == "begins with a byte order mark"
