"""Completion in the shells themselves: what is typed, TAB, and what the command then gets."""

from __future__ import annotations

import functools
import os
import re
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deepd.cli import completion_scripts
from deepd.cli.completion import shapes
from tests.conftest import need

APPROVAL = "4a2f00112233445566778899aabbccdd"
PROGRAM = f"""\
#!/bin/sh
case "$*" in
    "ps -q") printf 'main\\nnightly\\n' ;;
    "approvals -q") echo {APPROVAL} ;;
    *) printf '<%s>' "$@"; echo ' end' ;;
esac
"""
"""Stands for `deepd`: lists what a daemon would, and shows what it was called with."""
CASES = [
    ("dashb", ["dashboard"]),
    ("exec nigh", ["exec", "nightly"]),
    ("approve 4a", ["approve", APPROVAL]),
    ("wait 4a", ["wait", APPROVAL]),
    ("approvals --js", ["approvals", "--json"]),
    ("completion fi", ["completion", "fish"]),
    ("check no", ["check", "notes.toml"]),
    ("exec main -- cat no", ["exec", "main", "--", "cat", "notes.toml"]),
    ("--socket s dashb", ["--socket", "s", "dashboard"]),
    ("--socket s exec nigh", ["--socket", "s", "exec", "nightly"]),
    ("--socket ./here/de", ["--socket", "./here/deepd.sock"]),
    ("--socket ./here/deepd.sock exec nigh", ["--socket", "./here/deepd.sock", "exec", "nightly"]),
    ("--socket=./here/de", ["--socket=./here/deepd.sock"]),
    ("dashboard --socket ./here/de", ["dashboard", "--socket", "./here/deepd.sock"]),
    ("exec --socket=./here/de", ["exec", "--socket=./here/deepd.sock"]),
    ("--socket=./here/deepd.sock exec nigh", ["--socket=./here/deepd.sock", "exec", "nightly"]),
]
READY = "ready> "
SETUPS = {
    "bash": f"bind 'set bell-style none'; . ./script; PS1='{READY}'\n",
    "zsh": f"autoload -Uz compinit; compinit -u -D; unsetopt beep; . ./script; PS1='{READY}'\n",
}
COMMANDS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


@functools.cache
def script_of(shell: str) -> str:
    """Return what `deepd completion SHELL` prints."""
    render: Callable[[object], str] = getattr(completion_scripts, f"render_{shell}")
    return render(shapes())


class Terminal:
    """A shell at a terminal of its own."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str]) -> None:
        self._keys, self._screen = os.openpty()
        # Who leads a session gets the first terminal that it opens.
        script = 'exec <>"$0" >&0 2>&1; stty cols 200; exec "$@"'
        self._process = subprocess.Popen(
            ["sh", "-c", script, os.ttyname(self._screen), *command],
            cwd=folder,
            env=env,
            start_new_session=True,
        )

    def type(self, text: str, *, until: Callable[[str], object], within: float = 60) -> str:
        """Type, wait for what must appear, and return all that did."""
        os.write(self._keys, text.encode())
        printed, deadline = "", time.monotonic() + within
        while not until(printed):
            assert time.monotonic() < deadline, f"{text!r} led to {printed!r}"
            if select.select([self._keys], [], [], 1)[0]:
                printed += _plain(os.read(self._keys, 65536).decode(errors="replace"))
        return printed

    def close(self) -> None:
        """End the shell."""
        self._process.kill()
        self._process.wait()
        os.close(self._keys)
        os.close(self._screen)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which `deepd` shows what it gets, in a folder with one file."""
    program = tmp_path / "bin" / "deepd"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    (tmp_path / "notes.toml").touch()
    (tmp_path / "here").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/here/deepd.sock")
    return {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }


@pytest.fixture(params=["bash", "zsh"])
def terminal(
    request: pytest.FixtureRequest, tmp_path: Path, env: dict[str, str]
) -> Iterator[Terminal]:
    """Return a shell that has taken the script."""
    need(request.param, "" if shutil.which(request.param) else f"{request.param} is not installed")
    (tmp_path / "script").write_text(script_of(request.param))
    made = Terminal(COMMANDS[request.param], tmp_path, env)
    try:
        made.type(SETUPS[request.param], until=lambda text: text.endswith(READY))
        yield made
    finally:
        made.close()


def test_a_tab_completes_commands_options_sessions_calls_and_files(terminal: Terminal) -> None:
    for typed, wanted in CASES:
        shown = "".join(f"<{word}>" for word in wanted)
        printed = terminal.type(
            f"deepd {typed}\t\r", until=lambda text: " end" in text and text.endswith(READY)
        )
        assert f"{shown} end" in printed, f"{typed!r} became {printed!r}"


def test_two_tabs_list_what_is_possible(terminal: Terminal) -> None:
    terminal.type("deepd appro\t\t\t", until=lambda text: "approvals" in text)
    terminal.type("\x15deepd exec \t\t", until=lambda text: "main" in text and "nightly" in text)


def test_fish_completes_the_same(tmp_path: Path, env: dict[str, str]) -> None:
    need("fish", "" if shutil.which("fish") else "fish is not installed")
    asked = "".join(f"complete -C 'deepd {typed}'; echo .\n" for typed, _ in CASES)
    done = subprocess.run(
        ["fish", "--no-config"],
        input=f"{script_of('fish')}\n{asked}",
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    offered = [
        [line.split("\t")[0] for line in part.split("\n")] for part in done.stdout.split("\n.\n")
    ]
    assert offered[:-1] == [[wanted[-1]] for _, wanted in CASES]


def _plain(text: str) -> str:
    return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>])", "", text)
