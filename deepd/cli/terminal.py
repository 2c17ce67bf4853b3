"""A call's terminal in ours: raw keys, our size, Ctrl-P Ctrl-Q to leave."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from deepd.cli.approval_text import render_approval
from deepd.cli.detach import DetachKeys
from deepd.cli.failure import report, say
from deepd.cli.stdin import forward_stdin, send
from deepd.cli.stream import SHORT, CallStream
from deepd.client.sync import Client
from deepd.errors import DeepdError

_CTRL_C = b"\x03"
_YES = frozenset({b"y", b"Y"})


def run_in_terminal(
    client: Client, session: str, command: str | list[str], options: dict[str, Any], *, stdin: bool
) -> int:
    """Run a command with a pty and return its exit code."""
    options = {**options, "pty": _size()}
    if stdin and sys.stdin.isatty():
        lines = client.exec_stream(session, command, **options)
        return Attachment(client).run(lines)
    on_call = (lambda call_id: forward_stdin(client, call_id)) if stdin else None
    return CallStream(client, on_call=on_call).run(client.exec_stream(session, command, **options))


class Attachment:
    """Our terminal, given to one call until it ends or we leave."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stream = CallStream(client, on_held=self._show)
        self._approval: dict[str, Any] | None = None
        """What was shown of the call that is held."""
        self._code: int | None = None
        self._failure: BaseException | None = None
        self._wake, self._bell = os.pipe()

    def run(self, lines: Iterator[dict[str, Any]]) -> int:
        """Pass keys on while a thread prints; return the call's exit code, 0 when we left it."""
        with _raw_terminal(), self._signals():
            Thread(target=self._print, args=(lines,), daemon=True).start()
            self._pass_on()
        if self._failure is not None:
            raise self._failure
        if self._code is None:
            say(f"\ndetached: it goes on, see `deepd wait {self._stream.call_id[:SHORT]}`")
            return 0
        return self._code

    def _print(self, lines: Iterator[dict[str, Any]]) -> None:
        try:
            self._code = self._stream.run(lines)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the other thread raises it
            self._failure = error
        os.write(self._bell, b"\0")

    def _pass_on(self) -> None:
        """Read keys until the call has ended or the person leaves."""
        keys = DetachKeys()
        while True:
            ready, _, _ = select.select([0, self._wake], [], [])
            if self._wake in ready:
                os.read(self._wake, 64)
                if self._code is not None or self._failure is not None:
                    return
                self._resize()
            if 0 in ready:
                data = keys.feed(os.read(0, 64 << 10))
                if data:
                    self._send(data)
                if keys.found:
                    return

    def _send(self, data: bytes) -> None:
        if not self._stream.call_id or self._stream.held:
            # Nobody reads yet. What is typed now is not meant for a command that starts later.
            if _CTRL_C in data and self._stream.call_id:
                self._client.cancel(self._stream.call_id, "interrupted at the terminal")
            elif data in _YES and self._approval is not None:
                self._approve(self._approval)
            return
        send(self._client, self._stream.call_id, data)

    def _show(self, call_id: str) -> None:
        """Show all of what is held to the person who asked for it, who may be the one to decide."""
        try:
            approval = self._client.approval(call_id)
        except DeepdError:
            return  # an agent's socket shows none, and whoever else decides was told how
        say(render_approval(approval))
        say("y approves it, Ctrl-C takes it back")
        self._approval = approval

    def _approve(self, approval: dict[str, Any]) -> None:
        self._approval = None
        try:
            self._client.decide(
                approval["id"], approve=True, fingerprint=approval["fingerprint"], args=None
            )
        except DeepdError as error:
            report(error)
        else:
            say("approved")

    def _resize(self) -> None:
        if self._stream.call_id and not self._stream.held:
            rows, cols = _size()
            try:
                self._client.resize(self._stream.call_id, rows, cols)
            except DeepdError:
                # It ended just now; the printing thread knows how.
                return

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Wake the loop when the window changes; end in order when we are told to end."""

        def changed(*_: object) -> None:
            os.write(self._bell, b"\0")

        def ended(number: int, _: object) -> None:
            raise SystemExit(128 + number)

        before = {
            signal.SIGWINCH: signal.signal(signal.SIGWINCH, changed),
            signal.SIGTERM: signal.signal(signal.SIGTERM, ended),
            signal.SIGHUP: signal.signal(signal.SIGHUP, ended),
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Give every key to us as it is typed, and put the terminal back whatever happens."""
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _size() -> tuple[int, int]:
    """Return rows and columns of our terminal."""
    for descriptor in (0, 1, 2):
        try:
            cols, rows = os.get_terminal_size(descriptor)
        except OSError:
            continue
        if rows and cols:
            return rows, cols
    return 24, 80
