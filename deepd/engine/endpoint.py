"""Endpoint: where an engine listens, from an argument, the environment or the default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deepd.errors import SettingsError

DEFAULT_URL = "unix:///var/run/docker.sock"
_PORT = {False: 2375, True: 2376}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A Unix socket, or a TCP address with or without TLS."""

    url: str
    """As a person wrote it; used in messages."""
    path: str = ""
    """Of the Unix socket; empty for TCP."""
    host: str = ""
    port: int = 0
    certificates: Path | None = None
    """The folder with `ca.pem`, `cert.pem` and `key.pem`; `None` speaks without TLS."""

    @property
    def sdk_url(self) -> str:
        """The same in the form that the docker SDK takes."""
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificates else 'http'}://{host}:{self.port}"


def find_endpoint(url: str = "", environ: Mapping[str, str] = os.environ) -> Endpoint:
    """Return the endpoint of `url`, else of `DOCKER_HOST`, else docker's default socket."""
    url = url or environ.get("DOCKER_HOST", "") or DEFAULT_URL
    if url.startswith("/"):
        return Endpoint(url=f"unix://{url}", path=url)
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return Endpoint(url=url, path=parts.netloc + parts.path)
    if parts.scheme not in {"tcp", "http", "https"} or not parts.hostname:
        raise SettingsError(
            f"{url!r} is not an address of a container engine",
            next_step="use unix:///path/to/docker.sock or tcp://host:port"
            " (for ssh, forward the socket with `ssh -L` first)",
        )
    certificates = _certificates(environ) if _wants_tls(parts.scheme, environ) else None
    return Endpoint(
        url=url,
        host=parts.hostname,
        port=parts.port or _PORT[certificates is not None],
        certificates=certificates,
    )


def _wants_tls(scheme: str, environ: Mapping[str, str]) -> bool:
    return scheme == "https" or bool(environ.get("DOCKER_TLS_VERIFY", ""))


def _certificates(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CERT_PATH") or "~/.docker").expanduser()
