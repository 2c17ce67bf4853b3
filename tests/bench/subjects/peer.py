"""Peer: what a subject of the benchmark can do; what it leaves out is not measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

AT_ONCE = 16


class Peer:
    """One way to run commands in containers; a box is whatever stands for one of its sandboxes."""

    version = ""

    def open(self) -> Any:
        """Make a sandbox and wait for the result of its first `true`."""
        raise NotImplementedError

    def drop(self, box: Any) -> None:
        """Remove a sandbox."""
        raise NotImplementedError

    def close(self) -> None:
        """Remove everything."""
        for box in (*self.__dict__.get("boxes", ()), *filter(None, [self.__dict__.get("box")])):
            self.drop(box)

    @cached_property
    def box(self) -> Any:
        """The warm sandbox that most works use."""
        return self.open()

    @cached_property
    def boxes(self) -> list[Any]:
        """Sixteen more."""
        return [self.open() for _ in range(AT_ONCE)]

    def run(self, box: Any, argv: Sequence[str]) -> None:
        """Run a command and see that it ended well."""
        raise NotImplementedError

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(AT_ONCE)

    def at_once(self, boxes: Iterable[Any], argv: Sequence[str]) -> None:
        """Run a command once for each box given, all at the same time."""
        list(self._threads.map(lambda box: self.run(box, argv), boxes))

    def stream(self, box: Any, size: int) -> int:
        """Let a command print so many bytes; return how many came, none of them kept."""
        raise NotImplementedError

    def write(self, box: Any, path: str, data: bytes) -> None:
        """Write a file."""
        raise NotImplementedError

    def read(self, box: Any, path: str) -> bytes:
        """Read a file."""
        raise NotImplementedError

    def edit(self, box: Any, path: str, old: str, new: str) -> None:
        """Replace a text that occurs once."""
        raise NotImplementedError

    def ls(self, box: Any, path: str) -> int:
        """Return how many entries a folder has."""
        raise NotImplementedError

    def glob(self, box: Any, pattern: str, path: str) -> int:
        """Return how many files match."""
        raise NotImplementedError

    def grep(self, box: Any, pattern: str, path: str) -> int:
        """Return how many lines match."""
        raise NotImplementedError

    def claim(self) -> Any:
        """Take a sandbox that waits, and the result of its first `true`."""
        raise NotImplementedError

    def wait_for_pool(self) -> None:
        """Wait until a sandbox waits to be claimed."""
        raise NotImplementedError

    def create_and_start(self) -> Any:
        """Make a container and nothing else."""
        raise NotImplementedError

    def process(self, box: Any) -> list[str]:
        """Return the command line that runs `true` in a sandbox."""
        raise NotImplementedError

    def status(self) -> list[str]:
        """Return the command line to compare with `deepd status --json`."""
        raise NotImplementedError

    def conformance(self) -> list[str]:
        """Return the command line that runs the suite of workspaces."""
        raise NotImplementedError

    def memory(self) -> float:
        """Return the megabytes of the process that serves, with nothing but one idle sandbox."""
        raise NotImplementedError

    def memory_each(self) -> float:
        """Return the megabytes that one idle sandbox more costs, the engine's share left out."""
        raise NotImplementedError

    def many(self) -> None:
        """See that there are 200 sandboxes."""
        raise NotImplementedError

    def reload(self) -> None:
        """Take up a changed file of settings."""
        raise NotImplementedError
