"""Opening the state folder: who may, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepd.errors import OwnedError, SettingsError
from deepd.model.call import CallState
from deepd.model.ids import SessionName
from deepd.store.schema import VERSION
from deepd.store.store import Store
from tests.unit.store_rows import make_call

GOLDEN = Path(__file__).parent.parent / "golden" / "store"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    store = Store.open(folder)
    yield store
    store.close()


def test_a_second_daemon_on_the_same_folder_is_refused_and_told_who_has_it(
    store: Store, folder: Path
) -> None:
    with pytest.raises(OwnedError, match=f"pid {os.getpid()}"):
        Store.open(folder)


def test_the_folder_is_free_again_when_its_daemon_is_killed(folder: Path) -> None:
    code = (
        "import os; from pathlib import Path; from deepd.store.store import Store; "
        f"Store.open(Path({str(folder)!r})); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False, timeout=30)
    assert killed.returncode == -9
    Store.open(folder).close()


def test_the_instance_stays_for_as_long_as_the_folder(folder: Path) -> None:
    first = Store.open(folder)
    first.close()
    second = Store.open(folder)
    second.close()
    assert first.instance == second.instance
    assert len(first.instance) == 8


def test_nobody_else_may_read_any_of_the_files(store: Store, folder: Path) -> None:
    store.insert_call(make_call())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}
    assert modes["deepd.db-wal"] == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_file_of_a_newer_version_is_refused_and_kept(folder: Path) -> None:
    Store.open(folder).close()
    path = folder / "deepd.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SettingsError, match="newer deepd"):
        Store.open(folder)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["header", "middle", "nonsense"])
def test_a_damaged_file_is_refused_and_kept(folder: Path, damage: str) -> None:
    store = Store.open(folder)
    for _ in range(200):
        store.insert_call(make_call())
    store.close()
    path = folder / "deepd.db"
    data = bytearray(path.read_bytes())
    match damage:
        case "header":
            data[:16] = b"\xff" * 16
        case "middle":
            data[4096 * 3 : 4096 * 9] = b"\xa5" * 4096 * 6
        case _:
            data[:] = b"no database at all\n" * 100
    path.write_bytes(data)
    with pytest.raises(SettingsError, match="damaged"):
        Store.open(folder)
    assert path.read_bytes() == bytes(data)


def test_a_refused_folder_is_not_kept_locked(folder: Path) -> None:
    folder.mkdir()
    (folder / "deepd.db").write_bytes(b"no database at all\n" * 100)
    with pytest.raises(SettingsError):
        Store.open(folder)
    (folder / "deepd.db").unlink()
    Store.open(folder).close()


@pytest.mark.parametrize("dump", sorted(GOLDEN.glob("*.sql")), ids=lambda path: path.stem)
def test_a_file_of_every_former_version_loads_for_ever(folder: Path, dump: Path) -> None:
    folder.mkdir()
    connection = sqlite3.connect(folder / "deepd.db")
    connection.executescript(dump.read_text())
    connection.close()
    store = Store.open(folder)
    calls = {str(call.id): call for call in store.calls()}
    finished, held = calls["a" * 32], calls["b" * 32]
    assert store.instance == "0badcafe"
    assert [session.name for session in store.sessions()] == [SessionName("main")]
    assert finished.state is CallState.FINISHED
    assert finished.exit_code == 3
    assert [chunk.data for chunk in store.output(finished.id)] == [b"hello\n"]
    assert held.state is CallState.HELD
    assert [approval.id for approval in store.approvals()] == [held.id]
    granted = {"v1": []}.get(dump.stem, [("c" * 32, 1, 2)])
    assert [(grant.id, grant.used, grant.left) for grant in store.grants()] == granted
    assert store.last_event_id() == 2
    assert store.broken_audit_row() is None
    store.close()


def test_what_a_killed_daemon_was_just_starting_does_not_lock_the_next_one_out(
    folder: Path,
) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    folder.mkdir()
    # As a process between fork and exec has it, which shares what the killed one had open.
    held = os.open(folder / "deepd.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    os.pwrite(held, f"{dead.pid}\n".encode(), 0)
    threading.Timer(0.3, os.close, (held,)).start()
    began = time.monotonic()
    Store.open(folder).close()
    assert time.monotonic() - began >= 0.2
