"""Spool: the bytes of calls that are too many for a row, in a private folder, a file each."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from deepd.errors import LimitError
from deepd.model.call import Chunk
from deepd.model.ids import CallId
from deepd.store.chunks import decode_chunks, encode_chunk

_READ = 1 << 20


class Spool:
    """Output files (`<call id>`) and body files (`<call id>.body`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)

    def output_path(self, call_id: CallId) -> Path:
        """Return where a call's output is, whether or not there is any."""
        return self.folder / call_id

    def body_path(self, call_id: CallId) -> Path:
        """Return where a call's body is, whether or not there is one."""
        return self.folder / f"{call_id}.body"

    def append(self, call_id: CallId, chunks: list[Chunk]) -> int:
        """Append records to a call's output and return the bytes written; all or none of them."""
        data = b"".join(map(encode_chunk, chunks))
        path = self.output_path(call_id)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, data)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        except OSError as error:
            raise no_space(path, error) from error
        finally:
            os.close(descriptor)
        return len(data)

    def chunks(self, call_id: CallId) -> Iterator[Chunk]:
        """Yield what is kept of a call's output, and what is appended while this reads."""
        try:
            descriptor = os.open(self.output_path(call_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            rest = b""
            while data := os.read(descriptor, _READ):
                rest += data
                used = 0
                for chunk in decode_chunks(rest):
                    used += len(encode_chunk(chunk))
                    yield chunk
                rest = rest[used:]
        finally:
            os.close(descriptor)

    def mend(self, call_id: CallId) -> int:
        """Cut a half-written record off a call's output; return the offset after the last byte."""
        end = size = 0
        for chunk in self.chunks(call_id):
            end = chunk.offset + len(chunk.data)
            size += len(encode_chunk(chunk))
        if self.output_path(call_id).exists():
            os.truncate(self.output_path(call_id), size)
        return end

    def keep_body(self, call_id: CallId, data: bytes, *, durable: bool) -> None:
        """Write a call's body; `durable` waits until it survives a power cut."""
        path = self.body_path(call_id)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise no_space(path, error) from error
        finally:
            os.close(descriptor)

    def adopt_body(self, call_id: CallId, file: Path, *, durable: bool) -> None:
        """Take a file as a call's body: it was received into this folder, or on its disk."""
        try:
            file.chmod(0o600)
            if durable:
                with file.open("rb") as written:
                    os.fsync(written.fileno())
            file.rename(self.body_path(call_id))
        except OSError as error:
            raise no_space(file, error) from error

    def remove(self, call_id: CallId) -> None:
        """Remove all that is kept of a call."""
        self.output_path(call_id).unlink(missing_ok=True)
        self.remove_body(call_id)

    def remove_body(self, call_id: CallId) -> None:
        """Remove a call's body: it was used, or never will be."""
        self.body_path(call_id).unlink(missing_ok=True)

    def ids(self) -> set[CallId]:
        """Return the calls that have a file here."""
        return {
            CallId(path.name.removesuffix(".body"))
            for path in self.folder.iterdir()
            if len(path.name.removesuffix(".body")) == 32
        }


def no_space(path: Path, error: OSError) -> LimitError:
    """Return the error for bytes that could not be kept."""
    name = errno.errorcode.get(error.errno or 0, "error")
    return LimitError(
        f"cannot write {path}: {os.strerror(error.errno or 0)} ({name})",
        next_step="free some space there and try again",
    )


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
