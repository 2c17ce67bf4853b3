"""The architecture: imports point one way, and each third-party package has one home."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "deepd"

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "model": set(),
    "guest": {"engine"},  # the ByteStream protocol and the exception for a lost stream
    "engine": {"guest"},
    "sandbox": {"guest", "engine"},
    "config": {"policy"},  # a profile's own tests ask the policy
    "policy": set(),
    "store": set(),
    "reconcile": {"sandbox", "engine", "guest"},
    "daemon": {"reconcile", "store", "policy", "config", "sandbox", "engine", "guest"},
    "wire": set(),
    "server": {"daemon", "wire", "config", "sandbox", "engine", "guest", "reconcile"},
    "client": {"wire", "config"},
    "library": {"client", "wire", "sandbox", "config", "policy", "engine", "guest"},
    "integrations": {"library", "client", "wire", "sandbox", "config", "policy", "engine", "guest"},
    "tui": {"client", "wire", "config"},
    "cli": {"client", "wire", "config"},
}
"""What a layer may import beside itself, `model` and `errors`."""

LATE: dict[str, set[str]] = {
    "cli/run.py": {"daemon", "store"},
    "daemon/daemon.py": {"server"},
    "cli/audit.py": {"store"},
    "cli/plan.py": {"reconcile"},
    "cli/doctor.py": {"engine", "guest"},
    "cli/dashboard.py": {"tui"},
    "cli/explain.py": {"policy"},
    "cli/demo.py": {"tui"},
}
"""Doors of a layer, which import it inside a function, and the composition root."""

HOMES: dict[str, tuple[str, ...]] = {
    "docker": ("engine/",),
    "textual": ("tui/",),
    "textual_serve": ("tui/",),
    "aiohttp": ("tui/",),
    "pydantic_ai": ("integrations/",),
    "starlette": ("server/",),
    "uvicorn": ("server/",),
    "sqlite3": ("store/",),
    "watchfiles": ("daemon/",),
    "re2": ("sandbox/", "policy/", "daemon/"),
    "tree_sitter": ("policy/",),
    "pydantic": ("wire/", "config/", "server/"),
    "pydantic_settings": ("config/environment.py",),
    "rich": ("cli/", "tui/"),
    "websockets": ("client/",),
}


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a module imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case _:
                pass


MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


@pytest.mark.parametrize("module", [name for name in MODULES if "/" in name])
def test_a_module_imports_only_what_its_layer_may(module: str) -> None:
    layer = module.split("/", maxsplit=1)[0]
    allowed = ALLOWED[layer] | {layer, "model", "errors"} | LATE.get(module, set())
    for name in imported(ROOT / module):
        parts = name.split(".")
        if parts[0] == "deepd" and len(parts) > 1:
            assert parts[1] in allowed, f"{module} may not import {name}"


@pytest.mark.parametrize("module", MODULES)
def test_a_third_party_package_is_imported_only_at_its_home(module: str) -> None:
    for name in imported(ROOT / module):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or module.startswith(homes), f"{module} may not import {name}"


def test_every_layer_is_in_the_table() -> None:
    assert {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} == set(
        ALLOWED
    ) - {"errors"}


@pytest.mark.parametrize("command", ["import deepd", "import deepd.cli.main"])
def test_starting_up_loads_no_heavy_package(command: str) -> None:
    check = (
        f"{command}, sys; print(*sorted({{'docker', 'textual', 'pydantic_ai', 'pydantic', "
        "'starlette', 'uvicorn', 'asyncio', 'rich'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", check.replace(", sys;", "; import sys;")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == []
