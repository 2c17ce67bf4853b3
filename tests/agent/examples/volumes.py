"""Files that outlive their container: a folder of this machine, mounted into two sandboxes.

python -m tests.agent.examples.volumes
"""

from __future__ import annotations

import tempfile

from deepd import DockerSandbox


def main(folder: str) -> str:
    """Write in one sandbox, stop it, and read in another."""
    with DockerSandbox(image="python:3.12-slim", volumes={folder: "/workspace"}) as sandbox:
        sandbox.write("/workspace/data.json", '{"key": "value"}')

    with DockerSandbox(image="python:3.12-slim", volumes={folder: "/workspace"}) as sandbox:
        return sandbox.read("/workspace/data.json")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as here:
        print(main(here))
