"""What is sealed: it stays as it is, it is counted, and it is closed when nobody has it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deepd.model.sealed import LEAST, MOST, MOST_IN_ALL, Sealed, may_pass

LARGE = os.urandom(3_000_000)
DIGEST = hashlib.sha256(LARGE).hexdigest()

CHANGES: dict[str, Callable[[int], object]] = {
    "write": lambda descriptor: os.write(descriptor, b"x"),
    "shrink": lambda descriptor: os.truncate(descriptor, 0),
    "grow": lambda descriptor: os.truncate(descriptor, len(LARGE) + 1),
    "open again": lambda descriptor: Path(f"/proc/self/fd/{descriptor}").write_bytes(b"x"),
}


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("change", CHANGES)
async def test_what_is_sealed_cannot_be_changed(tmp_path: Path, change: str) -> None:
    (tmp_path / "body").write_bytes(LARGE)
    sealed = Sealed.of_file(tmp_path / "body", len(LARGE), DIGEST)
    assert sealed is not None
    with pytest.raises(PermissionError):
        CHANGES[change](sealed.descriptor)
    assert b"".join([piece async for piece in sealed.pieces()]) == LARGE


@pytest.mark.parametrize(
    ("size", "digest"),
    [(len(LARGE), "0" * 64), (len(LARGE) - 1, DIGEST), (len(LARGE) + 1, DIGEST)],
    ids=["other bytes", "fewer", "more"],
)
def test_a_file_that_is_not_what_was_shown_is_not_sealed(
    tmp_path: Path, size: int, digest: str
) -> None:
    (tmp_path / "body").write_bytes(LARGE)
    assert Sealed.of_file(tmp_path / "body", size, digest) is None


def test_it_is_closed_and_counted_out_when_nobody_has_it(tmp_path: Path) -> None:
    held, files = Sealed.held, open_files()
    sealed = Sealed.of_bytes(LARGE)
    assert (Sealed.held, open_files()) == (held + len(LARGE), files + 1)
    sealed.copy_to((tmp_path / "copy").open("wb", buffering=0))
    assert (tmp_path / "copy").read_bytes() == LARGE
    del sealed
    assert (Sealed.held, open_files()) == (held, files)


def test_there_is_room_for_so_much_and_no_more() -> None:
    assert [may_pass(size) for size in (LEAST - 1, LEAST, MOST, MOST + 1)] == [
        False,
        True,
        True,
        False,
    ]
    full = [Sealed(MOST) for _ in range(MOST_IN_ALL // MOST)]
    assert not may_pass(LEAST)
    full.pop()
    assert may_pass(MOST)
