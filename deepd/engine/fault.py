"""Faults: what an engine or the way to it says went wrong, as one of our errors. Pure."""

from __future__ import annotations

import errno
import re
import ssl

from deepd.errors import EngineDownError, EngineError, EngineRefusedError, ImageNotFoundError

PODMAN_STEP = (
    "start its service (`systemctl --user start podman.socket`, as root without `--user`), or say"
    " where it listens with CONTAINER_HOST"
)
"""What to do where Podman does not answer."""
_DOCKER_STEP = (
    "start Docker (`sudo systemctl start docker`), or say where it listens with DOCKER_HOST"
)
_TLS_STEP = (
    "check ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH, or those of the docker context: the"
    " engine and its client must be of the same authority, and named as the address names them"
)


class NameTakenError(EngineError):
    """A container of that name exists already."""


class LeavingError(EngineError):
    """The container is being removed already, for somebody who asked before."""


class NoContainerError(EngineError):
    """The container that was meant is not there, or not there any more."""


_LASTING = re.compile(
    "unknown or invalid runtime|unknown runtime|no such file or directory|not a directory"
    "|executable file not found|invalid mount|bind source path|mount.*permission denied"
    "|is not supported|not a valid|invalid (reference|capability|argument)|already mounted"
    "|duplicate mount point|read-only file system|are mounts denied|not shared from the host"
    "|can ?not pause containers on rootless",
    re.IGNORECASE,
)
"""Texts of statuses 404 and 500 that will be the same until the profile or the host changes."""
_NAME_TAKEN = re.compile("name .* (is |already )+in use", re.IGNORECASE)
_LEAVING = re.compile("removal of container .* is already in progress", re.IGNORECASE)
_NO_IMAGE = re.compile(
    "no such image|manifest unknown|pull access denied|repository does not exist|image not known"
    "|manifest for .* not found|unable to find image",
    re.IGNORECASE,
)
_NO_REGISTRY = re.compile(
    "no such host|dial tcp|i/o timeout|connection refused|tls handshake|network is unreachable"
    "|temporary failure in name resolution|request canceled|server misbehaving"
    "|proxyconnect|context deadline exceeded|EOF$",
    re.IGNORECASE,
)


def down(endpoint: str, error: BaseException) -> EngineDownError:
    """Return the error for a connection that failed; `endpoint` is named as its owner wrote it."""
    if isinstance(error, ssl.SSLError):  # its number is no errno
        return EngineDownError(
            f"no container engine answers at {endpoint} by TLS: {_told(error)}",
            next_step=_TLS_STEP,
        )
    number = getattr(error, "errno", None)
    if number in {errno.EACCES, errno.EPERM}:
        return EngineDownError(
            f"this user may not open the container engine at {endpoint}",
            next_step="add the user to the socket's group (`sudo usermod -aG docker $USER`)"
            " and log in again",
        )
    why = {
        errno.ENOENT: "there is no such socket",
        errno.ECONNREFUSED: "the connection is refused",
    }.get(number or 0, str(error) or type(error).__name__)
    return EngineDownError(
        f"no container engine answers at {endpoint}: {why}",
        next_step=PODMAN_STEP if "podman" in endpoint else _DOCKER_STEP,
    )


def without_certificates(endpoint: str, error: OSError) -> EngineDownError:
    """Return the error for files that are missing, not to be read or not what they must be."""
    return EngineDownError(
        f"without its certificates {endpoint} cannot be used: {_told(error)}", next_step=_TLS_STEP
    )


def _told(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def refused(status: int, message: str, *, doing: str, image: str = "") -> EngineError:
    """Return the error for an answer of the engine that is not a success."""
    message = message.strip()
    if _NAME_TAKEN.search(message):
        return NameTakenError(f"{doing}: a container of that name exists already")
    if _LEAVING.search(message):
        return LeavingError(f"{doing}: {message}")
    if image and _NO_IMAGE.search(message):
        return no_image(image, message)
    if status == 404 and "no such container" in message.lower():
        return NoContainerError(f"{doing}: {message}")
    if status == 400 or (status in {404, 500} and _LASTING.search(message)):
        return EngineRefusedError(
            f"{doing}: the engine refused: {message}",
            next_step="correct the profile, or the folder or runtime that it names",
        )
    if status == 404 and "network" in message:
        return EngineRefusedError(
            f"{doing}: {message}",
            next_step="make the network (`docker network create NAME`) or correct security.network",
        )
    return EngineError(f"{doing}: {message}")


def pull_failed(image: str, message: str) -> EngineError:
    """Return the error for a pull that did not end well."""
    message = message.strip()
    if _NO_REGISTRY.search(message) and not _NO_IMAGE.search(message):
        return EngineError(
            f"cannot pull {image}: its registry cannot be reached: {message}",
            next_step="check the engine's network or proxy; or bring the image here by hand"
            f" (`docker save {image}` where it is, `docker load` here)",
        )
    if _NO_IMAGE.search(message) or "not found" in message:
        return no_image(image, message)
    if "invalid reference format" in message:
        return EngineRefusedError(
            f"{image!r} is not an image name", next_step="correct `image` in the profile"
        )
    return EngineError(f"cannot pull {image}: {message}")


def no_image(image: str, message: str = "") -> ImageNotFoundError:
    """Return the error for an image that is neither here nor at its registry."""
    return ImageNotFoundError(
        f"no image {image} here or at its registry" + (f": {message}" if message else ""),
        next_step="check the spelling and tag; for a private registry log in on this host"
        " with `docker login`",
    )
