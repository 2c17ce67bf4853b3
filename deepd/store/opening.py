"""Opening: a state folder is ours, and its file is looked through while the rest is loaded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deepd.store.database import refuse_what_is_not_ours
from deepd.store.lock import FolderLock


class Opening:
    """Has the folder's lock; `OwnedError` when another process has it.

    Looking through 100,000 calls takes 0.2 s, and SQLite lets Python go on meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lock = FolderLock(folder)
        self.folder = folder.resolve()
        looker = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._looked = looker.submit(refuse_what_is_not_ours, self.folder / "deepd.db")
        looker.shutdown(wait=False)

    def wait(self) -> None:
        """Wait until all was looked through; raise `SettingsError` for what cannot be used."""
        self._looked.result()
