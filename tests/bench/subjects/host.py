"""No sandbox at all: plain processes of this machine, the floor."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from tests.bench.subjects.peer import Peer
from tests.bench.subjects.serve import serve


class Host(Peer):
    """posix_spawn and waitpid."""

    version = "posix_spawn"

    def __init__(self, _image: str) -> None:
        self._paths = {name: shutil.which(name) or name for name in ("true", "sh", "python3")}

    @cached_property
    def box(self) -> Any:
        """The machine itself; there is none to be made."""
        return self

    def drop(self, _box: Any) -> None:
        """There is nothing to remove."""

    def run(self, _box: Any, argv: Sequence[str]) -> None:
        if argv[-1].startswith("/workspace"):
            raise NotImplementedError
        pid = os.posix_spawn(self._paths[argv[0]], list(argv), os.environ)
        assert os.waitpid(pid, 0)[1] == 0

    def process(self, _box: Any) -> list[str]:
        return [self._paths["true"]]

    def status(self) -> list[str]:
        return [sys.executable, "-c", "pass"]


if __name__ == "__main__":
    serve(Host, sys.argv[1])
