"""What is used of uvicorn: its connections, without its command line.

uvicorn's own `__init__` imports that command line, and so click: as much to load as all the rest of
what serves, and nothing of it is used here. Its modules need only the package's folder.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


class _Unrun(ModuleType):
    """A package whose own code runs when somebody asks for a name in it, as `uvicorn.run`."""

    def __getattr__(self, name: str) -> Any:
        self.__class__ = ModuleType  # type: ignore[assignment] # from here on it is a common one
        if self.__spec__ is not None and self.__spec__.loader is not None:
            self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _without_its_own_code(package: str) -> None:
    """Let modules of a package be imported before the package itself is."""
    if package not in sys.modules and (spec := find_spec(package)) is not None:
        module = sys.modules[package] = module_from_spec(spec)
        module.__class__ = _Unrun


_without_its_own_code("uvicorn")

from uvicorn.config import Config  # noqa: E402 - the package has to be there
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol  # noqa: E402
from uvicorn.server import ServerState  # noqa: E402

# The one name that its modules ask the package for.
sys.modules["uvicorn"].__dict__.setdefault("Config", Config)

__all__ = ["STATUS_LINE", "Config", "HttpToolsProtocol", "ServerState"]
