"""Endpoint: where an engine listens: an argument, the environment, a context or the default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from deepd.engine.context import docker_folder, find_context
from deepd.errors import SettingsError

DEFAULT_URL = "unix:///var/run/docker.sock"
_PORT = {False: 2375, True: 2376}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A Unix socket, a TCP address with or without TLS, or a machine that ssh goes to."""

    url: str
    """As a person wrote it; used in messages."""
    path: str = ""
    """Of the Unix socket; empty for the others."""
    host: str = ""
    port: int = 0
    certificates: Path | None = None
    """The folder with `ca.pem`, `cert.pem` and `key.pem`; `None` speaks without TLS."""
    ssh: tuple[str, ...] = ()
    """The command whose stdin and stdout are a connection to the engine."""

    @property
    def sdk_url(self) -> str:
        """The same in the form that the docker SDK takes."""
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificates else 'http'}://{host}:{self.port}"


def find_endpoint(url: str = "", environ: Mapping[str, str] = os.environ) -> Endpoint:
    """Return the endpoint of `url`, else that which docker itself would use."""
    url = url or environ.get("DOCKER_HOST", "")
    context = None if url else find_context(environ)
    url = url or (context.url if context else DEFAULT_URL)
    if url.startswith("/"):
        return Endpoint(url=f"unix://{url}", path=url)
    parts = _split(url)
    if parts.scheme == "unix":
        return Endpoint(url=url, path=parts.netloc + parts.path)
    if parts.scheme == "ssh" and parts.hostname:
        return Endpoint(url=url, ssh=_ssh_command(parts, environ))
    if parts.scheme not in {"tcp", "http", "https"} or not parts.hostname:
        raise SettingsError(
            f"{url!r} is not an address of a container engine",
            next_step="use unix:///path/to/docker.sock, tcp://host:port or ssh://user@host",
        )
    certificates = context.certificates if context else None
    if certificates is None and _wants_tls(parts.scheme, environ):
        certificates = _certificates(environ)
    return Endpoint(
        url=url,
        host=parts.hostname,
        port=parts.port or _PORT[certificates is not None],
        certificates=certificates,
    )


def podman_url(url: str = "", environ: Mapping[str, str] = os.environ) -> str:
    """Return where Podman's service is: `url`, `CONTAINER_HOST`, or its usual socket."""
    if url := url or environ.get("CONTAINER_HOST", ""):
        return url
    if os.geteuid() == 0:
        return "unix:///run/podman/podman.sock"
    folder = environ.get("XDG_RUNTIME_DIR", "") or f"/run/user/{os.geteuid()}"
    return f"unix://{folder}/podman/podman.sock"


def any_url(environ: Mapping[str, str] = os.environ) -> str:
    """Return Podman's address where its socket is there, and nothing says that there is Docker.

    Empty means: what docker itself would use.
    """
    if environ.get("DOCKER_HOST", "") or find_context(environ):
        return ""
    podman = podman_url(environ=environ)
    has_docker = Path(find_endpoint(environ=environ).path).exists()
    has_podman = Path(podman.removeprefix("unix://")).exists()
    return podman if has_podman and not has_docker else ""


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise SettingsError(f"{url!r} is not an address: {error}") from None
    return parts


def _ssh_command(parts: SplitResult, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what docker itself runs: its client at the other end carries the bytes."""
    host = parts.hostname or ""
    user = parts.username or ""
    if host.startswith("-") or user.startswith("-") or parts.password:
        raise SettingsError(
            f"{parts.geturl()!r} is not an address for ssh", next_step="use ssh://user@host:port"
        )
    options = ["-o", "ConnectTimeout=30", "-T"]
    options += ["-l", user] if user else []
    options += ["-p", str(parts.port)] if parts.port else []
    socket = parts.path.rstrip("/")
    there = ["docker", *(["--host", f"unix://{socket}"] if socket else []), "system", "dial-stdio"]
    return (environ.get("DEEPD_SSH", "") or "ssh", *options, "--", host, *there)


def _wants_tls(scheme: str, environ: Mapping[str, str]) -> bool:
    return scheme == "https" or bool(environ.get("DOCKER_TLS_VERIFY", ""))


def _certificates(environ: Mapping[str, str]) -> Path:
    named = environ.get("DOCKER_CERT_PATH", "")
    return Path(named).expanduser() if named else docker_folder(environ)
