"""Values to JSON: dataclasses by their fields, without validating what is ours already."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from operator import attrgetter
from pathlib import PurePath
from typing import Any

from deepd.model.call import Chunk
from deepd.wire.octets import pack

_FIELDS: dict[type, tuple[tuple[str, ...], Callable[[Any], Any]]] = {}
"""Of each dataclass: its fields' names, and what takes all their values out."""


def encode(value: Any) -> bytes:
    """Return compact JSON; keys and names as in `deepd.model`."""
    return _ENCODER.encode(value).encode("ascii")


def encode_line(value: Any) -> bytes:
    """Return one line of an NDJSON stream."""
    return encode(value) + b"\n"


def fields_of(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields, one level deep; `encode` goes on from there."""
    cls = type(value)
    known = _FIELDS.get(cls)
    if known is None:
        names = tuple(field.name for field in dataclasses.fields(cls))
        known = _FIELDS[cls] = names, _taking(names)
    names, take = known
    return dict(zip(names, take(value), strict=True))


def _taking(names: tuple[str, ...]) -> Callable[[Any], Any]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


def output_line(chunk: Chunk) -> bytes:
    """Return a piece of output as a line of a stream."""
    head = {"kind": "output", "offset": chunk.offset, "stream": chunk.stream}
    return encode_line(head | pack(chunk.data))


def raw_output_line(chunk: Chunk) -> bytes:
    """Return the same, with the bytes after the line and how many there are in it."""
    head = {"kind": "output", "offset": chunk.offset, "stream": chunk.stream}
    return encode_line(head | {"size": len(chunk.data)}) + chunk.data


def _plain(value: Any) -> Any:
    if type(value) in _FIELDS or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return fields_of(value)
    match value:
        case PurePath():
            return str(value)
        case bytes():
            return pack(value)
        case AbstractSet():
            return sorted(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_plain, allow_nan=False)
