"""How output is kept in a row or file: records `u64 offset | u8 stream | u32 length | bytes`."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from deepd.model.call import Chunk

HEAD = struct.Struct("<QBI")


def encode_chunk(chunk: Chunk) -> bytes:
    """Return one record."""
    return HEAD.pack(chunk.offset, chunk.stream, len(chunk.data)) + chunk.data


def decode_chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the whole records; what a killed daemon left half-written at the end is left out."""
    at = 0
    while at + HEAD.size <= len(data):
        offset, stream, length = HEAD.unpack_from(data, at)
        at += HEAD.size
        if at + length > len(data):
            return
        yield Chunk(offset, stream, data[at : at + length])
        at += length
