"""What reaches a terminal: the dashboard in a pty, its bytes read by a terminal emulator."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pyte
import pytest

from tests.eventually import eventually
from tests.tui.decode import from_lines, rows_of
from tests.tui.hostile import HOSTILE
from tests.tui.world import House, new_house

_WIDTH, _HEIGHT = 90, 200
_LIST = 10
"""Rows above the call, at this width: the bars, the list, the title."""
_BAR = 1
"""Columns that are kept for the scroll bar."""
_DOWN = b"\x1b[B"
_ALLOWED = re.compile(rb"\x1b\[[0-9;:<=>?]*[ $]?[A-Za-z]|\r|\n|\x1b[78=>]|\x1b\]22;[a-z-]+\x07")
"""What Textual itself says to a terminal: CSI sequences, and the pointer's shape by name."""
_FORBIDDEN = (b"\x1b[2J\x1b[H\x1b[31m", b"\x1b[6n", b"\x1b]52", b"\x1b]8")
_QUESTION = re.compile(rb"\x1b\[[<=>?][0-9;]*(?:\$p|[uqcm])")
_UNFINISHED = re.compile(rb"(?:\x1b(?:\[[0-9;:<=>?]*[ $]?)?)?\Z")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b-\u200f\ufeff]")


class Pty:
    """A program with a terminal of its own, and all that it ever wrote to that."""

    def __init__(self, words: list[str], height: int) -> None:
        self.height = height
        self.written = b""
        self._screen = pyte.Screen(_WIDTH, height)
        self._stream = pyte.ByteStream(self._screen)
        self._begun = b""
        self._rows: list[str] = []
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, _WIDTH, 0, 0))
        # The terminal says its own size; what the tests' own runner says of theirs is not meant.
        env = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES"}}
        self.process = subprocess.Popen(
            words,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        os.close(slave)
        os.set_blocking(self._master, False)

    def read(self) -> None:
        """Take what it wrote."""
        with suppress(BlockingIOError, OSError):
            while data := os.read(self._master, 1 << 16):
                self.written += data
                self._feed(data)

    def _feed(self, data: bytes) -> None:
        """Let the emulator draw; it does not know questions, and shows what is left of them."""
        data = self._begun + data
        # A sequence of which the end is not there yet waits for it, or it would not be known.
        begun = _UNFINISHED.search(data)
        assert begun is not None
        self._begun = begun[0]
        self._stream.feed(_QUESTION.sub(b"", data[: begun.start()]))

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def rows(self) -> list[str]:
        """Return what is on the screen."""
        before = len(self.written)
        self.read()
        if len(self.written) != before or not self._rows:
            self._rows = [row.rstrip() for row in self._screen.display]
        return self._rows

    async def sees(self, text: str) -> list[str]:
        """Wait until a text is on the screen; return the rows."""
        deadline = asyncio.get_running_loop().time() + 30
        while text not in "\n".join(self.rows()):
            assert self.process.poll() is None, f"it ended: {self.written[-2000:]!r}"
            assert asyncio.get_running_loop().time() < deadline, f"no {text!r} in\n" + "\n".join(
                self.rows()
            )
            await asyncio.sleep(0.02)
        return self.rows()

    async def loses(self, text: str) -> None:
        """Wait until a text is not on the screen any more."""
        await eventually(lambda: text not in "\n".join(self.rows()))

    async def shows(self, command: str) -> None:
        """Wait until what is on the screen decodes to this command."""
        wanted = composed(command)
        with suppress(AssertionError):
            await eventually(lambda: composed(command_on(self.rows())) == wanted, every=0.03)
        assert composed(command_on(self.rows())) == wanted, "\n".join(self.rows())

    async def leave(self) -> None:
        """Press `q`; it ends well, and never sent the terminal anything but its own drawing."""
        self.press(b"q")
        await eventually(self._has_ended, within=30)
        assert self.process.returncode == 0
        assert_nothing_raw(self.written)

    def _has_ended(self) -> bool:
        has_ended = self.process.poll() is not None
        self.read()
        return has_ended

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@asynccontextmanager
async def attached(house: House, height: int = _HEIGHT) -> AsyncIterator[Pty]:
    """Attach `deepd dashboard` in a pty."""
    words = [sys.executable, "-m", "deepd", "--socket", str(house.socket), "dashboard"]
    terminal = Pty(words, height)
    try:
        await terminal.sees("main")
        yield terminal
    finally:
        terminal.close()


def assert_nothing_raw(written: bytes) -> None:
    """Fail when anything but the dashboard's own drawing has reached the terminal."""
    for text in _FORBIDDEN:
        assert text not in written
    rest = _ALLOWED.sub(b"", written).decode()
    found = _CONTROL.search(rest)
    assert found is None, repr(rest[max(0, found.start() - 40) : found.end() + 40])


def composed(text: str) -> str:
    """Return a text as the emulator keeps it: letter and accent as one character."""
    return unicodedata.normalize("NFC", text)


def command_on(rows: list[str]) -> str:
    """Return the command that the rows of a call show."""
    lines = rows_of(rows[_LIST:-1], columns=_WIDTH - _BAR)
    first = lines.index("") + 1
    last = max(number for number, line in enumerate(lines) if line.startswith("in /workspace"))
    return from_lines(lines[first : last - 1])


async def test_hostile_commands_are_shown_in_a_terminal_exactly_as_they_would_run(
    house: House,
) -> None:
    commands = {name: text for name, text in HOSTILE.items() if name != "lines"}
    calls = [await house.hold(text) for text in commands.values()]
    async with attached(house) as terminal:
        await terminal.sees(f"held ({len(calls)})")
        terminal.press(b"2")
        await terminal.sees("in /workspace")
        for call in calls:
            held = (await house.operator.approval(call["id"]))["args"]["command"]
            await terminal.shows(held)
            terminal.press(_DOWN)
        await terminal.leave()
    assert [(await house.operator.call(call["id"]))["state"] for call in calls] == [
        "held" for _ in calls
    ]


@pytest.mark.slow
async def test_a_command_of_3000_lines_is_shown_in_a_terminal_whole(house: House) -> None:
    call = await house.hold(HOSTILE["lines"])
    held = (await house.operator.approval(call["id"]))["args"]["command"]
    async with attached(house, height=3100) as terminal:
        await terminal.sees("held (1)")
        terminal.press(b"2")
        await terminal.sees("in /workspace")
        assert command_on(terminal.rows()) == held == HOSTILE["lines"]
        await terminal.leave()


async def test_hostile_names_output_and_reasons_reach_no_terminal_raw() -> None:
    async with new_house('interrupt_on = ["write_file", "edit_file"]\n') as house:
        for text in HOSTILE.values():
            await house.agent.exec("main", ["printf", "%s", text[:4000].replace("\x00", "")])
            await house.ask("write_file", {"path": f"x/{text[:900]}", "content": text})
        denied = await house.ask("write_file", {"path": "a", "content": "b"})
        shown = await house.operator.approval(denied["id"])
        await house.operator.decide(
            denied["id"],
            approve=False,
            fingerprint=shown["fingerprint"],
            reason=HOSTILE["csi"] + HOSTILE["osc 52"],
        )
        house.profile("evil", f'"{HOSTILE["markup"]}\\u001b[2J" = 1\n')
        await house.operator.reload()
        async with attached(house, 60) as terminal:
            for keys, text in ((b"3", "following"), (b"4", "approval"), (b"5", "BROKEN")):
                terminal.press(keys)
                await terminal.sees(text)
            terminal.press(b"2")
            await terminal.sees("makes")
            for _ in HOSTILE:
                terminal.press(_DOWN)
            terminal.press(b"1")
            await terminal.sees("IDLE IN")
            terminal.press(b"\r")
            await terminal.sees("container number")
            terminal.press(b"\r")
            await terminal.loses("container number")
            await terminal.leave()


async def test_keys_that_are_typed_faster_than_the_filter_opens_go_into_it(house: House) -> None:
    await house.operator.open_session("quiet", "strict")
    async with attached(house, 30) as terminal:
        await terminal.sees("2 sessions")
        for page, text in ((b"1", "IDLE IN"), (b"2", "nothing waits"), (b"4", "sandbox")):
            terminal.press(page)
            await terminal.sees(text)
            terminal.press(b"/quiet/2")
            await terminal.sees("quiet/2")
            terminal.press(b"\x1b")
            await terminal.loses("quiet/2")
        await terminal.leave()
