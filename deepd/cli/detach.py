"""Ctrl-P Ctrl-Q in what is typed: leave the terminal, the call goes on."""

from __future__ import annotations

_CTRL_P = 0x10
_CTRL_Q = 0x11


class DetachKeys:
    """Passes typed bytes on and finds the two keys, also when they come one by one."""

    def __init__(self) -> None:
        self._waiting = False
        self.found = False

    def feed(self, data: bytes) -> bytes:
        """Return what is to be sent; a Ctrl-P waits for the key after it."""
        sent = bytearray()
        for byte in data:
            if self._waiting:
                self._waiting = False
                if byte == _CTRL_Q:
                    self.found = True
                    break
                sent.append(_CTRL_P)
            if byte == _CTRL_P:
                self._waiting = True
            else:
                sent.append(byte)
        return bytes(sent)
