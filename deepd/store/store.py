"""Store: all that outlives the daemon, in one folder that one daemon owns at a time."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Self

from deepd.errors import SettingsError
from deepd.store.approvals import ApprovalTable
from deepd.store.audit import AuditTable
from deepd.store.events import EventTable
from deepd.store.grants import GrantTable
from deepd.store.lock import FolderLock
from deepd.store.opening import Opening
from deepd.store.retention import RetentionTable
from deepd.store.sessions import SessionTable
from deepd.store.spool import Spool


class Store(SessionTable, ApprovalTable, GrantTable, EventTable, AuditTable, RetentionTable):
    """Every table over one connection; synchronous, and quick enough for the loop's thread."""

    instance: str
    """Eight hexadecimal digits, made once for each state folder."""

    def __init__(self, folder: Path, lock: FolderLock) -> None:
        super().__init__(folder / "deepd.db")
        self.folder = folder
        self._lock = lock
        self.spool = Spool(folder / "spool")
        self.instance = self.get_meta("instance") or secrets.token_hex(4)
        self.put_meta("instance", self.instance)

    @classmethod
    def open(cls, folder: Path | Opening) -> Self:
        """Take the folder's lock and open what is in it, bringing it up to date.

        `OwnedError` names the process that has it; a file that is damaged or of a newer deepd is
        `SettingsError` and is left as it is. With an `Opening` both was begun before.
        """
        opening = folder if isinstance(folder, Opening) else Opening(folder)
        try:
            opening.wait()
            return cls(opening.folder, opening.lock)
        except BaseException:
            opening.lock.close()
            raise

    def get_meta(self, key: str) -> str | None:
        """Return a value that was kept under a key."""
        row = self._one("SELECT value FROM meta WHERE key = ?", (key,))
        return str(row[0]) if row else None

    def put_meta(self, key: str, value: str) -> None:
        """Keep a value under a key."""
        if self.get_meta(key) == value:
            return
        with self.write():
            self._execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def check(self) -> None:
        """Raise what is wrong when the store does not answer as it must."""
        if self.get_meta("instance") != self.instance:
            raise SettingsError(f"{self.path} was exchanged under the daemon")
        if not self.path.exists():
            raise SettingsError(f"{self.path} was removed under the daemon")

    def close(self) -> None:
        """Close the file, then let another process have the folder."""
        super().close()
        self._lock.close()
