"""One owner per sandbox: who has it is named, and nobody has it after the owner's end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepd.errors import OwnedError
from deepd.model.ids import ContainerId
from deepd.sandbox.owner import OwnerLock

ID = ContainerId("0123abcd" * 8)


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    with OwnerLock(tmp_path / "owners", ID):
        with pytest.raises(OwnedError, match=rf"0123abcd0123 is in use by .*pid {os.getpid()}"):
            OwnerLock(tmp_path / "owners", ID).acquire()
        with OwnerLock(tmp_path / "owners", ContainerId("another")):
            pass


def test_a_released_lock_can_be_had_again_and_leaves_no_file(tmp_path: Path) -> None:
    first, second = OwnerLock(tmp_path, ID), OwnerLock(tmp_path, ID)
    first.acquire()
    first.acquire()
    first.release()
    first.release()
    with second:
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_owner_has_nothing_any_more(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from deepd.sandbox.owner import OwnerLock;"
        f"OwnerLock(Path({str(tmp_path)!r}), {ID!r}).acquire(); print('ready', flush=True);"
        "sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        with pytest.raises(OwnedError, match=f"pid {owner.pid}"):
            OwnerLock(tmp_path, ID).acquire()
        owner.kill()
        owner.wait()
    with OwnerLock(tmp_path, ID):
        pass


def test_a_damaged_file_and_an_odd_id_are_no_surprise(tmp_path: Path) -> None:
    with OwnerLock(tmp_path, ID):
        (tmp_path / f"{ID}.lock").write_bytes(b"\xff[")
        with pytest.raises(OwnedError, match="another process"):
            OwnerLock(tmp_path, ID).acquire()
    with pytest.raises(ValueError, match="not a container's id"):
        OwnerLock(tmp_path, ContainerId("../x"))
