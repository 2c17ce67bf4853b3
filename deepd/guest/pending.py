"""Pending: output that was received and not read yet."""

from __future__ import annotations

from array import array

from deepd.model.call import Chunk

_COMPACT = 4096
"""Runs that were taken before their places are given back."""


class Pending:
    """A queue of output bytes; a guest that sends them one by one cannot make it large.

    Neighbours of one stream are joined, and a run of bytes costs a few bytes more than its length.
    """

    def __init__(self, offset: int) -> None:
        self._offset = offset
        """Where the first byte here is among all the call's output."""
        self._data = bytearray()
        self._lengths = array("L")
        self._streams = bytearray()
        self._first = 0
        """The first run that was not taken."""

    def push(self, stream: int, data: bytes | memoryview) -> None:
        """Append bytes of a stream."""
        self._data += data
        if self._first < len(self._lengths) and self._streams[-1] == stream:
            self._lengths[-1] += len(data)
        else:
            self._lengths.append(len(data))
            self._streams.append(stream)

    def pop(self) -> Chunk | None:
        """Take the first run."""
        first = self._first
        if first == len(self._lengths):
            return None
        length, stream = self._lengths[first], self._streams[first]
        chunk = Chunk(self._offset, stream, bytes(memoryview(self._data)[:length]))
        self._offset += length
        self._first += 1
        if self._first == len(self._lengths):
            self._data = bytearray()
            self._first = 0
            del self._lengths[:], self._streams[:]
        else:
            del self._data[:length]
            if self._first >= _COMPACT:
                del self._lengths[: self._first], self._streams[: self._first]
                self._first = 0
        return chunk
