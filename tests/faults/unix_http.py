"""requests over a Unix socket, for tools that speak HTTP through it."""

from __future__ import annotations

import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

BASE = "http://deepd"


class _Connection(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("deepd", timeout=timeout)
        self._path = path

    def _new_conn(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(self.timeout if isinstance(self.timeout, int | float) else None)
        made.connect(self._path)
        return made


class _Pool(HTTPConnectionPool):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("deepd", timeout=timeout)
        self._path, self._seconds = path, timeout

    def _new_conn(self) -> HTTPConnection:
        return _Connection(self._path, self._seconds)


class _Adapter(HTTPAdapter):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        self._pool = _Pool(path, timeout)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()


def unix_session(path: str, timeout: float) -> requests.Session:
    """Return a session whose `BASE` is what listens at the path."""
    session = requests.Session()
    session.trust_env = False
    session.mount(BASE, _Adapter(path, timeout))
    return session
