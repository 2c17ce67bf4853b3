"""Mask: the values of secrets in output become stars of the same length, also across pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from deepd.model.call import Chunk

LEAST = 4
"""Shorter values are not masked: they would star out half of everything."""


class Mask:
    """Replaces secrets in the chunks of one call; lengths and so all offsets stay the same."""

    def __init__(self, secrets: Iterable[str]) -> None:
        values = sorted({value.encode() for value in secrets if len(value) >= LEAST}, key=len)
        self._values = values[::-1]
        self._pattern = re.compile(b"|".join(map(re.escape, self._values))) if values else None
        self._held: Chunk | None = None
        self._begun: dict[int, bytes] = {}
        """The end of each stream that was let go and may begin a secret."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be masked."""
        return self._pattern is None

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield what can be shown now; the end of a piece that may begin a secret is held back.

        The other stream's bytes let it go: order counts for more than the beginning of a secret,
        and what follows of that is masked all the same.
        """
        if self._pattern is None:
            yield chunk
            return
        before = self._begun.pop(chunk.stream, b"")
        if self._held is not None:
            if self._held.stream == chunk.stream:
                before = b""
                chunk = Chunk(self._held.offset, chunk.stream, self._held.data + chunk.data)
            else:
                self._begun[self._held.stream] = self._held.data
                yield self._held
            self._held = None
        masked = self._mask(before + chunk.data)[len(before) :]
        cut = len(masked) - self._beginning_at_end(masked)
        if cut < len(masked):
            self._held = Chunk(chunk.offset + cut, chunk.stream, masked[cut:])
        if cut:
            yield Chunk(chunk.offset, chunk.stream, masked[:cut])

    def flush(self) -> Iterator[Chunk]:
        """Yield what was held back: the output is over."""
        if self._held is not None:
            yield self._held
            self._held = None

    def shown_below(self, received: int) -> int:
        """Return the offset below which everything was shown, of all that was received."""
        return received if self._held is None else self._held.offset

    def text(self, text: str) -> str:
        """Return a text with secrets masked."""
        return self._mask(text.encode(errors="replace")).decode(errors="replace")

    def _mask(self, data: bytes) -> bytes:
        if self._pattern is None:
            return data
        return self._pattern.sub(lambda match: b"*" * len(match[0]), data)

    def _beginning_at_end(self, data: bytes) -> int:
        """Return how many bytes at the end are the beginning of a secret, the most there are."""
        longest = 0
        for value in self._values:
            for size in range(min(len(value) - 1, len(data)), longest, -1):
                if data.endswith(value[:size]):
                    longest = size
                    break
        return longest
