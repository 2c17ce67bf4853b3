"""The images that tests run in, made here from Debian packages: no registry is needed.

`python -m tests.images` makes those that are missing; it needs root, debootstrap (once, 40 s, then
cached) and busybox-static.
"""

from __future__ import annotations

import functools
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from docker import APIClient
from docker.errors import ImageNotFound

from deepd.engine.endpoint import find_endpoint

PYTHON = "deepd-test/python:3.11"
"""Debian with python3, and tagged as the image that the README's profile names."""
README_IMAGE = "python:3.12-slim"
BUSYBOX = "deepd-test/busybox:latest"
"""A shell and its tools in one file, 2 MB."""
EMPTY = "deepd-test/empty:latest"
"""Nothing to run at all."""
AWKWARD = "deepd-test/awkward:latest"
"""Busybox with a health check, entrypoint, user, work dir and volume that get in the way."""

_SUITE = "bookworm"
_PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_AWKWARD = (
    _PATH,
    'ENTRYPOINT ["/bin/false"]',
    "USER nobody",
    "WORKDIR /missing",
    "VOLUME /data",
    "HEALTHCHECK --interval=1s CMD exit 1",
)


@dataclass(frozen=True)
class Recipe:
    """How one image comes to be."""

    name: str
    archive: Callable[[], Path]
    """Makes the root file system's tar."""
    changes: Sequence[str] = (_PATH,)


def cache_folder() -> Path:
    """Return where archives are kept between runs."""
    usual = "/var/cache" if os.geteuid() == 0 else "~/.cache"
    folder = Path(os.environ.get("XDG_CACHE_HOME") or usual).expanduser() / "deepd-test"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def debian_archive() -> Path:
    """Return a minimal Debian with python3, made once."""
    archive = cache_folder() / f"{_SUITE}-python.tar"
    if archive.exists():
        return archive
    _need("debootstrap")
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        root = Path(folder) / "root"
        command = ["debootstrap", "--variant=minbase", "--include=python3,ca-certificates"]
        mirror = os.environ.get("DEEPD_TEST_MIRROR", "")
        subprocess.run([*command, _SUITE, str(root), *filter(None, [mirror])], check=True)
        shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
        fresh = Path(folder) / "fresh.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(fresh), "."], check=True)
        fresh.rename(archive)
    return archive


def busybox_archive() -> Path:
    """Return a root file system of busybox alone, under all its names."""
    program = Path(_need("busybox")).resolve()
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    archive = cache_folder() / "busybox.tar"
    with _tar(archive) as tar:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)):
            _add_folder(tar, folder, mode)
        _add_file(tar, "bin/busybox", program.read_bytes(), 0o755)
        for name in set(names.stdout.split()) - {"busybox"}:
            _add_link(tar, f"bin/{name}", "busybox")
        users = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n"
        _add_file(tar, "etc/passwd", users.encode(), 0o644)
    return archive


def empty_archive() -> Path:
    """Return a root file system of one empty folder."""
    archive = cache_folder() / "empty.tar"
    with _tar(archive) as tar:
        _add_folder(tar, "etc", 0o755)
    return archive


RECIPES = (
    Recipe(PYTHON, debian_archive, (_PATH, 'CMD ["python3"]')),
    Recipe(BUSYBOX, busybox_archive),
    Recipe(EMPTY, empty_archive),
    Recipe(AWKWARD, busybox_archive, _AWKWARD),
)


def engine_api(url: str = "") -> APIClient:
    """Return the SDK's client, by a version that every engine of these years speaks."""
    return _api(find_endpoint(url).sdk_url)


@functools.cache
def _api(url: str) -> APIClient:
    return APIClient(base_url=url, version="1.41", timeout=60)


def is_here(name: str, url: str = "") -> bool:
    """Tell whether the engine has an image."""
    try:
        engine_api(url).inspect_image(name)  # type: ignore[no-untyped-call] # so are the stubs
    except ImageNotFound:
        return False
    return True


def missing_images() -> list[str]:
    """Return the names of the images that are not here."""
    return [
        name for name in [*(recipe.name for recipe in RECIPES), README_IMAGE] if not is_here(name)
    ]


def make_missing() -> None:
    """Make the images that are not here."""
    for recipe in RECIPES:
        if not is_here(recipe.name):
            print(f"making {recipe.name}", flush=True)
            repository, tag = recipe.name.split(":")
            engine_api().import_image_from_file(
                str(recipe.archive()), repository=repository, tag=tag, changes=list(recipe.changes)
            )
    if not is_here(README_IMAGE):
        repository, tag = README_IMAGE.split(":")
        engine_api().tag(PYTHON, repository, tag)
    if missing := missing_images():
        raise SystemExit(f"the engine did not import {', '.join(missing)}")


def _need(program: str) -> str:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise SystemExit(f"{program} is missing: apt-get install debootstrap busybox-static")
    return found


def _tar(path: Path) -> tarfile.TarFile:
    return tarfile.open(path, "w")


def _add_folder(tar: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def _add_file(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)


if __name__ == "__main__":
    make_missing()
