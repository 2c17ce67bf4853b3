"""Bytes inside JSON: `{"text": …}` when they are text, `{"base64": …}` when they are not."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

TYPE_CHECKING = False  # typing itself would cost a command a tenth of its start
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


_MANY = 4 << 10
_NULS = 16


def pack(data: bytes) -> dict[str, str]:
    """Return the JSON form of bytes; text stays readable for people with curl.

    What is UTF-8 is text, but for a lot of bytes of which a sixteenth is NUL: as text each of
    these would be six characters, and nobody could read it.
    """
    if len(data) < _MANY or data.count(0) * _NULS < len(data):
        try:
            return {"text": data.decode()}
        except UnicodeDecodeError:
            pass
    return {"base64": b2a_base64(data, newline=False).decode("ascii")}


def unpack(packed: Mapping[str, Any]) -> bytes:
    """Return the bytes of `pack`; raise `ValueError` when there are none in it."""
    found = packed if isinstance(packed, dict) else {}
    if isinstance(text := found.get("text"), str):
        return text.encode("utf-8", "surrogateescape")
    if isinstance(text := found.get("base64"), str):
        try:
            return a2b_base64(text, strict_mode=True)
        except Base64Error as error:
            raise ValueError(f"not base64: {error}") from None
    raise ValueError("neither text nor base64")


def unpack_line(line: dict[str, Any]) -> dict[str, Any]:
    """Put an output line's bytes beside it as `data`."""
    if "text" in line or "base64" in line:
        line["data"] = unpack(line)
    return line
