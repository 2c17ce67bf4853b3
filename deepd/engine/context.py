"""Context: what `docker context` has kept about engines, read from its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepd.errors import SettingsError

DEFAULT = "default"
"""The name of what is no context: the environment, and the usual socket."""
_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Context:
    """Where one context's engine is."""

    name: str
    url: str
    certificates: Path | None = None


def find_context(environ: Mapping[str, str]) -> Context | None:
    """Return the context in use, as docker chooses it; `None` for the default one."""
    folder = docker_folder(environ)
    name = environ.get("DOCKER_CONTEXT", "") or _current(folder)
    if name in {"", DEFAULT}:
        return None
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / key / "meta.json"
    said = _read(meta)
    docker = (said.get("Endpoints") or {}).get("docker") or {}
    if not isinstance(docker, dict) or not isinstance(url := docker.get("Host"), str) or not url:
        raise SettingsError(
            f"the docker context {name!r} names no engine",
            next_step="see `docker context ls`, or say where the engine listens with DOCKER_HOST",
        )
    if docker.get("SkipTLSVerify"):
        raise SettingsError(
            f"the docker context {name!r} does not verify its engine",
            next_step="give it the engine's certificate: `docker context update`",
        )
    keys = folder / "contexts" / "tls" / key / "docker"
    return Context(name, url, keys if keys.is_dir() else None)


def docker_folder(environ: Mapping[str, str]) -> Path:
    """Return where docker keeps a user's files."""
    return Path(environ.get("DOCKER_CONFIG", "") or "~/.docker").expanduser()


def _current(folder: Path) -> str:
    name = _read(folder / "config.json", missing_is_empty=True).get("currentContext", "")
    return name if isinstance(name, str) else ""


def _read(file: Path, *, missing_is_empty: bool = False) -> dict[str, Any]:
    try:
        with file.open(encoding="utf-8") as opened:
            said = json.loads(opened.read(_LIMIT))
    except FileNotFoundError:
        if missing_is_empty:
            return {}
        raise SettingsError(
            f"there is no docker context in {file}",
            next_step="see `docker context ls`, or take DOCKER_CONTEXT out of the environment",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error
    if not isinstance(said, dict):
        raise SettingsError(f"{file} is not an object")
    return said
