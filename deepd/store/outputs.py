"""The tables of outputs and bodies: small ones in a row, larger ones in the spool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deepd.model.body import Body
from deepd.model.call import Chunk
from deepd.model.files import SpooledOutput
from deepd.model.ids import CallId
from deepd.store.chunks import decode_chunks, encode_chunk
from deepd.store.database import Database
from deepd.store.spool import Spool

BODY_IN_ROW = 64 << 10


class OutputTable(Database):
    """What calls printed and what they were given."""

    spool: Spool

    def put_output(self, call_id: CallId, chunks: list[Chunk]) -> None:
        """Keep the whole output of a call in its row."""
        data = b"".join(map(encode_chunk, chunks))
        with self.write():
            self._execute("INSERT INTO outputs VALUES (?, ?, ?)", (call_id, len(data), data))

    def put_spooled_output(self, call_id: CallId, size: int) -> None:
        """Note that the output of a call is in the spool."""
        with self.write():
            self._execute("INSERT INTO outputs VALUES (?, ?, NULL)", (call_id, size))

    def has_output(self, call_id: CallId) -> bool:
        """Whether the output of a finished call is still kept."""
        return self._one("SELECT 1 FROM outputs WHERE call = ?", (call_id,)) is not None

    def output(self, call_id: CallId) -> Iterator[Chunk]:
        """Yield what is kept of a call's output."""
        row = self._one("SELECT data FROM outputs WHERE call = ?", (call_id,))
        if row and row[0] is not None:
            yield from decode_chunks(row[0])
        else:
            yield from self.spool.chunks(call_id)

    def open_output(self, call_id: CallId) -> SpooledOutput | None:
        """Open what is kept of an ended call's output where it is in a file; else `None`."""
        row = self._one("SELECT data IS NULL FROM outputs WHERE call = ?", (call_id,))
        return self.spool.open_output(call_id) if row and row[0] else None

    def put_body(self, call_id: CallId, body: Body, *, durable: bool) -> None:
        """Keep the body of a call until it ends; its file becomes ours."""
        if body.path is not None:
            self.spool.adopt_body(call_id, body.path, durable=durable)
        elif body.size > BODY_IN_ROW:
            self.spool.keep_body(call_id, body.data, durable=durable)
        else:
            with self.write():
                self._execute("INSERT INTO bodies VALUES (?, ?)", (call_id, body.data))

    def body(self, call_id: CallId) -> bytes | Path | None:
        """Return the body of a call, or the file that has it."""
        row = self._one("SELECT data FROM bodies WHERE call = ?", (call_id,))
        if row:
            data: bytes = row[0]
            return data
        path = self.spool.body_path(call_id)
        return path if path.exists() else None

    def drop_body(self, call_id: CallId) -> None:
        """Forget the body of a call that ended."""
        with self.write():
            self._execute("DELETE FROM bodies WHERE call = ?", (call_id,))
        self.after_commit(lambda: self.spool.remove_body(call_id))
