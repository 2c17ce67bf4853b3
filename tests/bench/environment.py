"""The peers' packages: in an environment of the benchmark's own, made at the first use."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from tests.images import cache_folder

PACKAGES = (
    "docker>=7.1",
    "pydantic-ai-backend[docker]",
    "pydantic-ai-harness",
    "llm-sandbox[docker]",
    "swe-rex",
    "aiohttp",
    "fastapi",
    "uvicorn",
    "wcmatch",
    "pytest",
)
"""Never a dependency of deepd; the newest that there are when the environment is made."""


def peers_python() -> str:
    """Return the interpreter of that environment."""
    digest = hashlib.sha256("\n".join(PACKAGES).encode()).hexdigest()[:12]
    tag = f"bench-{sys.version_info.major}.{sys.version_info.minor}-{digest}"
    folder = cache_folder() / tag
    python, done = folder / "bin" / "python", folder / "complete"
    if not done.exists():
        print(f"making the peers' environment in {folder}", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES], check=True)
        Path(done).touch()
    return str(python)
