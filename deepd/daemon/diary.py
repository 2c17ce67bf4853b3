"""Diary: the log of the daemon itself, as text or JSON, with secrets masked by value."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from collections.abc import Callable, Iterable
from typing import Literal, TextIO

from deepd.daemon.mask import Mask

Format = Literal["text", "json"]

_NOISY = ("watchfiles", "asyncio", "urllib3", "docker")
"""Third parties whose everyday talk says nothing about deepd."""


class Diary(logging.Handler):
    """Where all records go; `secrets` are asked for with each, as profiles come and go."""

    def __init__(self, how: Format = "text", stream: TextIO | None = None) -> None:
        super().__init__()
        self.secrets: Callable[[], Iterable[str]] = tuple
        self._stream = stream or sys.stderr
        self._render = _render_json if how == "json" else _render_text
        self._masks: tuple[frozenset[str], Mask] = (frozenset(), Mask(()))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one line; one that cannot be written is dropped, never raised."""
        try:
            said = record.getMessage()
            trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
            mask = self._mask()
            line = self._render(record, mask.text(said), mask.text(trace))
            self._stream.write(line + "\n")
            self._stream.flush()
        except Exception:  # noqa: BLE001 - a log must never end what it tells of
            self.handleError(record)

    def _mask(self) -> Mask:
        values = frozenset(self.secrets())
        if values != self._masks[0]:
            self._masks = (values, Mask(values))
        return self._masks[1]


def open_diary(level: str, how: Format = "text") -> Diary:
    """Send every logger's records to a new diary and return it."""
    diary = Diary(how)
    logging.basicConfig(handlers=[diary], level=level.upper(), force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    return diary


def _render_text(record: logging.LogRecord, said: str, trace: str) -> str:
    at = datetime.datetime.fromtimestamp(record.created).astimezone()
    line = f"{at:%Y-%m-%d %H:%M:%S} {record.levelname:<7} {record.name}: {said}"
    return f"{line}\n{trace}" if trace else line


def _render_json(record: logging.LogRecord, said: str, trace: str) -> str:
    at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    facts = {
        "at": at.isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": said,
    }
    return json.dumps(facts | ({"trace": trace} if trace else {}), ensure_ascii=True)
