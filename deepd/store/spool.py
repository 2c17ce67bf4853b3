"""Spool: the bytes of calls that are too many for a row, in a private folder, a file each."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from deepd.errors import LimitError
from deepd.model.call import Chunk
from deepd.model.files import Extent, FilePart, SpooledOutput
from deepd.model.ids import CallId
from deepd.model.sealed import write_all
from deepd.store.chunks import HEAD, encode_chunk

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
        with self._at_end(call_id) as (descriptor, _):
            write_all(descriptor, data)
        return len(data)

    def append_file(self, call_id: CallId, offset: int, source: FilePart) -> int:
        """Append one record of output from an offset on, copied from a file by the kernel.

        Returns the bytes of the file that were there. One record holds less than 4 GiB.
        """
        with self._at_end(call_id) as (descriptor, before):
            # The head comes last: until then it is a hole, which is no record.
            os.lseek(descriptor, before + HEAD.size, os.SEEK_SET)
            copied = _copy(source, descriptor)
            os.pwrite(descriptor, HEAD.pack(offset, 1, copied), before)
        return copied

    @contextmanager
    def _at_end(self, call_id: CallId) -> Iterator[tuple[int, int]]:
        """Open a call's output at its end, which is where it was again if the block fails."""
        path = self.output_path(call_id)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            before = os.lseek(descriptor, 0, os.SEEK_END)
            try:
                yield descriptor, before
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        except OSError as error:
            raise no_space(path, error) from error
        finally:
            os.close(descriptor)

    def chunks(self, call_id: CallId) -> Iterator[Chunk]:
        """Yield what is kept of a call's output, and what is appended while this reads.

        A record of many bytes comes in pieces.
        """
        with suppress(FileNotFoundError), self.output_path(call_id).open("rb", _READ) as file:
            for record in _records(file):
                at, end = record.offset, record.offset + record.length
                while at < end and (data := file.read(min(_READ, end - at))):
                    yield Chunk(at, record.stream, data)
                    at += len(data)

    def extents(self, call_id: CallId) -> list[Extent]:
        """Return where the bytes of each record are in the file, for who sends them from there."""
        with suppress(FileNotFoundError), self.output_path(call_id).open("rb", 0) as file:
            return list(_records(file))
        return []

    def open_output(self, call_id: CallId) -> SpooledOutput | None:
        """Open a call's output, for who sends it from its file; `None` when there is none."""
        try:
            file = FileIO(self.output_path(call_id))
        except FileNotFoundError:
            return None
        return SpooledOutput(file, list(_records(file)))

    def mend(self, call_id: CallId) -> int:
        """Cut a half-written record off a call's output; return the offset after the last byte."""
        extents = self.extents(call_id)
        if self.output_path(call_id).exists():
            last = extents[-1] if extents else None
            os.truncate(self.output_path(call_id), last.at + last.length if last else 0)
        return extents[-1].offset + extents[-1].length if extents else 0

    def keep_body(self, call_id: CallId, data: bytes, *, durable: bool) -> None:
        """Write a call's body; `durable` waits until it survives a power cut."""
        path = self.body_path(call_id)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, data)
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


def _records(file: BinaryIO | FileIO) -> Iterator[Extent]:
    """Yield the whole records; the reader may move the file on within the one that it has."""
    at = 0
    while len(head := file.read(HEAD.size)) == HEAD.size:
        offset, stream, length = HEAD.unpack(head)
        at += HEAD.size
        if not stream or at + length > os.fstat(file.fileno()).st_size:
            return  # what a killed daemon left half-written, or what is being appended
        yield Extent(offset, stream, at, length)
        at += length
        file.seek(at)


def _copy(source: FilePart, to: int) -> int:
    copied = 0
    while copied < source.size:
        at = source.offset + copied
        some = os.sendfile(to, source.descriptor, at, source.size - copied)
        if not some:
            break  # it became shorter meanwhile
        copied += some
    return copied


def no_space(path: Path, error: OSError) -> LimitError:
    """Return the error for bytes that could not be kept."""
    name = errno.errorcode.get(error.errno or 0, "error")
    return LimitError(
        f"cannot write {path}: {os.strerror(error.errno or 0)} ({name})",
        next_step="free some space there and try again",
    )
