"""Runtimes: what is installed in a sandbox, by a name instead of a list of packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import get_args

from deepd.errors import ArgumentsError
from deepd.model.profile import Build, PackageManager

DEFAULT_IMAGE = "python:3.12-slim"
DEFAULT_WORK_DIR = "/workspace"


@dataclass(frozen=True)
class RuntimeConfig:
    """An environment for sandboxes: a ready `image`, or a `base_image` and what to add to it.

    An image is built once per engine and content, and found again by every sandbox that asks for
    the same. Building uses the engine's network, whatever `network` the sandbox itself has.
    Raises `ArgumentsError` for an image and a base image together, or neither.
    """

    name: str
    """For people and messages."""
    description: str = ""
    image: str | None = None
    """A ready image, such as `python:3.12-slim`."""
    base_image: str | None = None
    """An image to build on."""
    packages: Sequence[str] = ()
    """What to install on the base image."""
    package_manager: PackageManager = "pip"
    """What installs the packages: pip, npm, apt or cargo."""
    setup_commands: Sequence[str] = ()
    """Shell commands run after that, as root while the image is built."""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    """Environment of every command."""
    work_dir: str = DEFAULT_WORK_DIR
    """Where commands run and relative paths begin."""
    cache_image: bool = True
    """`False` keeps no image: packages and commands are then installed in every new container,
    as the sandbox's user and with the sandbox's network."""

    def __post_init__(self) -> None:
        if (self.image is None) == (self.base_image is None):
            raise ArgumentsError(
                f"the runtime {self.name!r} needs one of image and base_image",
                next_step="give `image` for a ready one, `base_image` to add packages to it",
            )
        if self.image is not None and (self.packages or self.setup_commands):
            raise ArgumentsError(
                f"the runtime {self.name!r} has a ready image, to which nothing is added",
                next_step="use `base_image` in place of `image`",
            )
        if self.package_manager not in get_args(PackageManager):
            raise ArgumentsError(f"{self.package_manager!r} is none of pip, npm, apt and cargo")
        for name in ("packages", "setup_commands"):
            if isinstance(getattr(self, name), str):
                raise ArgumentsError(f"{name} must be a list of texts, not one text")

    @property
    def build(self) -> Build | None:
        """The image to build, if there is something to add and it is kept."""
        if self.base_image is None or not self.cache_image or not self.adds:
            return None
        return Build(
            self.base_image,
            tuple(self.packages),
            self.package_manager,
            tuple(self.setup_commands),
        )

    @property
    def adds(self) -> bool:
        """Whether something is added to the image."""
        return bool(self.packages or self.setup_commands)


def find_runtime(runtime: RuntimeConfig | str | None) -> RuntimeConfig | None:
    """Return a runtime by its name; raise `ArgumentsError` that lists the names there are."""
    if not isinstance(runtime, str):
        return runtime
    if runtime not in BUILTIN_RUNTIMES:
        raise ArgumentsError(
            f"there is no runtime {runtime!r}",
            next_step=f"use one of {', '.join(BUILTIN_RUNTIMES)}, or a RuntimeConfig of your own",
        )
    return BUILTIN_RUNTIMES[runtime]


_BUILTIN = (
    RuntimeConfig("python-minimal", "Python 3.12 and its standard library", image=DEFAULT_IMAGE),
    RuntimeConfig(
        "python-datascience",
        "Python 3.12 with pandas, numpy, matplotlib, scikit-learn and seaborn",
        base_image=DEFAULT_IMAGE,
        packages=("pandas", "numpy", "matplotlib", "scikit-learn", "seaborn"),
    ),
    RuntimeConfig(
        "python-web",
        "Python 3.12 with FastAPI, uvicorn, SQLAlchemy and httpx",
        base_image=DEFAULT_IMAGE,
        packages=("fastapi", "uvicorn", "sqlalchemy", "httpx"),
    ),
    RuntimeConfig("node-minimal", "Node.js 20", image="node:20-slim"),
    RuntimeConfig(
        "node-react",
        "Node.js 20 with TypeScript, Vite and React",
        base_image="node:20-slim",
        packages=("typescript", "vite", "react", "react-dom", "@types/react"),
        package_manager="npm",
    ),
)
BUILTIN_RUNTIMES: Mapping[str, RuntimeConfig] = MappingProxyType(
    {runtime.name: runtime for runtime in _BUILTIN}
)
"""The runtimes that can be named by a text."""
