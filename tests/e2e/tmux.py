"""A real terminal: tmux on a server of its own, with the hands and eyes of a person."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.eventually import eventually_sync

_SLOW = 30.0
"""Seconds in which something has to come to the screen, on a machine that is busy."""


class Terminal:
    """One window; what is in it ends with it."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._server = ["tmux", "-S", str(folder / "tmux.sock"), "-f", "/dev/null"]
        self._env = {**env, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}

    def open(self, words: Sequence[str], size: tuple[int, int]) -> None:
        """Run a command in a window of so many columns and rows, which stays when that ends."""
        width, height = str(size[0]), str(size[1])
        command = f'{shlex.join(words)}; echo "[ended: $?]"; exec sleep 600'
        self._tmux("new-session", "-d", "-x", width, "-y", height, command)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names for them."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type a text."""
        self._tmux("send-keys", "-l", text)

    def screen(self) -> str:
        """Return what is on the screen."""
        return self._tmux("capture-pane", "-p")

    def sees(self, *texts: str) -> str:
        """Wait until all of these are on the screen; return it."""
        try:
            eventually_sync(lambda: all(text in self.screen() for text in texts), within=_SLOW)
        except AssertionError:
            raise AssertionError(f"{texts} are not all in\n{self.screen()}") from None
        return self.screen()

    def loses(self, text: str) -> None:
        """Wait until a text is not on the screen any more."""
        eventually_sync(lambda: text not in self.screen(), within=_SLOW)

    def close(self) -> None:
        """End it with all that is in it."""
        subprocess.run([*self._server, "kill-server"], capture_output=True, check=False)

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            [*self._server, *words], env=self._env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"tmux {words}: {done.stderr}"
        return done.stdout


@contextmanager
def terminal(
    folder: Path, env: Mapping[str, str], words: Sequence[str], size: tuple[int, int]
) -> Iterator[Terminal]:
    """Open a terminal on a command for the length of a block."""
    one = Terminal(folder, env)
    one.open(words, size)
    try:
        yield one
    finally:
        one.close()
