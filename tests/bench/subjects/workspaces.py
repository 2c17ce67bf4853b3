"""What the peers have in common that are workspaces of pydantic-ai."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from pydantic_ai.workspaces import Workspace
from pydantic_ai_backends.toolsets._workspace import WorkspaceOps

from tests.bench.subjects.peer import Peer

T = TypeVar("T")


class Workspaces(Peer):
    """A box is a `Workspace`; edit, glob and grep are those of the console tools over it."""

    @cached_property
    def _runner(self) -> asyncio.Runner:
        return asyncio.Runner()

    def wait(self, doing: Coroutine[Any, Any, T]) -> T:
        """Run it on the one loop that all of them share."""
        return self._runner.run(doing)

    def backend(self) -> Any:
        """Return a backend with a sandbox of its own."""
        raise NotImplementedError

    def open(self) -> Workspace:
        box = Workspace(self.backend())
        self.run(box, ["true"])
        return box

    def run(self, box: Workspace, argv: Sequence[str]) -> None:
        result = self.wait(box.run(list(argv)))
        assert result.exit_code == 0, result.stderr

    def at_once(self, boxes: Iterable[Workspace], argv: Sequence[str]) -> None:
        async def all_of_them() -> None:
            results = await asyncio.gather(*(box.run(list(argv)) for box in boxes))
            assert not any(result.exit_code for result in results)

        self.wait(all_of_them())

    def write(self, box: Workspace, path: str, data: bytes) -> None:
        self.wait(box.write_bytes(path, data))

    def read(self, box: Workspace, path: str) -> bytes:
        return self.wait(box.read_bytes(path))

    def edit(self, box: Workspace, path: str, old: str, new: str) -> None:
        result = self.wait(WorkspaceOps(box).edit(path, old, new))
        assert not result.error, result.error

    def ls(self, box: Workspace, path: str) -> int:
        return len(self.wait(box.list_dir(path)))

    def glob(self, box: Workspace, pattern: str, path: str) -> int:
        return len(self.wait(WorkspaceOps(box).glob_info(pattern, path)))

    def grep(self, box: Workspace, pattern: str, path: str) -> int:
        found = self.wait(WorkspaceOps(box).grep_raw(pattern, path))
        assert not isinstance(found, str), found
        return len(found)
