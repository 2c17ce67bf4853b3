"""The works: what every subject does, with which part of it counts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.subjects.peer import AT_ONCE, Peer
from tests.bench.subjects.watch import Watch

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
ROOT = Path(__file__).parents[3]
_TREE = """
import os, sys
count, root = int(sys.argv[1]), sys.argv[2]
for number in range(count):
    folder = f"{root}/d{number // 100}"
    if number % 100 == 0:
        os.makedirs(folder)
    with open(f"{folder}/f{number}.{'py' if number % 10 == 0 else 'txt'}", "w") as file:
        file.write("a line of text\\n" * 20)
        file.write("the needle\\n" if number % 100 == 7 else "no more\\n")
"""


@dataclass(frozen=True)
class Work:
    """One line of the table."""

    title: str
    do: Callable[[Peer, Watch], None]
    rounds: float = 1.0
    """Part of the pairs asked for: what takes long is done less often."""
    subjects: tuple[str, ...] = ()
    """Who does it; empty for all who can."""
    unit: str = "ms"
    pause: float = 0.0
    """Seconds before each, in which the engine ends what it still does for the one before."""


def _fresh(peer: Peer, watch: Watch) -> None:
    with watch:
        box = peer.open()
    peer.drop(box)


def _claim(peer: Peer, watch: Watch) -> None:
    peer.wait_for_pool()
    with watch:
        box = peer.claim()
    peer.drop(box)


def _create_and_start(peer: Peer, watch: Watch) -> None:
    with watch:
        box = peer.create_and_start()
    peer.drop(box)


def _run(*argv: str) -> Callable[[Peer, Watch], None]:
    def do(peer: Peer, watch: Watch) -> None:
        box = peer.box
        with watch:
            peer.run(box, argv)

    return do


def _sixteen_in_one(peer: Peer, watch: Watch) -> None:
    boxes = [peer.box] * AT_ONCE
    with watch:
        peer.at_once(boxes, ["true"])


def _sixteen_in_sixteen(peer: Peer, watch: Watch) -> None:
    boxes = peer.boxes
    with watch:
        peer.at_once(boxes, ["true"])


def _throughput(peer: Peer, watch: Watch) -> None:
    boxes = [peer.box] * 256
    with watch:
        peer.at_once(boxes, ["true"])
    watch.value /= len(boxes)


def _stream(peer: Peer, watch: Watch) -> None:
    box = peer.box
    with watch:
        came = peer.stream(box, GIB)
    assert came == GIB, f"{came} of {GIB} bytes came"


def _write(size: int) -> Callable[[Peer, Watch], None]:
    def do(peer: Peer, watch: Watch) -> None:
        box, data = peer.box, os.urandom(size // 2).hex().encode()
        with watch:
            peer.write(box, f"/workspace/write-{size}", data)

    return do


def _read(size: int) -> Callable[[Peer, Watch], None]:
    def do(peer: Peer, watch: Watch) -> None:
        box, path = peer.box, f"/workspace/read-{size}"
        if path not in peer.__dict__:
            peer.write(box, path, b"x" * size)
            peer.__dict__[path] = True
        with watch:
            data = peer.read(box, path)
        assert len(data) == size, f"{len(data)} of {size} bytes came"

    return do


def _edit(size: int) -> Callable[[Peer, Watch], None]:
    def do(peer: Peer, watch: Watch) -> None:
        box, path = peer.box, f"/workspace/edited-{size}.txt"
        peer.write(box, path, b"a line of text\n" * (size // 15) + b"the old word")
        with watch:
            peer.edit(box, path, "the old word", "the new word")

    return do


def _tree(peer: Peer, count: int) -> str:
    """Return a folder with so many files, made at the first call."""
    path = f"tree-{count}"
    if path not in peer.__dict__:
        peer.run(peer.box, ["python3", "-c", _TREE, str(count), f"/workspace/{path}"])
        peer.__dict__[path] = True
    return f"/workspace/{path}"


def _search(count: int, name: str, asked: str, expected: int) -> Callable[[Peer, Watch], None]:
    def do(peer: Peer, watch: Watch) -> None:
        box, path = peer.box, _tree(peer, count)
        with watch:
            found: int = getattr(peer, name)(box, *filter(None, [asked]), path)
        assert found == expected, f"{found} found, {expected} are there"

    return do


def _command_line(which: Callable[[Peer], list[str]]) -> Callable[[Peer, Watch], None]:
    def do(peer: Peer, watch: Watch) -> None:
        command = which(peer)
        with watch:
            done = subprocess.run(command, capture_output=True, check=False, cwd=ROOT)
        assert done.returncode == 0, (done.stdout + done.stderr)[-300:].decode(errors="replace")

    return do


def _memory(peer: Peer, watch: Watch) -> None:
    watch.value = peer.memory()


def _memory_each(peer: Peer, watch: Watch) -> None:
    peer.many()
    watch.value = peer.memory_each()


def _reload(peer: Peer, watch: Watch) -> None:
    peer.many()
    with watch:
        peer.reload()


_LARGE = ("deepd", "docker-py", "sandboxd")
_EDITORS = ("deepd", "sandboxd")
"""The others that edit take 15 s and more to write 8 MiB before."""

WORKS: dict[str, Work] = {
    "fresh": Work("new sandbox to first result", _fresh, 0.2, pause=0.2),
    "start": Work("create and start, no command", _create_and_start, 0.2, pause=0.2),
    "claim": Work("claim from the pool to first result", _claim, 0.2),
    "true": Work("true", _run("true"), pause=0.05),
    "sh": Work("sh -c", _run("sh", "-c", "exit 0"), 0.5, pause=0.05),
    "python": Work("python3 -c pass", _run("python3", "-c", "pass"), 0.2, pause=0.05),
    "16-in-1": Work("16 at once in one sandbox", _sixteen_in_one, 0.2, pause=0.2),
    "16-in-16": Work(
        "16 at once in 16 sandboxes", _sixteen_in_sixteen, 0.2, ("deepd", "docker-py"), pause=0.2
    ),
    "throughput": Work("256 calls, 16 at once, each", _throughput, 0.05, ("deepd", "docker-py")),
    "stream": Work("1 GiB of output", _stream, 0.01, ("deepd", "docker-py")),
    "write-1k": Work("write 1 KiB", _write(KIB), 0.5),
    "read-1k": Work("read 1 KiB", _read(KIB), 0.5),
    "edit-1k": Work("edit 1 KiB", _edit(KIB), 0.5),
    "write-8m": Work("write 8 MiB", _write(8 * MIB), 0.2),
    "read-8m": Work("read 8 MiB", _read(8 * MIB), 0.2),
    "edit-8m": Work("edit 8 MiB", _edit(8 * MIB), 0.1, _EDITORS),
    "write-100m": Work("write 100 MiB", _write(100 * MIB), 0.05, _LARGE),
    "read-100m": Work("read 100 MiB", _read(100 * MIB), 0.05, _LARGE),
    "edit-100m": Work("edit 100 MiB", _edit(100 * MIB), 0.05, _EDITORS),
    "ls": Work("ls of 2,000 files' folders", _search(2000, "ls", "", 20), 0.2),
    "glob": Work("glob over 2,000 files", _search(2000, "glob", "**/*.py", 200), 0.2),
    "grep": Work("grep over 2,000 files", _search(2000, "grep", "the needle", 20), 0.2),
    "glob-50k": Work(
        "glob over 50,000 files", _search(50_000, "glob", "**/f4200?.py", 1), 0.05, _LARGE
    ),
    "grep-50k": Work(
        "grep over 50,000 files", _search(50_000, "grep", "the needle", 500), 0.05, _LARGE
    ),
    "exec": Work(
        "`true`, a whole process",
        _command_line(lambda peer: peer.process(peer.box)),
        0.2,
        pause=0.05,
    ),
    "status": Work("`deepd status --json`", _command_line(lambda peer: peer.status()), 0.3),
    "conformance": Work(
        "suite of workspaces", _command_line(lambda peer: peer.conformance()), 0.01
    ),
    "memory": Work("memory, one idle sandbox", _memory, 0.01, unit="MB"),
    "reload-200": Work("reload with 200 sessions", _reload, 0.1, ("deepd",)),
    "memory-each": Work("deepd's memory, each of 200", _memory_each, 0.01, ("deepd",), unit="MB"),
}
