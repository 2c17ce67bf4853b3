"""Database: one SQLite file with one writer, transactions of two strengths, and clear refusals."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from deepd.errors import DeepdError, LimitError, SettingsError
from deepd.store.schema import MIGRATIONS, VERSION

_NO_SPACE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
_USUAL, _LATEST = 4000, 12_000
"""Pages in the log at which a commit empties it, which takes some 10 ms."""
_JOINED = nullcontext()
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Database:
    """The connection; the tables build on `write()`, `_all()` and `_one()`.

    It belongs to the thread that opened it. A write outside of `write()` is a transaction of its
    own; inside it joins the one that is open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self._execute = self._connection.execute
        self._open = False
        self._durable = False
        self._synchronous_full = True
        self._after: list[Callable[[], None]] = []
        self.commits = self.durable_commits = self.refusals = 0
        self.durable_seconds = 0.0
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise translate(error, path) from error

    def _prepare(self) -> None:
        # The folder is ours by its lock, so nobody else needs to see the locks of single steps.
        self._execute("PRAGMA locking_mode = EXCLUSIVE")
        self._execute("PRAGMA journal_mode = WAL")
        self._execute("PRAGMA synchronous = FULL")
        self._execute("PRAGMA foreign_keys = ON")
        self._execute(f"PRAGMA wal_autocheckpoint = {_LATEST}")
        self._execute("PRAGMA journal_size_limit = 67108864")
        (version,) = self._execute("PRAGMA user_version").fetchone()
        for number in range(version, VERSION):
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT"
            )

    def write(self, *, durable: bool = False) -> AbstractContextManager[None]:
        """Make one transaction of all that is written inside; nothing of it when that raises.

        Once a durable one is left it survives a power cut; any other survives a killed daemon.
        """
        if not self._open:
            return self._transaction(durable)
        if durable and not self._durable:
            raise RuntimeError("a durable write inside of one that is not")
        return _JOINED

    @contextmanager
    def _transaction(self, durable: bool) -> Iterator[None]:  # noqa: FBT001 - a half of write()
        self._begin(durable)
        try:
            yield
            self._commit()
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                self.refusals += 1
                raise translate(error, self.path) from error
            raise
        self._open = False
        after, self._after = self._after, []
        for callback in after:
            callback()

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once the open transaction is written, at once when none is open."""
        if self._open:
            self._after.append(callback)
        else:
            callback()

    @property
    def is_writing(self) -> bool:
        """Whether a transaction is open, so that a refusal takes all of it back."""
        return self._open

    def close(self) -> None:
        """Close the file; every transaction is written already."""
        self._connection.close()

    def _begin(self, durable: bool) -> None:  # noqa: FBT001 - a half of write()
        try:
            if durable != self._synchronous_full:
                self._execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                # Somebody waits for what is durable: the log is emptied behind another write.
                self._execute(f"PRAGMA wal_autocheckpoint = {_LATEST if durable else _USUAL}")
                self._synchronous_full = durable
            self._execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        self._open, self._durable = True, durable

    def _commit(self) -> None:
        self.commits += 1
        if not self._durable:
            self._execute("COMMIT")
            return
        began = time.perf_counter()
        self._execute("COMMIT")
        self.durable_commits += 1
        self.durable_seconds += time.perf_counter() - began

    def size(self) -> int:
        """Return the bytes of the file and of the log before it."""
        log = self.path.with_name(f"{self.path.name}-wal")
        return sum(path.stat().st_size for path in (self.path, log) if path.exists())

    def _roll_back(self) -> None:
        self._open = False
        self._after.clear()
        # SQLite has rolled back by itself after some errors, a full disk among them.
        if self._connection.in_transaction:
            self._execute("ROLLBACK")
        self._forget()

    def _forget(self) -> None:
        """Forget what was counted in memory for a transaction that was rolled back."""

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            raise translate(error, self.path) from error

    def _one(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        rows = self._all(sql, values)
        return rows[0] if rows else None


def translate(error: sqlite3.Error, path: Path) -> DeepdError:
    """Return what an error of SQLite means to a caller of the daemon."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _NO_SPACE:
        return LimitError(
            f"no space to write {path}: {error}",
            next_step="free some space there; nothing was changed, so try again afterwards",
        )
    if code in _DAMAGED:
        return SettingsError(
            f"{path} is damaged: {error}",
            next_step=f"the file was left as it is; move {path.parent} away to begin anew",
        )
    return SettingsError(f"{path} cannot be used: {error}")


def refuse_what_is_not_ours(path: Path) -> None:
    """Look at an existing file without a chance to change it, before it is opened.

    Raises `SettingsError` for one that is damaged or was written by a newer deepd.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise translate(error, path) from error
    if version > VERSION:
        raise SettingsError(
            f"{path} was written by a newer deepd (version {version}, this one knows {VERSION})",
            next_step="use that deepd, or another state folder; the file was left as it is",
        )
    if verdict != "ok":
        raise SettingsError(
            f"{path} is damaged: {verdict}",
            next_step=f"the file was left as it is; move {path.parent} away to begin anew",
        )
